//! Everything that takes a privilege once nicmon runs.

use std::{io, sync::Arc};

#[cfg(feature = "bpf")]
use crate::counters::bpf;
use crate::{
    host::{self, Roots},
    privileges::{Answer, Perform, Privileges, Request},
};

/// Does what requests ask for.
pub fn perform(roots: Roots) -> Perform {
    Arc::new(move |request| {
        let done = host::perform(&roots.proc, &request).or_else(|| of_programs(&request));
        done.unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into()))
    })
}

/// This process, with whatever it may do.
pub fn own(roots: Roots) -> Privileges {
    Privileges::own(perform(roots))
}

#[cfg(feature = "bpf")]
fn of_programs(request: &Request) -> Option<io::Result<Answer>> {
    bpf::perform(request)
}

#[cfg(not(feature = "bpf"))]
fn of_programs(_: &Request) -> Option<io::Result<Answer>> {
    None
}
