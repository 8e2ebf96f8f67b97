//! What was on the screen before: whole frames for stepping back, and a few figures of each for ten minutes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use super::{NicId, figures};
use crate::frame::{Frame, Merged, Severity};

/// How long figures are kept.
const KEPT_NS: u64 = 600_000_000_000;
/// The most moments of which figures are kept: with shorter intervals, they reach less far back.
const MOST_MOMENTS: usize = 6000;
/// The most memory for whole frames.
const FRAMES_BYTES: usize = 40 << 20;
/// The most memory for figures.
const FIGURES_BYTES: usize = 24 << 20;

/// The past, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History {
    frames: VecDeque<(Arc<Frame>, usize)>,
    frames_bytes: usize,
    moments: VecDeque<Moment>,
    /// Numbers that stand for NICs in the figures.
    nics: HashMap<NicId, u32>,
    figures_bytes: usize,
}

/// The figures of one frame.
#[derive(Debug, Clone)]
struct Moment {
    mono_ns: u64,
    /// The highest network load of a CPU, in percent.
    busiest_pct: f32,
    /// The worst finding.
    worst: Option<Severity>,
    /// Load of each NIC on all CPUs together, in percent, by the number of the NIC.
    of_nics: Vec<(u32, f32)>,
    /// What all NICs load each CPU with, by its number.
    of_cpus: Vec<(u32, f32)>,
}

/// A part of the timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Slot {
    /// The highest figure in it; `None` if nothing was measured then.
    pub(super) most_pct: Option<f32>,
    pub(super) worst: Option<Severity>,
}

