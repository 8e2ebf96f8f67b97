//! The table of results, and the checks of its figures.

use testkit::share::Share;

use super::{device::Device, frames::Sums, kernel::Series, perf::Samples, results::Interrupts};

/// The largest difference allowed between two counts of the same packets.
const PACKETS_PER_MILLE: u64 = 5;
/// How many interrupts nicmon may miss, because some kernels run no program for some of them
/// (docs/kernel-notes.md).
const MISSED_PER_MILLE: u64 = 20;
/// This many may always be missed: of only 40 interrupts, a single one already exceeds the share above.
const MISSED_OF_FEW: u64 = 3;

/// All measurements of one NIC's download.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) device: Device,
    pub(super) bytes: u64,
    pub(super) window_ns: (u64, u64),
    pub(super) nicmon: Sums,
    pub(super) perf: Samples,
    /// The interface's own counters over the same time.
    pub(super) rx_packets: u64,
    pub(super) tx_packets: u64,
    /// The NIC's lines in `/proc/interrupts`.
    pub(super) interrupts: Vec<Interrupts>,
}

/// Prints each check, and remembers whether all held.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// Whether the kernel may preempt nicmon's programs, and then skips some of their runs.
    preempts_programs: bool,
    failed: u32,
}

/// Of so many events, one may be lost where programs are preempted.
const EVENTS_PER_LOSS: u64 = 1000;

impl Verdicts {
    /// No checks of this kernel yet.
    pub(super) fn of(kernel: Series) -> Self {
        Self { preempts_programs: kernel.preempts_programs(), failed: 0 }
    }

    /// Prints a check and counts it if it fails.
    pub(super) fn check(&mut self, holds: bool, text: &str) {
        if !holds {
            self.failed += 1;
        }
        println!("  {}  {text}", if holds { "ok    " } else { "FAILED" });
    }

    /// Whether every check held.
    pub(super) fn all_hold(&self) -> bool {
        self.failed == 0
    }

    /// Checks that no event is lost or, where that cannot be, that hardly any is.
    pub(super) fn losses(&mut self, nicmon: &Sums) {
        let allowed = if self.preempts_programs { nicmon.events / EVENTS_PER_LOSS } else { 0 };
        let text = format!("{} of {} events lost, at most {allowed} may be", nicmon.lost, nicmon.events);
        self.check(nicmon.lost <= allowed, &text);
    }

    /// Checks the figures of one NIC.
    pub(super) fn of_row(&mut self, row: &Row) {
        let (nicmon, perf) = (&row.nicmon, &row.perf);
        println!("{}", row.device.driver());
        self.check(
            nicmon.poll_ns > 0 && perf.driver + perf.companions > 0,
            &format!(
                "there was load: {} ns in polls, {} samples in the driver and its companions",
                nicmon.poll_ns,
                perf.driver + perf.companions
            ),
        );
        self.packets(nicmon, row.rx_packets, row.tx_packets);
        if row.device.work_is_packets() {
            self.counts("work and rx_packets", nicmon.work, nicmon.rx_packets);
        }
        self.all_interrupts(nicmon, &row.interrupts);
        self.losses(nicmon);
        self.shares("driver's share", nicmon.sampled.driver_share(), perf.driver_share());
        // If the companions are built into the kernel, their samples have no module name.
        if perf.companions > 0 {
            self.shares("share with companions", nicmon.sampled.joint_share(), perf.joint_share());
        }
        self.functions(nicmon, perf);
    }

    /// Packets must match the interface's own counters.
    pub(super) fn packets(&mut self, nicmon: &Sums, rx_packets: u64, tx_packets: u64) {
        self.counts("rx_packets, nicmon and interface", nicmon.rx_packets, rx_packets);
        self.counts("tx_packets, nicmon and interface", nicmon.tx_packets, tx_packets);
    }

    /// The interrupts of each line must match `/proc/interrupts`.
    pub(super) fn all_interrupts(&mut self, nicmon: &Sums, lines: &[Interrupts]) {
        for interrupts in lines {
            // A shared line has several handlers, and each one is called for every interrupt.
            let ours = nicmon.irqs.iter().filter(|l| l.irq == interrupts.line).map(|l| l.count).max();
            if ours.is_some() || interrupts.at_most > 0 {
                self.interrupts(ours.unwrap_or(0), interrupts);
            }
        }
        let fired = lines.iter().map(|interrupts| interrupts.at_least).sum::<u64>();
        self.check(fired > 0, &format!("{fired} interrupts in all"));
    }

