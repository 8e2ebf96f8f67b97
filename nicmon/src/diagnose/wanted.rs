//! What would explain a finding, and costs too much to read without a reason.

use super::{single_tx_queue, view::View};
use crate::frame::{Finding, FindingId, Wanted};

/// The frequency of CPUs that receiving saturates, and the requeues of NICs that many CPUs may crowd.
pub(super) fn wanted(view: &View<'_>, findings: &[Finding]) -> Wanted {
    let is_seen = |finding: &&Finding| finding.id == FindingId::SingleCpuReceive && !finding.fades;
    let freq_of = findings.iter().filter(is_seen).filter_map(|finding| finding.subject.cpu).collect();
    Wanted { freq_of, requeues_of: single_tx_queue::requeues_of(view) }
}
