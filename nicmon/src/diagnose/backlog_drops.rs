//! `backlog-drops`: a CPU's backlog was full. docs/findings/backlog-drops.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    view::{CpuView, View},
};
use crate::frame::{FindingId, Severity, Subject, Unit};

pub(super) const RULE: Rule =
    Rule { id: FindingId::BacklogDrops, hold: Hold { bad_s: 2.0, of_s: 5.0, good_s: 5.0 }, cases };

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if view.cpus.iter().all(|cpu| cpu.cpu.softnet.is_none()) {
        return Err("/proc/net/softnet_stat cannot be read".to_owned());
    }
    let of_cpu = |cpu: &CpuView<'_>| {
        let dropped = cpu.cpu.softnet?.dropped;
        let key = Key::Cpu(cpu.cpu.cpu);
        let level = if dropped > 0 { Level::Bad } else { Level::Good };
        (level == Level::Bad || standing.contains(&key)).then(|| case(view, cpu, key, level, dropped))
    };
    Ok(view.cpus.iter().filter_map(of_cpu).collect::<Vec<Case>>().into())
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, key: Key, level: Level, dropped: u64) -> Case {
    let number = cpu.cpu.cpu;
    let limit = view.topology().and_then(|topology| topology.sysctls.netdev_max_backlog);
    let room = limit.map_or_else(String::new, |limit| format!(" ({limit} packets)"));
    let why = format!("the backlog of CPU {number}{room} overflowed, and packets were lost");
    let subject = Subject { cpu: Some(number), ..Subject::default() };
    let mut case = Case::new(key, level, Severity::Critical, subject, why);
    let what = format!("packets that the backlog of CPU {number} dropped");
    case.evidence.push(compared(what, cpu.field("softnet/dropped"), dropped as f64, Unit::Packets, 0.0));
    if let Some(waiting) = cpu.cpu.softnet.and_then(|softnet| softnet.backlog_len) {
        let field = cpu.field("softnet/backlog_len");
        case.evidence.push(told(
            "packets waiting there".to_owned(),
            field,
            f64::from(waiting),
            Unit::Packets,
        ));
    }
    case
}
