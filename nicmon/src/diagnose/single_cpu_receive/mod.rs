//! `single-cpu-receive`: receiving fills one CPU while others are idle. docs/findings/single-cpu-receive.md
//!
//! Two questions have two answers. `cause.rs` says why the work is on this CPU, `contributing.rs` why a
//! packet costs as much as it does.

mod backlog;
mod cause;
mod contributing;
mod flows;
mod queues;

pub(super) use self::queues::queue_of;
use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing},
    machine_saturated::is_widespread,
    saturation,
    view::{CpuView, FREE_PCT, View},
};
use crate::frame::{FindingId, Subject};

pub(super) const RULE: Rule = Rule { id: FindingId::SingleCpuReceive, hold: Hold::LASTING, cases };

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    if let Some(why) = view.unjudged() {
        return Err(why);
    }
    let not_judged = view.cpus.iter().find(|cpu| could_be_full(cpu)).map(|cpu| {
        let steal = cpu.steal_pct.unwrap_or(0.0);
        format!(
            "the hypervisor takes {steal:.0} % of the time of CPU {}, which may be saturated",
            cpu.cpu.cpu
        )
    });
    let free = if is_widespread(view) { Vec::new() } else { view.free_cores() };
    let of_cpu = |cpu: &CpuView<'_>| {
        let level = saturation::level(cpu)?;
        let level = if free.is_empty() { Level::Good } else { level };
        let stands = standing.contains(&Key::Cpu(cpu.cpu.cpu));
        (level != Level::Good || stands).then(|| case(view, cpu, level, &free))
    };
    Ok(Cases { all: view.cpus.iter().filter_map(of_cpu).collect(), not_judged })
}

/// A CPU whose time is stolen may look full of receiving only because of that.
fn could_be_full(cpu: &CpuView<'_>) -> bool {
    cpu.is_stolen()
        && cpu.idle_pct.is_some_and(|idle| idle <= saturation::FULL_PCT)
        && cpu.receive_pct.is_some_and(|receive| receive >= saturation::RECEIVE_PCT)
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, level: Level, free: &[u32]) -> Case {
    let number = cpu.cpu.cpu;
    let blame = cause::of(view, cpu);
    let losses = saturation::losses(view, cpu);
    let subject = Subject {
        nic: blame.nic.map(|nic| nic.name.clone()),
        netns: blame.nic.and_then(|nic| nic.netns),
        cpu: Some(number),
        queue: blame.queue,
        irq: blame.irq,
        comm: None,
    };
    let queue = blame.queue.map_or_else(String::new, |queue| format!(" queue {queue}"));
    let from = subject.nic.as_ref().map_or_else(|| "receive work".to_owned(), |nic| format!("{nic}{queue}"));
    let why = format!("CPU {number} is saturated by {from}: {}", blame.why);
    let mut case = Case::new(Key::Cpu(number), level, saturation::severity(&losses), subject, why);
    case.cause = Some(blame.cause);
    case.contributing = contributing::of(view, cpu, blame.nic);
    case.evidence =
        vec![saturation::idle(cpu, saturation::FULL_PCT), saturation::receive(cpu, saturation::RECEIVE_PCT)];
    let other = free.first().and_then(|first| view.cpus.iter().find(|cpu| cpu.cpu.cpu == *first));
    case.evidence.extend(other.map(|other| saturation::idle(other, FREE_PCT)));
    case.evidence.extend(blame.evidence);
    case.evidence.extend(contributing::speed(cpu));
    case.evidence.extend(losses);
    if view.topology().is_none() {
        let text = "no frame had the topology yet: siblings, isolated CPUs and the cause may be unknown";
        case.caveats.push(text.to_owned());
    }
    if view.frame.host.preempt_rt {
        case.caveats.push("on PREEMPT_RT, times include preemption".to_owned());
    }
    case
}
