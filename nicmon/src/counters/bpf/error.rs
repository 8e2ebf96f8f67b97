//! What can go wrong between nicmon and the kernel.

use std::io;

use crate::{
    frame::cpu_list,
    host::{btf::BtfError, refusals::Refused},
};

/// A failure to load, attach or read the eBPF programs.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel has no usable BTF.
    #[error(
        "{0}\nnicmon needs the kernel's type information (BTF) to read kernel structures.\n\
         Use a kernel built with CONFIG_DEBUG_INFO_BTF=y; all current distributions provide one."
    )]
    NoBtf(#[from] BtfError),
    /// Permission is missing.
    #[error(
        "the kernel refuses to {action} {what}: {source}\n\
         nicmon needs CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8), and a kernel that is not \
         locked down to \"confidentiality\".\n\
         Run it as root, for example with sudo; `nicmon doctor` shows what is missing."
    )]
    Permission {
        /// `create`, `load` or `attach`.
        action: &'static str,
        /// The program, or the maps.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// A struct member that nicmon cannot do without.
    #[error(
        "this kernel's BTF has no {0}, which nicmon needs\n\
         Please report this kernel version. `nicmon --source proc` still shows counts."
    )]
    Member(&'static str),
    /// The kernel accepted the object but not this program.
    #[error(
        "cannot {action} the eBPF program {program}: {}\n`nicmon doctor` shows what this kernel allows.",
        with_causes(&**source)
    )]
    Program {
        /// `load` or `attach`.
        action: &'static str,
        /// The program.
        program: &'static str,
        /// aya's error, with the verifier's output.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No CPU can be sampled.
    #[error(
        "cannot sample the CPUs: {}\n`nicmon doctor` shows what this kernel allows.",
        with_causes(&**.0)
    )]
    Samples(Box<dyn std::error::Error + Send + Sync>),
    /// Some CPUs cannot be sampled.
    #[error("{cpus} not sampled: {}", with_causes(&**source))]
    SomeSamples {
        /// The CPUs, and a verb: `CPUs 3-5 are`.
        cpus: String,
        /// The error of the first.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A map could not be created, filled or read.
    #[error(
        "cannot use the BPF map {name}: {}\n`nicmon doctor` shows what this kernel allows.",
        with_causes(&**source)
    )]
    Map {
        /// The map.
        name: &'static str,
        /// aya's or the system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The built-in object is not the one this code was written for.
    #[error(
        "the built-in eBPF object has no {what} of the expected kind: this nicmon was built wrongly\n\
         Install a released version, or run `cargo xtask build-ebpf` and build nicmon again."
    )]
    Object {
        /// What is missing.
        what: &'static str,
    },
    /// The object could not be loaded as a whole.
    #[error(
        "cannot load the eBPF object: {}\n`nicmon doctor` shows what this kernel allows.",
        with_causes(.0)
    )]
    Load(#[from] aya::EbpfError),
}

impl ProbeError {
    /// What the kernel refused, with the error number; `None` if the kernel is not the cause.
    pub fn refusal(&self) -> Option<(Refused, i32)> {
        match self {
            Self::Permission { source, .. } => Some((Refused::Programs, source.raw_os_error()?)),
            Self::Samples(source) | Self::SomeSamples { source, .. } => {
                Some((Refused::Samples, errno(&**source)?))
            }
            // EACCES is the verifier's.
            Self::Program { action, source, .. } => {
                let is_verifier = |errno: &i32| *action == "load" && *errno == libc::EACCES;
                Some((Refused::Programs, errno(&**source).filter(|errno| !is_verifier(errno))?))
            }
            Self::Map { source, .. } => Some((Refused::Programs, errno(&**source)?)),
            Self::Load(source) => Some((Refused::Programs, errno(source)?)),
            Self::NoBtf(_) | Self::Member(_) | Self::Object { .. } => None,
        }
    }

    /// That these CPUs failed while others are sampled; `None` if none failed.
    pub(super) fn some_samples(failed: Vec<(u32, io::Error)>) -> Option<Self> {
        let mut cpus: Vec<u32> = failed.iter().map(|(cpu, _)| *cpu).collect();
        cpus.sort_unstable();
        let (word, verb) = if cpus.len() == 1 { ("CPU", "is") } else { ("CPUs", "are") };
        let (_, source) = failed.into_iter().next()?;
        let cpus = format!("{word} {} {verb}", cpu_list(&cpus));
        Some(Self::SomeSamples { cpus, source: Box::new(source) })
    }

