//! `machine-saturated`: receiving fills a CPU, and no other core has room. docs/findings/machine-saturated.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, told},
    saturation,
    view::{CpuView, View},
};
use crate::frame::{FindingId, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::MachineSaturated, hold: Hold::LASTING, cases };

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if let Some(why) = view.unjudged() {
        return Err(why);
    }
    let judged = view.cpus.iter().filter_map(|cpu| Some((saturation::level(cpu)?, cpu)));
    let worst = judged.max_by(|(level, cpu), (other_level, other)| {
        let receive = |cpu: &CpuView<'_>| cpu.receive_pct.unwrap_or(0.0);
        level.cmp(other_level).then(receive(cpu).total_cmp(&receive(other)))
    });
    let Some((full, cpu)) = worst else { return Ok(Cases::default()) };
    let level = if is_widespread(view) || view.free_cores().is_empty() { full } else { Level::Good };
    if level == Level::Good && !standing.contains(&Key::Machine) {
        return Ok(Cases::default());
    }
    Ok(vec![case(view, cpu, level)].into())
}

/// Whether more than half of the CPUs are full of receiving: then one that is not is no way out.
pub(super) fn is_widespread(view: &View<'_>) -> bool {
    let full = view.cpus.iter().filter(|cpu| saturation::level(cpu) == Some(Level::Bad)).count();
    full * 2 > view.cpus.len()
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, level: Level) -> Case {
    let losses = saturation::losses(view, cpu);
    let number = cpu.cpu.cpu;
    let others = match view.frame.host.cpus_online {
        1 => "it is the only CPU",
        _ if is_widespread(view) => "so are most others",
        _ => "no other core has room for it",
    };
    let receive = cpu.receive_pct.unwrap_or(0.0);
    let why = format!("CPU {number} is saturated: receiving takes {receive:.0} % of it, and {others}");
    let subject = Subject { cpu: Some(number), ..Subject::default() };
    let mut case = Case::new(Key::Machine, level, saturation::severity(&losses), subject, why);
    case.evidence =
        vec![saturation::idle(cpu, saturation::FULL_PCT), saturation::receive(cpu, saturation::RECEIVE_PCT)];
    let cpus = f64::from(view.frame.host.cpus_online);
    case.evidence.push(told("online CPUs".to_owned(), "/host/cpus_online".to_owned(), cpus, Unit::Count));
    case.evidence.extend(losses);
    case
}
