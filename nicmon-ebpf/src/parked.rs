//! Softirq runs of several tasks on one CPU. On `PREEMPT_RT` without `CONFIG_PREEMPT_RT_NEEDS_BH_LOCK` (Linux
//! 6.18, kernel/softirq.c: `__local_bh_disable_ip`) a task that runs softirqs can be preempted by another one
//! that does, on the same CPU. The run that is interrupted is set aside, and taken up again at the next event
//! of its task.

use aya_ebpf::helpers::bpf_get_current_task;
use nicmon_common::{CpuState, PARKED_RUNS, ParkedRun};

/// Makes room for a run that begins in the current task.
///
/// # Safety
/// `softirq_entry` calls it, on `PREEMPT_RT`; `state` is this CPU's element.
#[inline(always)]
pub unsafe fn begin(state: *mut CpuState) {
    // SAFETY: only softirq programs write these fields. The sampler may read the start and the task at any
    // moment, hence volatile. The helper has no preconditions.
    unsafe {
        let task = bpf_get_current_task();
        if let Some(place) = find(state, task) {
            // The exit of that run was missed.
            (*state).softirq_lost += 1;
            (*place).task = 0;
        }
        if (*state).softirq.start != 0 {
            if (*state).task == task {
                // Likewise.
                (*state).softirq_lost += 1;
            } else {
                park(state);
            }
        }
        (&raw mut (*state).task).write_volatile(task);
    }
}

/// Takes up the current task's run, if it was set aside.
///
/// # Safety
/// A softirq program calls it, in a task that is not `state.task`; `state` is this CPU's element.
#[inline(always)]
pub unsafe fn resume(state: *mut CpuState) -> bool {
    // SAFETY: as for `begin`.
    unsafe {
        let task = bpf_get_current_task();
        let Some(place) = find(state, task) else { return false };
        let run = place.read();
        (*place).task = 0;
        if (*state).softirq.start != 0 {
            park(state);
        }
        // What belongs to the CPU, not to the run, stays as it is now.
        let softirq = &raw mut (*state).softirq;
        let backlog_napi = (*softirq).backlog_napi;
        let stamping = (*softirq).stamping;
        (&raw mut (*softirq).start).write_volatile(0);
        (*softirq).start_irq = run.softirq.start_irq;
        (*softirq).backlog_napi = backlog_napi;
        (*softirq).polls = run.softirq.polls;
        (*softirq).last_slot = run.softirq.last_slot;
        (*softirq).first_work = run.softirq.first_work;
        (*softirq).first_repoll = run.softirq.first_repoll;
        // A run with a poll that was noted without a timestamp must end that way, and the other way round.
        (*softirq).stamping = if run.softirq.polls == 0 { stamping } else { run.softirq.stamping };
        (*state).mark = run.mark;
        (*state).mark_irq = run.mark_irq;
        (&raw mut (*softirq).vector_plus_one).write_volatile(run.softirq.vector_plus_one);
        (&raw mut (*state).task).write_volatile(task);
        (&raw mut (*softirq).start).write_volatile(run.softirq.start);
    }
    true
}

/// Takes a run that ended off those that it interrupted.
///
/// # Safety
/// `softirq_exit` calls it; `state` is this CPU's element.
#[inline(always)]
pub unsafe fn take_off(state: *mut CpuState, run_ns: u64) {
    for number in 0..PARKED_RUNS {
        // SAFETY: within the array; only softirq programs write it.
        unsafe {
            let place = (&raw mut (*state).parked).cast::<ParkedRun>().add(number);
            if (*place).task != 0 {
                (*place).softirq.start += run_ns;
                (*place).mark += run_ns;
            }
        }
    }
}

/// An exit for which there is no run. True if the run was dropped for lack of room: it is lost.
///
/// # Safety
/// As for [`resume`].
#[inline(always)]
pub unsafe fn end_of_dropped(state: *mut CpuState) -> bool {
    // SAFETY: only softirq programs write this.
    unsafe {
        let dropped = (*state).dropped_runs;
        (*state).dropped_runs = dropped.saturating_sub(1);
        dropped != 0
    }
}

/// Whether the current task's run is set aside: the vector plus one, or 0. The sampler calls this, perhaps in
/// the midst of another program: it may then miss the run, which makes one sample the task's.
///
/// # Safety
/// `state` is this CPU's element.
#[inline(always)]
pub unsafe fn vector_plus_one(state: *const CpuState) -> u8 {
    // SAFETY: the helper has no preconditions. If the sampler is an NMI, it may see a run that is half
    // written: then one sample has the wrong softirq.
    unsafe {
        match find(state.cast_mut(), bpf_get_current_task()) {
            Some(place) => (&raw const (*place).softirq.vector_plus_one).read_volatile(),
            None => 0,
        }
    }
}

/// Sets the run aside that is in `state`. If there is no room, it is dropped, and its exit will be lost.
///
/// # Safety
/// As for [`begin`].
#[inline(always)]
unsafe fn park(state: *mut CpuState) {
    // SAFETY: as for `begin`.
    unsafe {
        let Some(place) = find(state, 0) else {
            (*state).dropped_runs += 1;
            return;
        };
        place.write(ParkedRun {
            task: (*state).task,
            softirq: (*state).softirq,
            mark: (*state).mark,
            mark_irq: (*state).mark_irq,
        });
    }
}

/// The place of a task's run, or a free one for task 0.
///
/// # Safety
/// As for [`begin`].
#[inline(always)]
unsafe fn find(state: *mut CpuState, task: u64) -> Option<*mut ParkedRun> {
    for number in 0..PARKED_RUNS {
        // SAFETY: within the array.
        unsafe {
            let place = (&raw mut (*state).parked).cast::<ParkedRun>().add(number);
            if (&raw const (*place).task).read_volatile() == task {
                return Some(place);
            }
        }
    }
    None
}
