//! What can go wrong between nicmon and the kernel.

use std::io;

use crate::host::btf::BtfError;

/// A failure to load, attach or read the kernel programs.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel has no usable BTF.
    #[error(
        "{0}\nnicmon finds its way in kernel structures by the kernel's own type information (BTF).\n\
         Use a kernel built with CONFIG_DEBUG_INFO_BTF=y: those of all current distributions are."
    )]
    NoBtf(#[from] BtfError),
    /// Permission is missing.
    #[error(
        "the kernel refuses to {action} {what}: {source}\n\
         nicmon needs CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8), and a kernel that is not locked \
         down to \"confidentiality\".\n\
         Run it as root, for example with sudo; `nicmon doctor` shows what is missing."
    )]
    Permission {
        /// `create`, `load` or `attach`.
        action: &'static str,
        /// Which program, or the maps.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A struct member without which nothing can be told apart.
    #[error("this kernel's BTF has no {0}, which nicmon needs; please report this kernel version")]
    Member(&'static str),
    /// The kernel took the object but not this program.
    #[error(
        "cannot {action} the program {program}: {source}\n`nicmon doctor` shows what this kernel allows."
    )]
    Program {
        /// `load` or `attach`.
        action: &'static str,
        /// The program.
        program: &'static str,
        /// aya's error, with the verifier's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A map could not be made, filled or read.
    #[error("the BPF map {name} failed: {source}")]
    Map {
        /// The map.
        name: &'static str,
        /// aya's or the system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The built-in object is not the one this code was written for.
    #[error("the built-in BPF object has no {what} of the expected kind: this nicmon was built wrongly")]
    Object {
        /// What is missing.
        what: &'static str,
    },
    /// The object could not be loaded as a whole.
    #[error("cannot load the BPF object: {0}\n`nicmon doctor` shows what this kernel allows.")]
    Load(#[from] aya::EbpfError),
}

impl ProbeError {
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

    /// The same for an error of the whole object.
    pub(super) fn object(error: aya::EbpfError) -> Self {
        match permission_denied(&error) {
            Some(source) => Self::Permission { action: "create", what: "BPF maps".to_owned(), source },
            None => Self::Load(error),
        }
    }
}

/// EPERM anywhere in an error's chain of sources. EACCES is the verifier's and not a matter of permission.
fn permission_denied(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.raw_os_error() == Some(libc::EPERM)
        {
            return Some(io::Error::from_raw_os_error(libc::EPERM));
        }
        next = error.source();
    }
    None
}
