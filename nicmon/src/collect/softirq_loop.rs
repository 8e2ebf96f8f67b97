//! Samples in the kernel's loop over pending softirqs, which lies outside the tracepoints of the vectors.

use std::ops::Range;

use crate::{
    counters::{SampleKind, Samples},
    symbols::Kallsyms,
};

/// Its names, in current kernels and in older ones (kernel/softirq.c: `__do_softirq` was split in 6.10,
/// and in the stable kernels after it).
const NAMES: [&str; 2] = ["handle_softirqs", "__do_softirq"];

/// Where the loop is.
///
/// It switches interrupts on before the first vector. A timer that a device's interrupt held back fires
/// there, so its sample belongs to that interrupt. This is true of a few percent of the samples of a CPU
/// under network load; the interrupted idle task is not what kept the CPU busy.
#[derive(Default)]
pub(super) struct SoftirqLoop {
    /// Set at the first reading of the symbols; empty if they have neither name. The kernel's own text
    /// does not move.
    range: Option<Range<u64>>,
}

impl SoftirqLoop {
    /// Attributes samples in the loop to the loop, whether they interrupted the idle task or another one.
    pub(super) fn find(&mut self, kallsyms: &Kallsyms, samples: &mut Samples) {
        let range = self.range.get_or_insert_with(|| range(kallsyms).unwrap_or_default());
        for sample in &mut samples.taken {
            if matches!(sample.kind, SampleKind::Idle | SampleKind::Task) && range.contains(&sample.address) {
                sample.kind = SampleKind::SoftirqLoop;
            }
        }
    }
}

fn range(kallsyms: &Kallsyms) -> Option<Range<u64>> {
    let start = NAMES.iter().find_map(|name| kallsyms.address_of(name))?;
    kallsyms.function_at(start).map(|function| function.start..function.end)
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::Range};

    use super::range;
    use crate::symbols::Kallsyms;

    fn of(text: &str) -> Option<Range<u64>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kallsyms"), text).unwrap();
        range(&Kallsyms::read(folder.path()).unwrap())
    }

    /// From Debian's 6.1.0-56 and 5.10.0-46.
    #[test]
    fn the_loop_is_found_before_and_after_the_split() {
        let split = "ffffffff810a8df0 t handle_softirqs\nffffffff810a90d0 t run_ksoftirqd\n\
                     ffffffff81e00000 T __do_softirq\nffffffff81e00000 T __softirqentry_text_start\n\
                     ffffffff81e0000c T __softirqentry_text_end\n";
        assert_eq!(of(split), Some(0xffff_ffff_810a_8df0..0xffff_ffff_810a_90d0));
        let whole = "ffffffff81e00000 T __softirqentry_text_start\nffffffff81e00000 T __do_softirq\n\
                     ffffffff81e002c9 T __softirqentry_text_end\n";
        assert_eq!(of(whole), Some(0xffff_ffff_81e0_0000..0xffff_ffff_81e0_02c9));
        assert_eq!(of("ffffffff81000000 T do_idle\n"), None);
    }
}
