//! Errors in one line, for frames and messages.

use std::error::Error;

use super::CollectError;
use crate::host::Roots;
#[cfg(feature = "bpf")]
use crate::host::refusals::Refusers;

/// What to do about an error, what failed, and why, in one line.
#[cfg_attr(not(feature = "bpf"), expect(unused_variables, reason = "files are not refused like that"))]
pub(super) fn reason(error: &CollectError, roots: &Roots) -> String {
    let why = first_line(error);
    match error {
        #[cfg(feature = "bpf")]
        CollectError::Probe(refused) => match refused.refusal() {
            Some((what, errno)) => {
                format!("{}. The cause: {why}", Refusers::read(roots).remedy(what, errno))
            }
            None => format!("see `nicmon doctor`. The cause: {why}"),
        },
        _ => why,
    }
}

/// The first line of an error. `nicmon doctor` shows the others.
pub(super) fn first_line(error: &impl Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
