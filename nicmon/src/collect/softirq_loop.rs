//! Samples in the kernel's loop over pending softirqs, which no tracepoint of a vector encloses.

use std::ops::Range;

use crate::{
    counters::{SampleKind, Samples},
    symbols::Kallsyms,
};

/// Its names, in today's kernels and before (kernel/softirq.c: `__do_softirq` was split in 6.10, and in the stable
/// kernels after it).
const NAMES: [&str; 2] = ["handle_softirqs", "__do_softirq"];

/// Where the loop is.
///
/// It switches interrupts on before the first vector: what a timer that was held back by a device's interrupt finds
/// there is that interrupt. A few percent of the samples of a CPU under network load are, and the idle task that was
/// interrupted is not what it was busy with.
#[derive(Default)]
pub(super) struct SoftirqLoop {
    /// Set by the first reading of the symbols, and empty where they have none of the names: the kernel's own text
    /// stays as it is.
    range: Option<Range<u64>>,
}

impl SoftirqLoop {
    /// Gives samples in the loop to it, be they of the idle task or of another.
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

    /// As Debian's 6.1.0-56 and 5.10.0-46 have it.
    #[test]
    fn the_loop_is_not_what_starts_it() {
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
