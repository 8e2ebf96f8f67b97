//! What would explain a finding, and costs too much to read without a reason.

use super::{single_tx_queue, view::View};
use crate::frame::{Cause, Finding, FindingId, Subject, Wanted, WhoseFlows};

/// The frequency of CPUs that receiving saturates, the requeues of NICs that many CPUs may crowd, and the
/// flows that fill one queue.
pub(super) fn wanted(view: &View<'_>, findings: &[Finding]) -> Wanted {
    let is_seen = |finding: &&Finding| finding.id == FindingId::SingleCpuReceive && !finding.fades;
    let freq_of = findings.iter().filter(is_seen).filter_map(|finding| finding.subject.cpu).collect();
    let flows_of = findings.iter().filter(is_seen).filter_map(|finding| flows_of(view, finding)).collect();
    Wanted { freq_of, requeues_of: single_tx_queue::requeues_of(view), flows_of }
}

/// The NIC and the CPU of a finding whose cause the packets themselves can tell.
fn flows_of(view: &View<'_>, finding: &Finding) -> Option<WhoseFlows> {
    let is_uneven =
        matches!(finding.cause?, Cause::UnevenRss | Cause::ElephantFlow | Cause::HashAddressesOnly);
    // The table says by itself that it is uneven.
    let by_table = finding.evidence.iter().any(|evidence| evidence.field.ends_with("/rss/table"));
    let Subject { nic, netns, cpu, .. } = &finding.subject;
    let mut nics = view.frame.nics.iter();
    let nic = nics.find(|other| nic.as_ref() == Some(&other.name) && *netns == other.netns)?;
    (is_uneven && !by_table).then_some(WhoseFlows { netns: nic.netns?, ifindex: nic.ifindex, cpu: (*cpu)? })
}
