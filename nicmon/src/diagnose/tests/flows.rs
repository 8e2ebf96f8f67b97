//! What packets themselves tell of a queue that gets nearly all.

use serde_json::{Value, json};

use super::Machine;
use crate::{
    diagnose::Diagnosis,
    frame::{Cause, Unit, WhoseFlows, topology},
};

/// Queue 2 saturates CPU 2, and these flows were seen.
fn with(flows: &Value) -> Machine {
    let mut machine = Machine::new(4).full(2, 2, 90);
    if !flows.is_null() {
        machine.frame["nics"][0]["flows"] = flows.clone();
    }
    machine
}

fn flows(known: u32, flows: u32, flow_pct: f64, pair_pct: Option<f64>) -> Value {
    json!({ "cpu": 2, "age_ns": 5, "attached_ns": 20_000_000, "cost_ns": 180_000, "packets": 1000,
        "known": known, "flows": flows, "largest_flow_pct": flow_pct, "largest_pair_pct": pair_pct })
}

fn cause(flows: &Value) -> Option<Cause> {
    with(flows).one().cause
}

#[test]
fn one_flow_one_pair_of_addresses_or_neither() {
    assert_eq!(cause(&Value::Null), Some(Cause::UnevenRss));
    assert_eq!(cause(&flows(1000, 3, 98.0, None)), Some(Cause::ElephantFlow));
    assert_eq!(cause(&flows(16, 12, 18.75, Some(100.0))), Some(Cause::HashAddressesOnly));
    // A pair of addresses has one flow, too.
    assert_eq!(cause(&flows(16, 1, 100.0, Some(100.0))), Some(Cause::ElephantFlow));
    // Chance: many flows of many addresses, or too few packets to say.
    assert_eq!(cause(&flows(16, 12, 18.75, Some(25.0))), Some(Cause::UnevenRss));
    assert_eq!(cause(&flows(11, 1, 100.0, Some(100.0))), Some(Cause::UnevenRss));
    // Those of another CPU.
    let mut elsewhere = flows(1000, 1, 100.0, None);
    elsewhere["cpu"] = json!(1);
    assert_eq!(cause(&elsewhere), Some(Cause::UnevenRss));
}

#[test]
fn the_cost_of_looking_is_evidence() {
    let finding = with(&flows(1000, 1, 100.0, None)).one();
    let cost = finding.evidence.iter().find(|evidence| evidence.unit == Unit::Ns).expect("a cost");
    assert_eq!((cost.field.as_str(), cost.value), ("/nics/0/flows/cost_ns", 180_000.0));
    let mut unknown = flows(1000, 1, 100.0, None);
    unknown["cost_ns"] = Value::Null;
    let finding = with(&unknown).one();
    let time = finding.evidence.iter().find(|evidence| evidence.unit == Unit::Ns).expect("a time");
    assert_eq!((time.field.as_str(), time.value), ("/nics/0/flows/attached_ns", 20_000_000.0));
}

/// Packets are looked at only while a finding stands that they could explain.
#[test]
fn packets_are_looked_at_only_where_it_matters() {
    let wanted = |machine: &Machine| {
        let mut diagnosis = Diagnosis::default();
        for number in 0..5 {
            diagnosis.judge(&machine.frame(number));
        }
        let of = diagnosis.wanted().flows_of.iter();
        of.map(|WhoseFlows { netns, ifindex, cpu }| (*netns, *ifindex, *cpu)).collect::<Vec<_>>()
    };
    assert_eq!(wanted(&with(&Value::Null)), [(1, 2, 2)]);
    // What was seen stays wanted, so that frames go on saying it.
    assert_eq!(wanted(&with(&flows(1000, 1, 100.0, None))), [(1, 2, 2)]);
    assert_eq!(wanted(&Machine::new(4)), []);
    let one_queue = json!({ "combined": 1, "combined_max": 1 });
    assert_eq!(wanted(&with(&Value::Null).with("/topology/nics/0/channels", one_queue)), []);
    // The RSS table says by itself why.
    let table = topology::Rss { table: Some(vec![2; 4]), ..topology::Rss::default() };
    let by_table = with(&Value::Null).with("/topology/nics/0/rss", json!(table));
    assert_eq!((by_table.one().cause, wanted(&by_table).len()), (Some(Cause::UnevenRss), 0));
}
