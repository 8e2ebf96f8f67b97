//! Attaching the programs to their tracepoints, and detaching them. Loaded programs stay loaded.

use super::{
    AttachKind, Probe, ProbeError, ProgramId, full_name, program_mut,
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
        for id in self.attached.clone() {
            let program = program_mut(&mut self.ebpf, self.kind, id.name())?;
            self.links.programs.push((id, programs::attach(program, id.name(), id.name())?));
        }
        Ok(())
    }

    /// Detaches them, entries before exits, so that no run stays open.
    pub fn detach_programs(&mut self) {
        for (id, link) in self.links.programs.drain(..).rev() {
            if let Some(program) = self.ebpf.program_mut(&id.full_name(self.kind)) {
                programs::detach(program, link);
            }
        }
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
