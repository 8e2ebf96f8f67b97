//! The eBPF programs: which ones exist, and how to load and attach one.

use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, Program, ProgramError, RawTracePoint, raw_trace_point::RawTracePointLinkId,
        tp_btf::BtfTracePointLinkId,
    },
};

use super::{ProbeError, error::errno};

/// The two ways to attach a program. All programs are attached the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachKind {
    /// BTF tracepoint: typed arguments, read directly.
    TpBtf,
    /// Raw tracepoint: a helper reads each value.
    RawTp,
}

/// A program of the object. Each has the name of its tracepoint, except the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the tracepoint of that name")]
pub enum ProgramId {
    SoftirqExit,
    IrqHandlerExit,
    SoftirqEntry,
    IrqHandlerEntry,
    NapiPoll,
    KfreeSkb,
    SoftirqRaise,
    Sample,
}

impl ProgramId {
    /// The programs that every run attaches, in this order. Exits come before entries, so that no entry
    /// waits for an exit that nobody sees. `napi_poll` comes last, so that the run it falls into is
    /// known.
    pub const ALWAYS: [Self; 5] =
        [Self::SoftirqExit, Self::IrqHandlerExit, Self::SoftirqEntry, Self::IrqHandlerEntry, Self::NapiPoll];

    /// The name of the tracepoint, and of the program in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SoftirqExit => "softirq_exit",
            Self::IrqHandlerExit => "irq_handler_exit",
            Self::SoftirqEntry => "softirq_entry",
            Self::IrqHandlerEntry => "irq_handler_entry",
            Self::NapiPoll => "napi_poll",
            Self::KfreeSkb => "kfree_skb",
            Self::SoftirqRaise => "softirq_raise",
            Self::Sample => "sample",
        }
    }

    /// The program's name in the object. Programs for raw tracepoints have names of their own.
    pub(super) fn full_name(self, kind: AttachKind) -> String {
        match self {
            Self::Sample => self.name().to_owned(),
            _ => super::full_name(kind, self.name()),
        }
    }
}

/// Loads one program. `tracepoint` is the program's own name, except for the `empty` program.
pub(super) fn load<'a>(
    ebpf: &'a mut Ebpf,
    kind: AttachKind,
    name: &'static str,
    tracepoint: &'static str,
    btf: &Btf,
) -> Result<&'a mut Program, ProbeError> {
    let program = super::program_mut(ebpf, kind, name)?;
    match kind {
        AttachKind::TpBtf => {
            let loaded = <&mut BtfTracePoint>::try_from(&mut *program)
                .and_then(|program| patiently(|| program.load(tracepoint, btf)));
            loaded.map_err(|source| ProbeError::program("load", name, source))?;
        }
        AttachKind::RawTp => load_raw(program, name)?,
    }
    Ok(program)
}

/// Loads a program for raw tracepoints.
pub(super) fn load_raw(program: &mut Program, name: &'static str) -> Result<(), ProbeError> {
    let loaded = <&mut RawTracePoint>::try_from(program).and_then(|program| patiently(|| program.load()));
    loaded.map_err(|source| ProbeError::program("load", name, source))
}

/// Loads a program again if a signal came while the kernel verified it (`EAGAIN`, `do_check` in
/// `kernel/bpf/verifier.c`): somebody pressed Ctrl-Z, or made a window larger.
pub(super) fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const TRIES: u32 = 50;
    let is_interrupted = |error: &ProgramError| errno(error) == Some(libc::EAGAIN);
    (1..TRIES).map(|_| load()).find(|loaded| !loaded.as_ref().is_err_and(is_interrupted)).unwrap_or_else(load)
}

/// Attaches a loaded program. It stays attached until its [`Ebpf`] is dropped or it is [`detach`]ed.
pub(super) fn attach(
    program: &mut Program,
    name: &'static str,
    tracepoint: &'static str,
) -> Result<Link, ProbeError> {
    let link = match program {
        Program::BtfTracePoint(program) => program.attach().map(Link::TpBtf),
        Program::RawTracePoint(program) => program.attach(tracepoint).map(Link::RawTp),
        _ => return Err(ProbeError::Object { what: name }),
    };
    link.map_err(|source| ProbeError::program("attach", name, source))
}

/// The attachment of a program.
pub(super) enum Link {
    TpBtf(BtfTracePointLinkId),
    RawTp(RawTracePointLinkId),
}

/// Detaches a program. If that fails, it stays attached until the process ends.
pub(super) fn detach(program: &mut Program, link: Link) {
    let _ = match (program, link) {
        (Program::BtfTracePoint(program), Link::TpBtf(link)) => program.detach(link),
        (Program::RawTracePoint(program), Link::RawTp(link)) => program.detach(link),
        _ => Ok(()),
    };
}