    pub(super) fn map(name: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Map { name, source: Box::new(source) }
    }

    pub(super) fn program(
        action: &'static str,
        program: &'static str,
        source: aya::programs::ProgramError,
    ) -> Self {
        match permission_denied(&source) {
            Some(denied) => {
                Self::Permission { action, what: format!("the program {program}"), source: denied }
            }
            None => Self::Program { action, program, source: Box::new(source) },
        }
    }

    /// As [`Self::program`], for an error of the whole object.
    pub(super) fn object(error: aya::EbpfError) -> Self {
        match permission_denied(&error) {
            Some(source) => Self::Permission { action: "create", what: "BPF maps".to_owned(), source },
            None => Self::Load(error),
        }
    }
}

/// An error's text and those of its causes: aya's own text often lacks the last one, the errno.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    shortened(&text)
}

/// The verifier's output can have thousands of lines; what is wrong stands at its end.
fn shortened(text: &str) -> String {
    const FIRST: usize = 2;
    const LAST: usize = 12;
    let lines: Vec<&str> = text.lines().collect();
    let Some(left_out) = lines.len().checked_sub(FIRST + LAST + 1) else { return text.to_owned() };
    let (first, last) = (lines[..FIRST].join("\n"), lines[lines.len() - LAST..].join("\n"));
    format!("{first}\n... ({} lines left out)\n{last}", left_out + 1)
}

/// Finds EPERM in an error's chain of sources. EACCES comes from the verifier and is not about
/// permission.
fn permission_denied(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let errno = io_error(error)?.raw_os_error().filter(|errno| *errno == libc::EPERM)?;
    Some(io::Error::from_raw_os_error(errno))
}

/// The system's error number in an error's chain of sources.
pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    io_error(error)?.raw_os_error()
}

/// The system's error in an error's chain of sources.
fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>().filter(|io| io.raw_os_error().is_some()) {
            return Some(io);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    fn refused(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn the_end_of_a_long_output_is_kept() {
        let lines = |count: usize| (1..=count).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(shortened(&lines(14)), lines(14));
        let text = shortened(&lines(1000));
        assert!(
            text.starts_with("1\n2\n... (986 lines left out)\n989\n") && text.ends_with("\n1000"),
            "{text}"
        );
    }

    #[test]
    fn a_refusal_has_its_error_number() {
        let samples = ProbeError::Samples(Box::new(refused(libc::EACCES)));
        assert_eq!(samples.refusal(), Some((Refused::Samples, libc::EACCES)));
        let text = samples.to_string();
        assert!(text.starts_with("cannot sample the CPUs: ") && text.contains("(os error 13)"), "{text}");
        let some = |cpus: &[u32]| {
            ProbeError::some_samples(cpus.iter().map(|cpu| (*cpu, refused(libc::EMFILE))).collect())
        };
        assert!(some(&[]).is_none());
        for (cpus, start) in
            [(&[4, 3, 5, 9][..], "CPUs 3-5,9 are not sampled: "), (&[7], "CPU 7 is not sampled: ")]
        {
            let error = some(cpus).expect("an error");
            assert_eq!(error.refusal(), Some((Refused::Samples, libc::EMFILE)));
            let text = error.to_string();
            assert!(text.starts_with(start) && text.ends_with("Too many open files (os error 24)"), "{text}");
        }
        let program = |action, errno| {
            let refused = SyscallError { call: "bpf_prog_load", io_error: refused(errno) };
            ProbeError::program(action, "napi_poll", refused.into()).refusal()
        };
        assert_eq!(program("attach", libc::EPERM), Some((Refused::Programs, libc::EPERM)));
        assert_eq!(program("attach", libc::EACCES), Some((Refused::Programs, libc::EACCES)));
        assert_eq!(program("load", libc::ENOSYS), Some((Refused::Programs, libc::ENOSYS)));
        assert_eq!(program("load", libc::EACCES), None, "the verifier refused it");
        assert_eq!(ProbeError::Member("napi_struct.thread").refusal(), None);
    }
}
