//! Samples of the idle task, while the programs that see softirqs and interrupts are detached.

use crate::{
    counters::{SampleKind, Samples},
    symbols::{DriverText, Kallsyms, is_network},
};

/// Takes samples in network code from the idle task: it has none of its own, so a softirq or an interrupt ran
/// on top of it.
pub(super) fn has_no_network_code(kallsyms: &Kallsyms, text: &DriverText, samples: &mut Samples) {
    let is_of_driver = |address| text.driver_at(address).is_some() || text.companion_at(address).is_some();
    let is_of_network = |address| kallsyms.function_at(address).is_some_and(|function| is_network(&function));
    for sample in samples.taken.iter_mut().filter(|sample| sample.kind == SampleKind::Idle) {
        if is_of_driver(sample.address) || is_of_network(sample.address) {
            sample.kind = SampleKind::Kernel;
        }
    }
}