    fn counts(&mut self, what: &str, ours: u64, kernel: u64) {
        let off = difference_pct(ours, kernel);
        let holds = ours > 0 && within(ours.abs_diff(kernel), kernel, PACKETS_PER_MILLE);
        self.check(holds, &format!("{what}: {ours} and {kernel} ({})", shown(off)));
    }

    /// Calls of an interrupt handler must match, but nicmon may miss a few.
    pub(super) fn calls(&mut self, ours: u64, probed: u64) {
        let off = difference_pct(ours, probed);
        let holds = ours > 0 && within(ours.abs_diff(probed), probed, MISSED_PER_MILLE);
        self.check(holds, &format!("calls, nicmon and bpftrace: {ours} and {probed} ({})", shown(off)));
    }

    fn interrupts(&mut self, ours: u64, kernel: &Interrupts) {
        let Interrupts { line, at_least, at_most } = *kernel;
        let missed = at_least.saturating_sub(ours);
        let kernel =
            if at_least == at_most { at_most.to_string() } else { format!("{at_least} to {at_most}") };
        self.check(
            ours <= at_most && (missed <= MISSED_OF_FEW || within(missed, at_least, MISSED_PER_MILLE)),
            &format!("interrupts of line {line}: nicmon {ours}, /proc/interrupts {kernel}"),
        );
    }

    /// Two shares measured at the same time may differ only by chance.
    pub(super) fn shares(&mut self, what: &str, ours: Option<Share>, perf: Option<Share>) {
        let (Some(ours), Some(perf)) = (ours, perf) else {
            return self.check(false, &format!("{what}: no busy samples, or frames without samples"));
        };
        let off = difference(ours.pct(), perf.pct());
        self.check(ours.can_be(perf), &format!("{what}: {off:+.0} %: nicmon {}", ours.beside(perf)));
    }

    /// The driver's functions with the most samples must be in the same order as perf's, as far as the
    /// samples determine an order.
    fn functions(&mut self, nicmon: &Sums, perf: &Samples) {
        let mut top: Vec<_> = perf.functions.iter().collect();
        top.sort_by_key(|(_, samples)| std::cmp::Reverse(**samples));
        top.truncate(3);
        let shares = |name: &str, samples: u64| {
            let ours = nicmon.sampled.functions.get(name).copied().unwrap_or(0);
            Some((Share::of(ours, nicmon.sampled.busy)?, Share::of(samples, perf.busy)?))
        };
        let both: Vec<_> =
            top.iter().filter_map(|(name, samples)| Some((*name, shares(name, **samples)?))).collect();
        let pairs = both
            .iter()
            .enumerate()
            .flat_map(|(at, more)| both[at + 1..].iter().map(move |less| (more, less)));
        let turned =
            pairs.filter(|((_, more), (_, less))| less.1.is_below(more.1) && more.0.is_below(less.0)).count();
        let shown = both
            .iter()
            .map(|(name, (ours, perf))| format!("{name} {:.2} and {:.2} %", ours.pct(), perf.pct()));
        let shown = shown.collect::<Vec<_>>().join(", ");
        self.check(turned == 0, &format!("most sampled functions, nicmon and perf: {shown}"));
    }
}

fn within(difference: u64, whole: u64, per_mille: u64) -> bool {
    difference.saturating_mul(1000) <= whole.saturating_mul(per_mille)
}

fn difference_pct(ours: u64, theirs: u64) -> Option<f64> {
    (theirs > 0).then(|| difference(ours as f64, theirs as f64))
}

fn difference(ours: f64, theirs: f64) -> f64 {
    (ours / theirs - 1.0) * 100.0
}

fn shown(difference: Option<f64>) -> String {
    difference.map_or_else(|| "?".to_owned(), |pct| format!("{pct:+.2} %"))
}

