//! What nicmon finds about itself.

use serde_json::{Value, json};

use super::Machine;
use crate::frame::{FindingId, Severity};

#[test]
fn nicmon_says_what_it_costs_itself() {
    let costs = |pct: u64| {
        let ns = pct * 10_000_000;
        let machine = Machine::new(4).with("/self/overhead_pct", json!(pct));
        machine.with("/self/bpf_est_ns", json!(ns / 2)).with("/self/cpu_ns", json!(ns / 2))
    };
    let finding = costs(5).one();
    assert_eq!((finding.id, finding.severity), (FindingId::OwnCost, Severity::Info));
    assert_eq!(costs(4).judged().findings, []);
    let cpu =
        |cpu, ns| json!({ "cpu": cpu, "bpf_runs": 9, "bpf_est_ns": ns, "overhead_pct": ns / 10_000_000 });
    let cpus = json!([cpu(1, 20_000_000), cpu(3, 80_000_000)]);
    let mut machine = costs(20);
    machine.frame["self"]["cpus"] = cpus;
    machine.frame["self"]["bpf_est_ci_ns"] = json!([60_000_000, 160_000_000]);
    let told = machine.one();
    assert_eq!((told.severity, told.why.as_str()), (Severity::Info, "nicmon itself takes 20 % of a CPU"));
    assert_eq!(told.subject.cpu, Some(3));
    let of_cpu = told.evidence.iter().find(|evidence| evidence.field == "/self/cpus/1/overhead_pct").unwrap();
    assert!((of_cpu.value - 8.0).abs() < 1e-9);
    assert!(told.caveats[0].ends_with("between 6.0 and 16.0 % of a CPU"), "{:?}", told.caveats);
}

#[test]
fn nicmon_says_that_its_own_quota_stops_it() {
    let mut machine = Machine::new(2);
    machine.frame["self"]["nr_throttled"] = json!(4);
    let finding = machine.one();
    assert_eq!((finding.id, finding.severity), (FindingId::OwnCost, Severity::Info));
    assert!(finding.why.ends_with("stops nicmon, so frames may come late"), "{}", finding.why);
    machine.frame["self"]["nr_throttled"] = json!(0);
    assert_eq!(machine.judged().findings, []);
}

#[test]
fn unknown_own_cost_is_not_judged() {
    let unknown = |cpu_ns: u64| {
        let machine = Machine::new(4).with("/self/overhead_pct", Value::Null);
        machine.with("/self/bpf_est_ns", Value::Null).with("/self/cpu_ns", json!(cpu_ns))
    };
    let judged = unknown(10_000_000).judged();
    assert_eq!(judged.not_judged.iter().map(|rule| rule.id).collect::<Vec<_>>(), [FindingId::OwnCost]);
    // The process alone is enough.
    let finding = unknown(60_000_000).one();
    assert_eq!((finding.id, finding.evidence[0].field.as_str()), (FindingId::OwnCost, "/self/cpu_ns"));
    // Without eBPF programs, the process is all.
    let judged = unknown(10_000_000).with("/host/source", json!("proc")).judged();
    assert!(judged.not_judged.iter().all(|rule| rule.id != FindingId::OwnCost), "{judged:#?}");
}
