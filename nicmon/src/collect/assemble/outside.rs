//! Network code in softirqs other than `NET_RX`: an ifb forwards in a tasklet, paced TCP sends from a timer.
//!
//! Nothing times such work by NIC, so only samples show it. They are listed as if the softirq were a NIC
//! whose polls have no known time.

use std::collections::{BTreeMap, BTreeSet};

use super::nics::nameless;
use crate::{
    counters::SampleKind,
    frame::{Nic, NicCpu},
    symbols::{Function, is_network},
};

/// The kernel's number of `NET_TX`, in which everything is network code (`net_tx_action`, net/core/dev.c).
const NET_TX: u32 = 2;

/// Names of the softirqs, in the kernel's order (include/linux/interrupt.h). A part of `NET_RX` that is in no
/// poll is `cpus[].softirq.net_rx.other_ns`, an exact time.
const NAMES: [Option<&str>; 10] = [
    Some("(hi)"),
    Some("(timer)"),
    Some("(net_tx)"),
    None,
    Some("(block)"),
    Some("(irq_poll)"),
    Some("(tasklet)"),
    Some("(sched)"),
    Some("(hrtimer)"),
    Some("(rcu)"),
];

/// A softirq other than `NET_RX`, by the name that its row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Outside(&'static str);

/// The softirq that a sample outside polls was in, if it was in network code. Its own function decides: a
/// copy or a lock may serve anything.
pub(super) fn outside(kind: SampleKind, function: &Function<'_>, driver: Option<&str>) -> Option<Outside> {
    let SampleKind::Softirq(vector) = kind else { return None };
    let name = (*NAMES.get(usize::try_from(vector).ok()?)?)?;
    (vector == NET_TX || driver.is_some() || is_network(function)).then_some(Outside(name))
}

/// The names that such rows may have.
pub(in crate::collect) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().flatten()
}

/// The softirq whose row has this name.
pub(super) fn of_name(name: &str) -> Option<Outside> {
    names().find(|known| *known == name).map(Outside)
}

/// A row for each softirq in which network code ran, with its CPUs, in the order of names. Estimates are not
/// included yet.
pub(super) fn nics(outside: &BTreeMap<Outside, BTreeSet<u32>>) -> Vec<Nic> {
    let nic = |(Outside(name), cpus): (&Outside, &BTreeSet<u32>)| Nic {
        cpus: cpus.iter().copied().map(NicCpu::unknown).collect(),
        ..nameless((*name).to_owned())
    };
    outside.iter().map(nic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_code_outside_polls_is_listed_by_softirq() {
        let of = |vector, name, module| {
            outside(SampleKind::Softirq(vector), &Function { name, module, start: 1, end: 2 }, None)
        };
        let tasklet = Some(Outside("(tasklet)"));
        assert_eq!(of(6, "ip_rcv", None), tasklet);
        assert_eq!(of(6, "__netif_receive_skb_core.constprop.0", None), tasklet);
        assert_eq!(of(6, "ifb_ri_tasklet", Some("ifb")), tasklet);
        assert_eq!(of(8, "tcp_write_xmit", None), Some(Outside("(hrtimer)")));
        assert_eq!(of(1, "tcp_write_timer", None), Some(Outside("(timer)")));
        assert_eq!(of(9, "inet_frag_destroy_rcu", None), Some(Outside("(rcu)")));
        assert_eq!(of(2, "memcpy", None), Some(Outside("(net_tx)")), "all of NET_TX is network code");
        // It may serve the network, but nothing says so.
        assert_eq!(of(6, "memcpy", None), None);
        assert_eq!(of(4, "blk_done_softirq", None), None);
        assert_eq!(of(9, "kmem_cache_free", None), None);
        assert_eq!(of(3, "ip_rcv", None), None, "its time outside polls is exact");
        assert_eq!(of(10, "ip_rcv", None), None, "no such softirq");
        let function = Function { name: "ip_rcv", module: None, start: 1, end: 2 };
        assert_eq!(outside(SampleKind::Task, &function, None), None);
    }

    #[test]
    fn each_name_leads_back_to_its_softirq() {
        assert!(names().all(|name| of_name(name) == Some(Outside(name)) && name.starts_with('(')));
        assert_eq!((of_name("(backlog)"), of_name("eth0")), (None, None));
    }
}