/// Prints a row for each NIC.
pub(super) fn print(rows: &[Row]) {
    println!(
        "{:<11} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>7}  {:<22} {:<22}",
        "DRIVER",
        "MB",
        "MB/s",
        "WORK",
        "RXPKT",
        "POLL ms",
        "IRQ ms",
        "SAMPLES",
        "BUSY",
        "DRIVER",
        "PERF % OF BUSY",
        "NICMON % OF BUSY"
    );
    for row in rows {
        let Row { nicmon, perf, .. } = row;
        let seconds = row.window_ns.1.saturating_sub(row.window_ns.0) as f64 / 1e9;
        let share = |share: Option<Share>| share.map_or_else(|| "?".to_owned(), |s| s.to_string());
        println!(
            "{:<11} {:>5.0} {:>6.1} {:>9} {:>9} {:>9.1} {:>9.1} {:>8} {:>7} {:>7}  {:<22} {:<22}",
            row.device.driver(),
            row.bytes as f64 / 1e6,
            row.bytes as f64 / 1e6 / seconds,
            nicmon.work,
            nicmon.rx_packets,
            nicmon.poll_ns as f64 / 1e6,
            nicmon.hardirq_ns as f64 / 1e6,
            perf.all,
            perf.busy,
            perf.driver,
            share(perf.driver_share()),
            share(nicmon.sampled.driver_share()),
        );
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_may_be_missed_but_never_invented() {
        let holds = |ours, at_least, at_most| {
            let mut verdicts = Verdicts::of(Series::V6_12);
            verdicts.interrupts(ours, &Interrupts { line: 11, at_least, at_most });
            verdicts.all_hold()
        };
        assert!(holds(1000, 1000, 1000) && holds(980, 1000, 1000) && holds(1001, 1000, 1002));
        assert!(holds(37, 40, 40) && !holds(36, 40, 40));
        assert!(!holds(979, 1000, 1000) && !holds(1003, 1000, 1002) && !holds(1, 0, 0));
    }

    #[test]
    fn a_wrong_share_fails() {
        let holds = |ours, perf| {
            let mut verdicts = Verdicts::of(Series::V6_12);
            verdicts.shares("share", Share::of(ours, 2900), Share::of(perf, 2900));
            verdicts.all_hold()
        };
        assert!(holds(414, 414) && holds(380, 414));
        // A difference of 30 %, with as many samples as 100 MB over the 8139 give; and no samples at all.
        assert!(!holds(290, 414) && !holds(538, 414) && !holds(0, 414));
        let mut verdicts = Verdicts::of(Series::V6_12);
        verdicts.shares("share", None, Share::of(414, 2900));
        assert!(!verdicts.all_hold(), "frames without samples");
    }

    #[test]
    fn only_a_kernel_that_preempts_programs_may_lose_events() {
        let holds = |kernel, lost, events| {
            let mut verdicts = Verdicts::of(kernel);
            verdicts.losses(&Sums { lost, events, ..Sums::default() });
            verdicts.all_hold()
        };
        assert!(holds(Series::V7_3, 0, 5000) && !holds(Series::V7_3, 1, 1_000_000));
        assert!(holds(Series::V7_3Rt, 5, 5000) && !holds(Series::V7_3Rt, 6, 5000));
    }

    #[test]
    fn functions_in_another_order_fail() {
        let named = |all: [(&str, u64); 3]| all.map(|(name, samples)| (name.to_owned(), samples)).into();
        let perf = Samples {
            busy: 2900,
            functions: named([("cp_rx_poll", 300), ("cp_start_xmit", 100), ("cp_interrupt", 0)]),
            ..Samples::default()
        };
        let holds = |functions| {
            let mut nicmon = Sums::default();
            (nicmon.sampled.busy, nicmon.sampled.functions) = (2900, named(functions));
            let mut verdicts = Verdicts::of(Series::V6_12);
            verdicts.functions(&nicmon, &perf);
            verdicts.all_hold()
        };
        assert!(holds([("cp_rx_poll", 290), ("cp_start_xmit", 110), ("cp_interrupt", 2)]));
        assert!(!holds([("cp_rx_poll", 100), ("cp_start_xmit", 300), ("cp_interrupt", 0)]));
    }

    #[test]
    fn counts_agree_within_half_a_percent_and_are_not_zero() {
        let holds = |ours, kernel| {
            let mut verdicts = Verdicts::of(Series::V6_12);
            verdicts.counts("packets", ours, kernel);
            verdicts.all_hold()
        };
        assert!(holds(995, 1000) && holds(1005, 1000));
        assert!(!holds(994, 1000) && !holds(1006, 1000) && !holds(0, 0) && !holds(1, 0));
    }
}
