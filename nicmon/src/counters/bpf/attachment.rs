//! Attaching the programs to their tracepoints, and detaching them. Loaded programs stay loaded.

use super::{
    AttachKind, Probe, ProbeError, ProgramId,
    budget::{CpuShare, Step},
    full_name, program_mut,
    programs::{self, Link},
};

/// What is attached, in that order.
#[derive(Default)]
pub(super) struct Links {
    programs: Vec<(ProgramId, Link)>,
    empties: Vec<Link>,
}

/// The hooks that each packet passes that comes one per poll.
const PER_PACKET: [&str; 3] = ["softirq_exit", "softirq_entry", "napi_poll"];

impl Probe {
    /// Attaches all programs for tracepoints.
    ///
    /// # Errors
    /// The kernel refuses one of them.
    pub fn attach_programs(&mut self) -> Result<(), ProbeError> {
        self.attached.clone().into_iter().try_for_each(|id| self.attach_program(id))
    }

    /// Detaches them, entries before exits, so that no run stays open.
    pub fn detach_programs(&mut self) {
        for (id, link) in self.links.programs.drain(..).rev() {
            if let Some(program) = self.ebpf.program_mut(&id.full_name(self.kind)) {
                programs::detach(program, link);
            }
        }
    }

    /// Stops counting drops, or counts them again, if their program's cost asks for it. In windows, the other
    /// programs cost `attached_pct` while they are attached.
    pub fn keep_budget(&mut self, attached_pct: Option<f64>) {
        let all_the_time = |share: CpuShare| CpuShare {
            pct: share.pct - share.windowed_pct + attached_pct.unwrap_or(share.windowed_pct),
            ..share
        };
        let costliest = self.costliest_cpu().map(all_the_time);
        let Some(budget) = &mut self.budget else { return };
        let (now_ns, interval_ns) = self.runs.interval();
        match budget.follow((now_ns, interval_ns), costliest) {
            Step::Stay => {}
            Step::Pause => self.detach_program(ProgramId::KfreeSkb),
            Step::Resume => {
                let is_attached = self.attach_program(ProgramId::KfreeSkb).is_ok();
                if let Some(budget) = &mut self.budget {
                    budget.resumed(now_ns, is_attached);
                }
            }
        }
    }

    /// What the programs cost the CPU that pays most, in the interval that was read last; `None` if no cost
    /// is known.
    pub fn costliest_cpu(&self) -> Option<CpuShare> {
        self.runs.costliest_cpu(self.costs.as_ref())
    }

    /// How long the interval was that was read last.
    pub fn interval_ns(&self) -> u64 {
        self.runs.interval().1
    }

    /// Why drops are not counted, if that is to save CPU time.
    pub(super) fn not_counting_drops(&self) -> Option<String> {
        let budget = self.budget.as_ref()?;
        let cpu = budget.paused_for()?;
        Some(format!(
            "dropped packets are not counted for now, because nicmon's programs took more than {} % of \
             CPU {cpu}; to count them at any cost, use --max-overhead off",
            budget.max_pct()
        ))
    }

    pub(super) fn attach_program(&mut self, id: ProgramId) -> Result<(), ProbeError> {
        let program = program_mut(&mut self.ebpf, self.kind, id.name())?;
        self.links.programs.push((id, programs::attach(program, id.name(), id.name())?));
        Ok(())
    }

    pub(super) fn detach_program(&mut self, id: ProgramId) {
        let Some(at) = self.links.programs.iter().position(|(attached, _)| *attached == id) else { return };
        let (_, link) = self.links.programs.remove(at);
        if let Some(program) = self.ebpf.program_mut(&id.full_name(self.kind)) {
            programs::detach(program, link);
        }
    }

    pub(super) fn is_attached(&self, id: ProgramId) -> bool {
        self.links.programs.iter().any(|(attached, _)| *attached == id)
    }

    /// Attaches the empty program to each of the three hooks that a packet passes. It is the one for raw
    /// tracepoints, which can be attached to any; the kernel calls BTF tracepoints in the same way
    /// (`__bpf_trace_run`, `kernel/trace/bpf_trace.c`).
    ///
    /// # Errors
    /// The kernel refuses that.
    pub fn attach_empties(&mut self) -> Result<(), ProbeError> {
        let empty = program_mut(&mut self.ebpf, AttachKind::RawTp, "empty")?;
        if empty.fd().is_err() {
            programs::load_raw(empty, "empty")?;
        }
        for hook in PER_PACKET {
            self.links.empties.push(programs::attach(empty, "empty", hook)?);
        }
        Ok(())
    }

    /// Detaches them.
    pub fn detach_empties(&mut self) {
        let Some(empty) = self.ebpf.program_mut(&full_name(AttachKind::RawTp, "empty")) else { return };
        for link in self.links.empties.drain(..) {
            programs::detach(empty, link);
        }
    }
}
