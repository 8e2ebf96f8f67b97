//! `cpu-shared`: tasks fill a CPU that also receives. docs/findings/cpu-shared.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing},
    saturation::{self, FULL_PCT, ROOM_PCT},
    view::{CpuView, View},
};
use crate::frame::{FindingId, Severity, Subject};

pub(super) const RULE: Rule = Rule { id: FindingId::CpuShared, hold: Hold::LASTING, cases };

/// Receiving takes at least this much, or it is of no account.
const LEAST_PCT: f64 = 15.0;
/// Below this, it no longer is.
const LITTLE_PCT: f64 = 10.0;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if let Some(why) = view.unjudged() {
        return Err(why);
    }
    let of_cpu = |cpu: &CpuView<'_>| {
        let level = level(cpu)?;
        let key = Key::Cpu(cpu.cpu.cpu);
        (level != Level::Good || standing.contains(&key)).then(|| case(view, cpu, key, level))
    };
    Ok(view.cpus.iter().filter_map(of_cpu).collect::<Vec<Case>>().into())
}

fn level(cpu: &CpuView<'_>) -> Option<Level> {
    let (idle, receive) = (cpu.idle_pct?, cpu.receive_pct?);
    let is_part = (LEAST_PCT..saturation::RECEIVE_PCT).contains(&receive);
    Some(if idle >= ROOM_PCT || receive < LITTLE_PCT {
        Level::Good
    } else if idle <= FULL_PCT && is_part && !cpu.is_stolen() {
        Level::Bad
    } else {
        Level::Between
    })
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, key: Key, level: Level) -> Case {
    let losses = saturation::losses(view, cpu);
    let severity = if losses.is_empty() { Severity::Info } else { Severity::Warning };
    let top = cpu.rows.iter().find(|row| row.nic.netns.is_some());
    let number = cpu.cpu.cpu;
    let subject = Subject {
        nic: top.map(|row| row.nic.name.clone()),
        netns: top.and_then(|row| row.nic.netns),
        cpu: Some(number),
        ..Subject::default()
    };
    let receive = cpu.receive_pct.unwrap_or(0.0);
    let why = format!("tasks fill CPU {number}, which also spends {receive:.0} % of its time receiving");
    let mut case = Case::new(key, level, severity, subject, why);
    case.evidence = vec![saturation::idle(cpu, FULL_PCT), saturation::receive(cpu, LEAST_PCT)];
    case.evidence.extend(losses);
    case
}
