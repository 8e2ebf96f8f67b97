//! `single-tx-queue`.

use serde_json::json;

use super::machine::Machine;
use crate::{
    diagnose::Diagnosis,
    frame::{FindingId, Severity},
};

/// `senders` of eight CPUs send through the only transmit queue of eth0, which puts packets back.
fn crowded(senders: usize, requeues: Option<u64>) -> Machine {
    let mut machine = Machine::new(8);
    let queue = json!({ "kind": "tx", "index": 0, "napi_id": null, "irq": null, "rps_cpus": null,
        "rps_flow_cnt": null, "xps_cpus": null });
    machine.frame["topology"]["nics"][0]["queues"].as_array_mut().unwrap().push(queue);
    machine.set("/nics/0/tx_packets", json!(100_000));
    machine.set("/nics/0/tx_bytes", json!(10_000_000));
    machine.frame["nics"][0]["tx_requeues"] = json!(requeues);
    for cpu in 0..senders {
        machine.set(&format!("/cpus/{cpu}/softirq/net_tx/count"), json!(500));
    }
    machine
}

#[test]
fn many_senders_and_one_queue_that_is_full() {
    let found = crowded(4, Some(100)).one();
    assert_eq!((found.id, found.severity), (FindingId::SingleTxQueue, Severity::Info));
    assert_eq!((found.subject.nic.as_deref(), found.subject.queue), (Some("eth0"), Some(0)));
    assert_eq!(found.why, "4 CPUs send through the only transmit queue of eth0, and wait because it is full");
}

#[test]
fn what_is_no_crowd() {
    let none = |machine: &Machine, what: &str| assert_eq!(machine.judged().findings, [], "{what}");
    none(&crowded(3, Some(100)), "too few senders");
    none(&crowded(4, Some(9)), "hardly anything is put back");
    none(&crowded(4, None), "not read yet");
    let mut two_queues = crowded(4, Some(100));
    let queues = two_queues.frame["topology"]["nics"][0]["queues"].as_array_mut().unwrap();
    queues.push(queues.last().unwrap().clone());
    none(&two_queues, "two queues");
    let full = crowded(4, Some(100)).with("/topology/nics/0/speed_mbps", json!(100));
    none(&full, "the link is full");
    none(&crowded(4, Some(100)).with("/topology/nics/0/kind", json!("vlan")), "not the NIC that sends");
}

#[test]
fn requeues_are_read_only_where_they_matter() {
    let wanted = |machine: &Machine| {
        let mut diagnosis = Diagnosis::default();
        diagnosis.judge(&machine.frame(0));
        diagnosis.wanted().requeues_of.clone()
    };
    assert_eq!(wanted(&crowded(3, None)), [(1, 2)]);
    assert_eq!(wanted(&crowded(2, None)), []);
    assert_eq!(wanted(&crowded(4, None).with("/topology/nics/0/kind", json!("veth"))), []);
}
