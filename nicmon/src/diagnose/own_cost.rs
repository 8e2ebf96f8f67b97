//! `own-cost`: nicmon itself takes much of a CPU, or gets too little. docs/findings/own-cost.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared, told},
    view::View,
};
use crate::frame::{FindingId, OwnCpu, Severity, Source, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::OwnCost, hold: Hold::LASTING, cases };

/// nicmon takes at least this much of a CPU.
const MUCH_PCT: f64 = 5.0;
/// Below this, it no longer does.
const LITTLE_PCT: f64 = 3.0;

/// What nicmon cost, in percent of a CPU.
struct Cost {
    pct: f64,
    /// Of that, its eBPF programs, if they run and that is known.
    programs_pct: Option<f64>,
    field: &'static str,
}

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    let throttled = view.per_s(view.frame.own.nr_throttled.unwrap_or(0));
    let cost = match cost(view) {
        Err(why) if throttled == 0.0 => return Err(why),
        cost => cost.ok(),
    };
    let pct = cost.as_ref().map_or(0.0, |cost| cost.pct);
    let level = if pct >= MUCH_PCT || throttled > 0.0 {
        Level::Bad
    } else if pct < LITTLE_PCT {
        Level::Good
    } else {
        Level::Between
    };
    if level == Level::Good && !standing.contains(&Key::Machine) {
        return Ok(Cases::default());
    }
    Ok(vec![case(view, level, cost.as_ref(), throttled)].into())
}

fn cost(view: &View<'_>) -> Result<Cost, String> {
    let own = &view.frame.own;
    let process_pct = view.pct(own.cpu_ns);
    if let Some((pct, ns)) = own.overhead_pct.filter(|pct| pct.is_finite()).zip(own.bpf_est_ns) {
        return Ok(Cost { pct, programs_pct: Some(view.pct(ns)), field: "/self/overhead_pct" });
    }
    // The process alone may be too much already, and is all there is without eBPF programs.
    if view.frame.host.source == Source::Proc || process_pct >= MUCH_PCT {
        return Ok(Cost { pct: process_pct, programs_pct: None, field: "/self/cpu_ns" });
    }
    Err("what nicmon's eBPF programs cost is unknown; it takes CAP_SYS_ADMIN to measure that".to_owned())
}

fn case(view: &View<'_>, level: Level, cost: Option<&Cost>, throttled: f64) -> Case {
    let takes = cost.map(|cost| format!("nicmon itself takes {:.0} % of a CPU", cost.pct));
    let stopped = "a CPU quota of its control group stops nicmon, so frames may come late";
    let why = match takes {
        Some(takes) if throttled > 0.0 => format!("{takes}, and {stopped}"),
        Some(takes) => takes,
        None => stopped.to_owned(),
    };
    // The process may run on any CPU.
    let is_programs = cost.is_some_and(|cost| cost.programs_pct.is_some_and(|pct| pct * 2.0 >= cost.pct));
    let cpu = costliest_cpu(view).filter(|_| is_programs).map(|(_, cpu)| cpu.cpu);
    let subject = Subject { cpu, ..Subject::default() };
    let mut case = Case::new(Key::Machine, level, Severity::Info, subject, why);
    if let Some(cost) = cost {
        tell_cost(view, cost, &mut case);
    }
    if throttled > 0.0 {
        let what = "times that the CPU quota of nicmon was used up".to_owned();
        case.evidence.push(compared(what, "/self/nr_throttled".to_owned(), throttled, Unit::PerS, 0.0));
    }
    case
}

fn tell_cost(view: &View<'_>, cost: &Cost, case: &mut Case) {
    let of_cpu = Unit::PctOfCpu;
    let what = "nicmon, of one CPU".to_owned();
    case.evidence.push(compared(what, cost.field.to_owned(), cost.pct, of_cpu, MUCH_PCT));
    if let Some((at, cpu)) = costliest_cpu(view) {
        let what = format!("its eBPF programs, share of CPU {}", cpu.cpu);
        let pct = cpu.overhead_pct.unwrap_or(0.0);
        case.evidence.push(told(what, format!("/self/cpus/{at}/overhead_pct"), pct, of_cpu));
    }
    if let Some(pct) = cost.programs_pct {
        let what = "of that, its eBPF programs".to_owned();
        case.evidence.push(told(what, "/self/bpf_est_ns".to_owned(), pct, of_cpu));
        case.caveats.push(range(view));
    } else if view.frame.host.source == Source::Bpf {
        case.caveats.push("what its eBPF programs cost is unknown and comes on top".to_owned());
    }
}

/// The CPU that pays most for the programs, and its place among `self.cpus`.
fn costliest_cpu<'a>(view: &View<'a>) -> Option<(usize, &'a OwnCpu)> {
    let cpus = view.frame.own.cpus.iter().flatten().enumerate();
    cpus.filter(|(_, cpu)| cpu.bpf_est_ns.is_some()).max_by_key(|(_, cpu)| cpu.bpf_est_ns)
}

fn range(view: &View<'_>) -> String {
    let text = "the part of the eBPF programs is an estimate, their runs times the cost of one";
    view.frame.own.bpf_est_ci_ns.map_or_else(
        || text.to_owned(),
        |[low, high]| format!("{text}, between {:.1} and {:.1} % of a CPU", view.pct(low), view.pct(high)),
    )
}
