//! Measuring in windows: the programs that time softirqs, polls and interrupts are attached only for some of
//! the time.

use std::mem::offset_of;

use nicmon_common::{CpuState, IrqContext, NET_RX, PARKED_RUNS, ParkedRun, SOFTIRQ_VECTORS, SoftirqContext};

use super::{Probe, ProbeError, ProgramId, mapped::MappedArray};
use crate::counters::CpuActivity;

/// The part of a softirq that had run when its CPU was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutRun {
    vector: usize,
    ns: u64,
}

impl Probe {
    /// Attaches what [`Probe::close_window`] detached. Nothing is left of what ran then.
    ///
    /// # Errors
    /// The kernel refuses a program. Those before it are attached.
    pub fn open_window(&mut self) -> Result<(), ProbeError> {
        self.forget_what_runs();
        let missing: Vec<ProgramId> =
            self.attached.iter().copied().filter(|id| is_windowed(*id) && !self.is_attached(*id)).collect();
        missing.into_iter().try_for_each(|id| self.attach_program(id))
    }

    /// Detaches the programs that run for each softirq, poll and interrupt. Those that count dropped packets
    /// and take samples stay.
    pub fn close_window(&mut self) {
        let windowed: Vec<ProgramId> =
            self.attached.iter().rev().copied().filter(|id| is_windowed(*id)).collect();
        for id in windowed {
            self.detach_program(id);
        }
    }

    /// Forgets what ran on each CPU when the programs were detached that follow it.
    pub fn forget_what_runs(&self) {
        for cpu in 0..self.before.cpus.len() {
            forget_what_runs(&self.cpus, cpu);
        }
    }

    /// What the programs that a window needs cost in this interval so far, in ns by CPU.
    pub fn windowed_cost(&self) -> Vec<(u32, u64)> {
        self.runs.windowed_ns(self.costs.as_ref())
    }

    /// The softirqs that ran at the last reading, by CPU.
    pub fn cut_runs(&self) -> Vec<CutRun> {
        self.before.cpus.iter().zip(&self.before.read_ns).map(|(state, now_ns)| cut(state, *now_ns)).collect()
    }
}

/// Whether a program is detached outside windows.
pub(super) fn is_windowed(program: ProgramId) -> bool {
    !matches!(program, ProgramId::KfreeSkb | ProgramId::Sample)
}

/// Makes what a CPU did in one window what it did inside: without the part of a run before its start, and
/// with the part of one that had not ended.
pub fn cut_to_window(activity: &mut CpuActivity, start: CutRun, end: CutRun) {
    for (vector, runs) in activity.vectors.iter_mut().enumerate() {
        let part = |cut: CutRun| if cut.vector == vector { cut.ns } else { 0 };
        runs.ns = runs.ns.map(|ns| (ns + part(end)).saturating_sub(part(start)));
    }
}

/// What a CPU's running softirq has that is not in the sums yet. On `PREEMPT_RT` there may be others, set
/// aside.
fn cut(state: &CpuState, now_ns: u64) -> CutRun {
    let SoftirqContext { start, start_irq, polls, vector_plus_one, .. } = state.softirq;
    let Some(vector) = usize::from(vector_plus_one).checked_sub(1).filter(|_| start != 0) else {
        return CutRun::default();
    };
    // What was filed of a run of several polls ends with the last of them.
    let is_filed = vector == NET_RX as usize && polls > 0 && state.mark > start;
    let (from, from_irq) = if is_filed { (state.mark, state.mark_irq) } else { (start, start_irq) };
    let ns = now_ns.saturating_sub(from).saturating_sub(state.irq_total_ns.saturating_sub(from_irq));
    CutRun { vector, ns }
}

/// Empties what a program left behind for the one that would have followed, had it not been detached. None
/// is attached.
fn forget_what_runs(cpus: &MappedArray<CpuState>, cpu: usize) {
    cpus.store_u64(cpu, offset_of!(CpuState, softirq) + offset_of!(SoftirqContext, start), 0);
    cpus.store(cpu, offset_of!(CpuState, irq) + offset_of!(IrqContext, depth), 0);
    cpus.store_u64(cpu, offset_of!(CpuState, task), 0);
    cpus.store_u64(cpu, offset_of!(CpuState, dropped_runs), 0);
    for vector in 0..SOFTIRQ_VECTORS {
        cpus.store_u64(cpu, offset_of!(CpuState, raised_at) + vector * size_of::<u64>(), 0);
    }
    for run in 0..PARKED_RUNS {
        let at = offset_of!(CpuState, parked) + run * size_of::<ParkedRun>();
        cpus.store_u64(cpu, at + offset_of!(ParkedRun, task), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Runs;

    fn state(vector: u8, polls: u32, start: u64, mark: u64) -> CpuState {
        let softirq =
            SoftirqContext { start, start_irq: 5, polls, vector_plus_one: vector + 1, ..Default::default() };
        CpuState { softirq, mark, mark_irq: 15, irq_total_ns: 25, ..Default::default() }
    }

    #[test]
    fn a_run_is_cut_where_the_sums_end() {
        assert_eq!(cut(&state(3, 0, 1000, 900), 1100), CutRun { vector: 3, ns: 80 }, "no poll");
        assert_eq!(
            cut(&state(3, 1, 1000, 900), 1100),
            CutRun { vector: 3, ns: 80 },
            "a poll that is only noted"
        );
        assert_eq!(cut(&state(3, 2, 1000, 1050), 1100), CutRun { vector: 3, ns: 40 }, "polls that are filed");
        assert_eq!(
            cut(&state(1, 0, 1000, 1050), 1100),
            CutRun { vector: 1, ns: 80 },
            "a poll of another run"
        );
        assert_eq!(cut(&state(3, 0, 0, 900), 1100), CutRun::default(), "nothing runs");
        assert_eq!(cut(&CpuState::default(), 1100), CutRun::default(), "nothing ever ran");
        assert_eq!(cut(&state(3, 0, 1200, 900), 1100).ns, 0, "it started while the CPU was read");
    }

    #[test]
    fn a_window_has_the_parts_inside() {
        let mut activity = CpuActivity::default();
        activity.vectors[3] = Runs { count: 2, ns: Some(500), max_ns: Some(400) };
        activity.vectors[1] = Runs { count: 0, ns: Some(0), max_ns: Some(0) };
        cut_to_window(&mut activity, CutRun { vector: 3, ns: 120 }, CutRun { vector: 1, ns: 7 });
        assert_eq!((activity.vectors[3].ns, activity.vectors[1].ns), (Some(380), Some(7)));
        assert_eq!(activity.vectors[3].count, 2, "parts are no runs");
    }
}
