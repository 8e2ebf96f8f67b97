//! What is inside a network namespace: sockets and files, which keep answering for it wherever they are used.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::{self, Seek as _},
    path::Path,
    thread,
};

use rustix::{
    fd::{AsFd as _, AsRawFd as _, OwnedFd},
    fs::{Mode, OFlags},
    net::{AddressFamily, Protocol, SocketFlags, SocketType, netlink},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::privileges::{Answer, Privileges, Request};

/// A network namespace that can be asked about its interfaces.
#[derive(Debug)]
pub enum Netns {
    /// That of the calling thread.
    Own,
    /// Another one. It lives on as long as this value does.
    Other(Inside),
}

/// Sockets and files inside a network namespace.
#[derive(Debug)]
pub struct Inside {
    route: OwnedFd,
    generic: OwnedFd,
    /// Those of [`FILES`] that exist.
    files: Vec<(String, io::Result<fs::File>)>,
}

/// What is read of the folder `net` of a procfs. The folder itself cannot be kept: it is the thread's that
/// opened it, and ends with it (`get_proc_task_net`, `fs/proc/proc_net.c`).
const FILES: [&str; 4] = ["snmp", "netstat", "udp", "udp6"];

impl Netns {
    /// A netlink socket; `None` is `NETLINK_ROUTE`.
    pub(super) fn netlink(&self, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
        match self {
            Self::Own => netlink_socket(protocol),
            Self::Other(inside) => match protocol {
                None => inside.route.try_clone(),
                Some(_) => inside.generic.try_clone(),
            },
        }
    }

    /// A file of the folder `net` below this procfs; empty if it does not exist, as in a kernel without IP.
    /// Of another namespace, one of [`FILES`].
    pub(super) fn read(&self, proc: &Path, file: &str) -> io::Result<String> {
        match self {
            Self::Own => match fs::read_to_string(proc.join("thread-self/net").join(file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
                read => read,
            },
            Self::Other(Inside { files, .. }) => match files.iter().find(|(name, _)| name == file) {
                Some((_, Ok(opened))) => {
                    let mut opened: &fs::File = opened;
                    opened.rewind()?;
                    io::read_to_string(opened)
                }
                Some((_, Err(error))) => Err(again(error)),
                None => Ok(String::new()),
            },
        }
    }
}

/// The same error, which the standard library cannot copy.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

fn netlink_socket(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    Ok(rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?)
}

/// Paths into these namespaces, as far as there are any.
pub(super) fn find(privileges: &Privileges, wanted: BTreeSet<u32>) -> io::Result<BTreeMap<u32, OsString>> {
    privileges.ask(Request::FindNamespaces(wanted)).map(|(found, _)| found)
}

/// What became of entering a namespace: the files that exist there, and the error number of each that cannot
/// be opened; or the error number of the namespace itself.
type Entered = Result<Vec<(String, Option<i32>)>, i32>;

/// Enters namespaces, whose inode numbers and paths are given; at most so many are held at once.
///
/// # Errors
/// Nobody can be asked. `each` is not called for those that are left.
pub(super) fn enter(
    privileges: &Privileges,
    places: &[(u32, OsString)],
    at_once: usize,
    mut each: impl FnMut(u32, io::Result<Netns>),
) -> io::Result<()> {
    for places in places.chunks(at_once) {
        let request = Request::EnterNamespaces(places.to_vec());
        let (entered, descriptors) = privileges.ask::<Vec<Entered>>(request)?;
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(|| io::Error::other("a descriptor is missing"));
        for ((inum, _), entered) in places.iter().zip(entered) {
            let inside = entered.map_err(io::Error::from_raw_os_error).and_then(|files| {
                let (route, generic) = (next()?, next()?);
                let mut file = |(name, errno): (String, Option<i32>)| match errno {
                    Some(errno) => Ok((name, Err(io::Error::from_raw_os_error(errno)))),
                    None => Ok((name, Ok(next()?.into()))),
                };
                let files = files.into_iter().map(&mut file).collect::<io::Result<_>>()?;
                Ok(Netns::Other(Inside { route, generic, files }))
            });
            each(*inum, inside);
        }
    }
    Ok(())
}

/// Reads each wanted namespace that can be found and entered, except `own`.
pub fn visit<T>(
    privileges: &Privileges,
    own: u32,
    wanted: &BTreeSet<u32>,
    mut read: impl FnMut(u32, &Netns) -> T,
) -> Vec<T> {
    let wanted = wanted.iter().copied().filter(|inum| *inum != own).collect();
    let Ok(places) = find(privileges, wanted) else { return Vec::new() };
    let mut found = Vec::new();
    let places: Vec<_> = places.into_iter().collect();
    // Reading takes the RTNL lock, so that one namespace after the other is held.
    let entered =
        enter(privileges, &places, 1, |inum, netns| found.extend(netns.ok().map(|netns| read(inum, &netns))));
    // If nobody can be asked any more, whoever reads counters says so.
    drop(entered);
    found
}

/// The privileged side: opens everything inside each of these namespaces, on a thread that ends afterwards.
/// The error numbers of those that it cannot enter are in the answer.
pub(super) fn open_inside(proc: &Path, places: &[(u32, OsString)]) -> io::Result<Answer> {
    let (mut answers, mut descriptors) = (Vec::new(), Vec::new());
    let entered = thread::scope(|scope| {
        let open = || {
            let inside = |(inum, place): &(u32, OsString)| enter_here(proc, Path::new(place), *inum);
            places.iter().map(inside).collect::<Vec<_>>()
        };
        thread::Builder::new().spawn_scoped(scope, open).map(thread::ScopedJoinHandle::join)
    })?;
    for entered in entered.map_err(|_| io::Error::other("entering namespaces failed"))? {
        answers.push(
            entered
                .map(|inside| inside.pass_on(&mut descriptors))
                .map_err(|error| error.raw_os_error().unwrap_or(libc::ENOENT)),
        );
    }
    Answer::new::<Vec<Entered>>(&answers, descriptors)
}

impl Inside {
    /// Adds its descriptors to those that are passed on, and returns which files are among them.
    fn pass_on(self, descriptors: &mut Vec<OwnedFd>) -> Vec<(String, Option<i32>)> {
        descriptors.extend([self.route, self.generic]);
        let file = |(name, file): (String, io::Result<fs::File>)| match file {
            Ok(file) => {
                descriptors.push(file.into());
                (name, None)
            }
            Err(error) => (name, Some(error.raw_os_error().unwrap_or(libc::EIO))),
        };
        self.files.into_iter().map(file).collect()
    }
}

/// Moves the calling thread into a network namespace for good.
fn enter_here(proc: &Path, place: &Path, inum: u32) -> io::Result<Inside> {
    move_into_link_name_space(open(proc, place, inum)?.as_fd(), Some(LinkNameSpaceType::Network))?;
    let file = |name: &str| match fs::File::open(proc.join("thread-self/net").join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        opened => Some((name.to_owned(), opened)),
    };
    Ok(Inside {
        route: netlink_socket(None)?,
        generic: netlink_socket(Some(netlink::GENERIC))?,
        files: FILES.into_iter().filter_map(file).collect(),
    })
}

/// Opens the file of a namespace, if it is still that of `inum`. Nothing else is opened, not even a device
/// that now has its path.
fn open(proc: &Path, place: &Path, inum: u32) -> io::Result<OwnedFd> {
    let there = rustix::fs::open(place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let is_namespace = rustix::fs::fstatfs(&there)?.f_type == libc::NSFS_MAGIC;
    if !is_namespace || rustix::fs::fstat(&there)?.st_ino != u64::from(inum) {
        return Err(io::ErrorKind::NotFound.into());
    }
    let path = proc.join(format!("self/fd/{}", there.as_raw_fd()));
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