impl History {
    /// Adds a frame, unless it is known already. One of another machine or boot begins anew. After a seek in
    /// a replay, it may belong before others.
    pub(super) fn add(&mut self, frame: &Arc<Frame>) {
        if let Some((last, _)) = self.frames.back()
            && (&last.host.hostname, &last.boot_id) != (&frame.host.hostname, &frame.boot_id)
        {
            *self = Self::default();
        }
        let at = self.moments.partition_point(|moment| moment.mono_ns < frame.mono_ns);
        if self.moments.get(at).is_some_and(|moment| moment.mono_ns == frame.mono_ns) {
            return;
        }
        let bytes = bytes(frame);
        let place = self.frames.partition_point(|(known, _)| known.mono_ns < frame.mono_ns);
        self.frames.insert(place, (Arc::clone(frame), bytes));
        self.frames_bytes += bytes;
        while self.frames.len() > 1 && self.frames_bytes > FRAMES_BYTES {
            self.frames_bytes -= self.frames.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        let moment = Moment::of(frame, &mut self.nics);
        self.figures_bytes += moment.bytes();
        self.moments.insert(at, moment);
        let now_ns = self.moments.back().map_or(0, |last| last.mono_ns);
        while let Some(first) = self.moments.front() {
            let is_old = now_ns.saturating_sub(first.mono_ns) > KEPT_NS;
            if !is_old && self.moments.len() <= MOST_MOMENTS && self.figures_bytes <= FIGURES_BYTES {
                break;
            }
            self.figures_bytes -= first.bytes();
            self.moments.pop_front();
        }
    }

    /// The frame before or after the one of this time.
    pub(super) fn beside(&self, mono_ns: u64, is_later: bool) -> Option<Arc<Frame>> {
        let at = self.frames.partition_point(|(frame, _)| frame.mono_ns < mono_ns);
        let at = if is_later { at + 1 } else { at.checked_sub(1)? };
        self.frames.get(at).map(|(frame, _)| Arc::clone(frame))
    }

    /// The frames of the last so many ns until this time as one; `None` if there are no two of them.
    pub(super) fn sum(&self, until_ns: u64, span_ns: u64) -> Option<Frame> {
        let from =
            self.frames.partition_point(|(frame, _)| frame.mono_ns <= until_ns.saturating_sub(span_ns));
        let to = self.frames.partition_point(|(frame, _)| frame.mono_ns <= until_ns);
        if to < from + 2 {
            return None;
        }
        let mut sum = Merged::default();
        self.frames.range(from..to).for_each(|(frame, _)| sum.add(frame));
        sum.frame()
    }

    /// The newest frame.
    pub(super) fn newest(&self) -> Option<&Arc<Frame>> {
        self.frames.back().map(|(frame, _)| frame)
    }

    /// For how long there are whole frames.
    pub(super) fn frames_ns(&self) -> u64 {
        let [first, last] = [self.frames.front(), self.frames.back()];
        first.zip(last).map_or(0, |((first, _), (last, _))| {
            last.mono_ns.saturating_sub(first.mono_ns).saturating_add(first.interval_ns)
        })
    }

    /// The last so many ns until this time, in so many slots: the highest network load of a CPU.
    pub(super) fn timeline(&self, until_ns: u64, span_ns: u64, slots: usize) -> Vec<Slot> {
        self.slots(until_ns, span_ns, slots, |moment| Some(moment.busiest_pct))
    }

    /// The same of the load of one NIC on all CPUs together.
    pub(super) fn of_nic(&self, nic: &NicId, (until_ns, span_ns): (u64, u64), slots: usize) -> Vec<Slot> {
        let number = self.nics.get(nic).copied();
        self.slots(until_ns, span_ns, slots, |moment| figure_of(&moment.of_nics, number?))
    }

    /// The same of what all NICs load a CPU with.
    pub(super) fn of_cpu(&self, cpu: u32, (until_ns, span_ns): (u64, u64), slots: usize) -> Vec<Slot> {
        self.slots(until_ns, span_ns, slots, |moment| figure_of(&moment.of_cpus, cpu))
    }

    fn slots(
        &self,
        until_ns: u64,
        span_ns: u64,
        slots: usize,
        figure: impl Fn(&Moment) -> Option<f32>,
    ) -> Vec<Slot> {
        let mut all = vec![Slot::default(); slots];
        for moment in self.moments.iter().rev().skip_while(|moment| moment.mono_ns > until_ns) {
            let Some(at) = slot_of(until_ns - moment.mono_ns, span_ns, slots) else { break };
            let slot = &mut all[at];
            slot.worst = slot.worst.max(moment.worst);
            if let Some(pct) = figure(moment) {
                slot.most_pct = Some(slot.most_pct.map_or(pct, |most| most.max(pct)));
            }
        }
        all
    }
}

/// The slot of a time that is so long ago; `None` if it is before the first.
pub(super) fn slot_of(ago_ns: u64, span_ns: u64, slots: usize) -> Option<usize> {
    let each_ns = (span_ns / slots.max(1) as u64).max(1);
    slots.checked_sub(usize::try_from(ago_ns / each_ns).ok()?.checked_add(1)?)
}

/// What belongs to a number, in figures in the order of their numbers.
fn figure_of(figures: &[(u32, f32)], number: u32) -> Option<f32> {
    let at = figures.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    Some(figures[at].1)
}

impl Moment {
    fn of(frame: &Frame, numbers: &mut HashMap<NicId, u32>) -> Self {
        let busiest = figures::network_pcts(frame).into_iter().map(|(_, load)| load).fold(0.0, f64::max);
        let (mut of_nics, mut of_cpus) = (BTreeMap::new(), BTreeMap::new());
        for nic in &frame.nics {
            let known = nic.cpus.iter().filter_map(|on| Some((on.cpu, narrow(on.known_load_pct()?))));
            let mut sum = None;
            for (cpu, pct) in known {
                *sum.get_or_insert(0.0) += pct;
                *of_cpus.entry(cpu).or_insert(0.0) += pct;
            }
            if let Some(sum) = sum {
                let new = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                of_nics.insert(*numbers.entry(NicId::of(nic)).or_insert(new), sum);
            }
        }
        Self {
            mono_ns: frame.mono_ns,
            busiest_pct: narrow(busiest),
            worst: frame.findings.iter().flatten().map(|finding| finding.severity).max(),
            of_nics: of_nics.into_iter().collect(),
            of_cpus: of_cpus.into_iter().collect(),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(self) + size_of_val(&*self.of_nics) + size_of_val(&*self.of_cpus)
    }
}

/// Figures of the timeline need few digits.
#[expect(clippy::cast_possible_truncation, reason = "a percentage")]
fn narrow(pct: f64) -> f32 {
    pct as f32
}

/// About how much memory a frame takes. Most of it is in rows that grow with NICs and CPUs, and in the setup.
fn bytes(frame: &Frame) -> usize {
    use crate::frame::{Cpu, Driver, Irq, IrqCpu, Napi, NapiCpu, Nic, NicCpu, SampledStack};
    let nic = |nic: &Nic| {
        let napis = nic.napis.iter().flatten();
        let napis = napis.map(|napi| size_of::<Napi>() + 32 + napi.cpus.len() * size_of::<NapiCpu>());
        let histograms = usize::from(nic.poll_ns_histogram.is_some()) * 1024;
        size_of::<Nic>() + 64 + nic.cpus.len() * size_of::<NicCpu>() + napis.sum::<usize>() + histograms
    };
    let driver = |driver: &Driver| {
        size_of::<Driver>() + driver.functions.iter().map(|of| 96 + of.symbol.len()).sum::<usize>()
    };
    let stack = |stack: &SampledStack| 64 + stack.functions.iter().map(|name| 24 + name.len()).sum::<usize>();
    let irq = |irq: &Irq| size_of::<Irq>() + 48 + irq.cpus.len() * size_of::<IrqCpu>();
    size_of::<Frame>()
        + frame.cpus.len() * size_of::<Cpu>()
        + frame.nics.iter().map(nic).sum::<usize>()
        + frame.drivers.iter().flatten().map(driver).sum::<usize>()
        + frame.stacks.iter().flatten().map(stack).sum::<usize>()
        + frame.irqs.iter().map(irq).sum::<usize>()
        + frame.topology.as_ref().map_or(0, |topology| topology.nics.len() * 6144 + 4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(second: u64) -> Arc<Frame> {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        (frame.seq, frame.mono_ns, frame.interval_ns) = (second, second * 1_000_000_000, 1_000_000_000);
        Arc::new(frame)
    }

    #[test]
    fn ten_minutes_of_figures_and_at_least_one_of_frames() {
        let mut history = History::default();
        for second in 1..=1000 {
            history.add(&frame(second));
        }
        assert_eq!(history.moments.len(), 601);
        assert!(history.frames_ns() >= 60_000_000_000);
        assert!(history.frames_bytes <= FRAMES_BYTES && history.figures_bytes <= FIGURES_BYTES);
        let timeline = history.timeline(1_000_000_000_000, KEPT_NS, 60);
        assert!(timeline.iter().all(|slot| slot.most_pct.is_some_and(|pct| pct > 1.0)));
        assert_eq!(history.timeline(1_000_000_000_000, 2 * KEPT_NS, 4)[0].most_pct, None, "nobody knows");
    }

    #[test]
    fn stepping_ends_at_the_ends() {
        let mut history = History::default();
        (1..=3).for_each(|second| history.add(&frame(second)));
        let beside =
            |second: u64, later| history.beside(second * 1_000_000_000, later).map(|frame| frame.seq);
        assert_eq!((beside(3, false), beside(2, false), beside(1, false)), (Some(2), Some(1), None));
        assert_eq!((beside(2, true), beside(3, true)), (Some(3), None));
        history.add(&frame(2));
        assert_eq!(history.frames.len(), 3, "a step back in a replay");
        let mut other = Frame::clone(&frame(1));
        other.boot_id = Some("other".to_owned());
        history.add(&Arc::new(other));
        assert_eq!(history.frames.len(), 1, "another boot");
    }
}
