//! Errors in one line, for frames and messages.

use std::error::Error;

use super::CollectError;
use crate::host::refusals::Refusers;

/// What failed, why, and what to do, in one line.
#[cfg_attr(not(feature = "bpf"), expect(unused_variables, reason = "files are not refused like that"))]
pub(super) fn reason(error: &CollectError, refusers: &Refusers) -> String {
    let why = first_line(error);
    match error {
        #[cfg(feature = "bpf")]
        CollectError::Probe(refused) => {
            let remedy = refused.refusal().map(|(what, errno)| refusers.remedy(what, errno));
            format!("{why}; {}", remedy.as_deref().unwrap_or("see `nicmon doctor`"))
        }
        _ => why,
    }
}

/// The first line of an error. `nicmon doctor` shows the others.
pub(super) fn first_line(error: &impl Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
