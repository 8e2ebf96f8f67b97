//! What takes a privilege: processes and network namespaces of others.

use std::{collections::BTreeMap, ffi::OsString, io, path::Path};

use super::{netns, netns_inside, socket_owner};
use crate::privileges::{Answer, Request};

/// Does what a request asks for; `None` if it is not about the host. `proc` is the procfs root.
///
/// # Errors
/// The kernel refuses it.
pub fn perform(proc: &Path, request: &Request) -> Option<io::Result<Answer>> {
    Some(match request {
        Request::ExistingNamespaces => Answer::new(&netns::existing(proc), Vec::new()),
        Request::FindNamespaces(wanted) => {
            let found = netns::find(proc, wanted).into_iter();
            let found: BTreeMap<u32, OsString> = found.map(|(inum, path)| (inum, path.into())).collect();
            Answer::new(&found, Vec::new())
        }
        Request::IdentifyNamespaces(wanted, own) => {
            Answer::new(&netns::identities(proc, *own, wanted), Vec::new())
        }
        Request::EnterNamespaces(places) => netns_inside::open_inside(proc, places),
        Request::FindSocketOwners(inodes) => Answer::new(&socket_owner::find(proc, inodes), Vec::new()),
        Request::HasSocket { pid, descriptor, inode } => {
            Answer::new(&socket_owner::has(proc, *pid, *descriptor, *inode), Vec::new())
        }
        Request::OpenEvent { .. } | Request::EnableStatistics | Request::LookAtFlows(_) => return None,
    })
}
