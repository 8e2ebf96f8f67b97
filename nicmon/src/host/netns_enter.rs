//! Enters network namespaces, and returns.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::netns::{find, own_path};

/// The thread that enters namespaces could not return to its own, and has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the thread that reads network namespaces could not return to its own namespace, and has ended: counters \
     and names of interfaces are unknown from now on; start nicmon again"
)]
pub struct Stopped;

/// Enters each wanted namespace that can be found, calls `read` there, and returns to `own`, the namespace of
/// the calling thread. Returns the results. Only for a thread that does nothing else.
///
/// # Errors
/// The thread could not return to its own namespace, and must end.
pub fn visit<T>(
    proc: &Path,
    own: u32,
    wanted: &BTreeSet<u32>,
    mut read: impl FnMut(u32) -> T,
) -> Result<Vec<T>, Stopped> {
    let Ok(home) = open(&own_path(proc), own) else { return Ok(Vec::new()) };
    let places: BTreeMap<u32, PathBuf> =
        find(proc, wanted).into_iter().filter(|(inum, _)| *inum != own).collect();
    let mut found = Vec::new();
    for (inum, place) in places {
        if open(&place, inum).and_then(|file| enter(&file)).is_ok() {
            found.push(read(inum));
            enter(&home).map_err(|_| Stopped)?;
        }
    }
    Ok(found)
}

pub(super) fn leads_to(place: &Path, inum: u32) -> bool {
    fs::metadata(place).is_ok_and(|metadata| metadata.ino() == u64::from(inum))
}

/// Opens the file of a namespace, if it is still that of `inum`.
pub(super) fn open(place: &Path, inum: u32) -> io::Result<OwnedFd> {
    // Opening does not block, even if a FIFO now has the path.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(place, flags, Mode::empty())?;
    let is_it = rustix::fs::fstat(&file)?.st_ino == u64::from(inum);
    is_it.then_some(file).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Moves the calling thread into a network namespace; the kernel refuses any other file.
pub(super) fn enter(file: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}
