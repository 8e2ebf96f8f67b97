//! A new file that gets its name only when everything else has worked. An existing file is kept as `.old`.
//!
//! Recordings are often written to /tmp by root, where anyone may put a link, a FIFO or a device in their
//! place. So whatever exists there already is only used if it is a regular file, which is replaced and never
//! written to, or belongs to the caller. All steps go through one descriptor of the directory.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use super::failure::shown;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat, openat, renameat,
        statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

/// How long to wait until somebody reads the FIFO that is to be written.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many temporary names are tried, in case somebody took the first.
const DRAFTS: u32 = 100;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// The caller alone: names of hosts, processes and interfaces are nobody else's business.
    Caller,
    /// Everybody whom the umask allows.
    Everybody,
}

/// A file that does not have its name yet. If it is dropped before it gets the name, it leaves no trace.
pub(super) struct NewFile {
    file: Option<File>,
    /// `None` for a device or a pipe, which is opened under its own name.
    draft: Option<Draft>,
}

/// A file under a temporary name.
struct Draft {
    directory: OwnedFd,
    /// What the file is called now.
    present: OsString,
    /// What it will be called.
    name: OsString,
    /// New path for an existing file; `None` if that may be overwritten.
    old: Option<PathBuf>,
}

/// A file that has its name.
pub(super) struct Placed {
    /// Open for writing; a regular file of our own also for reading.
    pub(super) file: File,
    /// The new name of the file that had the name before.
    pub(super) kept: Option<PathBuf>,
    /// Whether it is a regular file of our own, which holds nothing but what is written to `file`.
    pub(super) is_own: bool,
}

impl NewFile {
    /// Creates the file under a temporary name in its directory. An existing file of its name will be kept,
    /// unless `overwrite` is set.
    pub(super) fn create(path: &Path, overwrite: bool, readers: Readers) -> io::Result<Self> {
        if is_kernel_name(path) {
            return Ok(Self { file: Some(open_existing(path, true)?), draft: None });
        }
        let Some(name) = path.file_name() else {
            // `/` and `..`
            return Err(if path.is_dir() {
                Errno::ISDIR.into()
            } else {
                io::ErrorKind::InvalidFilename.into()
            });
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
        if check(&directory, name)? && fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Ok(Self { file: Some(open_existing(path, false)?), draft: None });
        }
        let old_name = OsString::from_iter([name, OsStr::new(".old")]);
        let old = path.with_file_name(&old_name);
        if !overwrite && path.symlink_metadata().is_ok() {
            let cannot = |why: &str| format!("the existing file cannot be kept as {}, {why}", shown(&old));
            if old.is_dir() {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, cannot("which is a directory")));
            }
            check(&directory, &old_name)
                .map_err(|error| io::Error::new(error.kind(), cannot(&format!("because {error}"))))?;
        }
        let (file, present) = create_draft(&directory, name, readers)?;
        let old = Some(old).filter(|_| !overwrite);
        let draft = Draft { directory, present, name: name.to_owned(), old };
        Ok(Self { file: Some(file), draft: Some(draft) })
    }

    /// Writes the whole content and then gives the file its name, so no partial file ever has the name.
    pub(super) fn write_whole(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().ok_or(io::ErrorKind::NotFound)?.write_all(bytes)?;
        self.put_in_place().map(drop)
    }

    /// Gives the file its name.
    pub(super) fn put_in_place(mut self) -> io::Result<Placed> {
        let mut kept = None;
        let is_own = self.draft.is_some();
        if let Some(draft) = &mut self.draft {
            kept = draft.put_in_place()?;
            self.draft = None;
        }
        let file = self.file.take().ok_or(io::ErrorKind::NotFound)?;
        Ok(Placed { file, kept, is_own })
    }
}

impl Draft {
    fn put_in_place(&mut self) -> io::Result<Option<PathBuf>> {
        let Self { directory, present, name, old } = self;
        let kept = old.take().filter(|_| is_there(directory, name));
        if let Some(old) = kept.as_deref().and_then(Path::file_name) {
            renameat(&*directory, &*name, &*directory, old)?;
        }
        renameat(&*directory, &*present, &*directory, &*name)?;
        Ok(kept)
    }
}

/// Opens a new file for reading and writing, under a temporary name that nobody has.
fn create_draft(directory: &OwnedFd, name: &OsStr, readers: Readers) -> io::Result<(File, OsString)> {
    let mode = match readers {
        Readers::Caller => Mode::RUSR | Mode::WUSR,
        Readers::Everybody => Mode::from_raw_mode(0o666),
    };
    // O_EXCL follows no link and opens nothing that exists.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut number = 0;
    loop {
        let suffix = if number == 0 { String::new() } else { format!(".{number}") };
        let suffix = format!(".{}{suffix}", process::id());
        let present = OsString::from_iter([OsStr::new("."), name, OsStr::new(&suffix)]);
        match openat(directory, &present, flags, mode) {
            Ok(file) => return Ok((File::from(file), present)),
            Err(Errno::EXIST) if number < DRAFTS => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_there(directory: &OwnedFd, name: &OsStr) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether the name exists, after checking that it is a regular file or the caller's. A link is not followed.
fn check(directory: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => check_owner(&stat).map(|()| true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn check_owner(stat: &Stat) -> io::Result<()> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        // Opening a directory for writing fails anyway, and says why.
        FileType::RegularFile | FileType::Directory => return Ok(()),
        _ if stat.st_uid == geteuid().as_raw() => return Ok(()),
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        _ => "device",
    };
    let why =
        format!("it is a {what} that belongs to another user (uid {}), so it may be a trap", stat.st_uid);
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Opens what is written to under its own name: a device, a pipe, or a regular file to which a shell's `>>`
/// leads, whose content must stay. Opening it has no effect on it before it is checked.
fn open_existing(path: &Path, is_kernels: bool) -> io::Result<File> {
    let found = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // Through the descriptor, so that what is opened is what was checked.
    let by_number = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
    let stat = fstat(&found)?;
    let leads_to = fs::read_link(&by_number).unwrap_or_default();
    if !is_kernels && !is_kernel_name(&leads_to) {
        check_owner(&stat)?;
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Socket {
        let why = "it is a socket; to write to one, use nicmon --json in a pipe";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let begun = Instant::now();
    let lacks_reader =
        |error: &io::Error| kind == FileType::Fifo && error.raw_os_error() == Some(libc::ENXIO);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    loop {
        match OpenOptions::new().append(true).custom_flags(flags).open(&by_number) {
            Ok(file) => {
                fcntl_setfl(file.as_fd(), fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
                return Ok(file);
            }
            // A FIFO without a reader (`fifo_open` in fs/pipe.c, Linux 6.18). It may just be starting.
            Err(error) if lacks_reader(&error) && begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(error) if lacks_reader(&error) => {
                let why = format!("nothing reads from it ({error}); start its reader first");
                return Err(io::Error::new(error.kind(), why));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the kernel made the name, such as /dev/stdout. It may lead to a regular file, but no other file
/// may replace it.
fn is_kernel_name(path: &Path) -> bool {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => fs::canonicalize("."),
        Some(parent) => fs::canonicalize(parent),
        None => return false,
    };
    directory.is_ok_and(|directory| {
        ["/dev", "/dev/pts"].iter().any(|made| directory == Path::new(made)) || directory.starts_with("/proc")
    })
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(Draft { directory, present, .. }) = &self.draft {
            // If this fails, a stray temporary file is left over. Nothing else depends on it.
            let _ = unlinkat(directory, present, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("a directory").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn create(path: &Path, overwrite: bool) -> io::Result<NewFile> {
        NewFile::create(path, overwrite, Readers::Caller)
    }

    fn write(path: &Path, text: &str, overwrite: bool) -> Option<PathBuf> {
        let placed = create(path, overwrite).and_then(NewFile::put_in_place);
        let Placed { mut file, kept, .. } = placed.expect("a new file");
        file.write_all(text.as_bytes()).expect("written");
        kept
    }

    #[test]
    fn an_existing_file_is_kept_unless_overwriting_is_allowed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.rec");
        assert_eq!(write(&path, "1", false), None);
        assert_eq!(write(&path, "2", false), Some(directory.path().join("a.rec.old")));
        assert_eq!(write(&path, "3", true), None);
        assert_eq!(names(directory.path()), ["a.rec", "a.rec.old"]);
        assert_eq!(fs::read_to_string(&path).expect("read"), "3");
        assert_eq!(fs::read_to_string(directory.path().join("a.rec.old")).expect("read"), "1");
    }

    #[test]
    fn a_dropped_file_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.rec");
        write(&path, "1", false);
        drop(create(&path, false).expect("a new file"));
        assert_eq!(names(directory.path()), ["a.rec"]);
        assert_eq!(fs::read_to_string(&path).expect("read"), "1");
    }

    #[test]
    fn impossible_paths() {
        assert!(create(Path::new("/nosuch/a.rec"), false).is_err());
        assert!(create(Path::new("/"), false).is_err());
        assert!(create(Path::new(""), false).is_err());
    }

    #[test]
    fn an_existing_file_that_cannot_be_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.rec");
        fs::create_dir(directory.path().join("a.rec.old")).expect("a directory");
        write(&path, "1", false);
        let refused = create(&path, false).err().expect("the existing file cannot be kept");
        assert!(refused.to_string().contains("a.rec.old, which is a directory"), "{refused}");
        assert_eq!(names(directory.path()), ["a.rec", "a.rec.old"]);
        assert_eq!(write(&path, "2", true), None);
    }

    /// /dev/stdout is a link to /proc/self/fd/1, which may be a regular file.
    #[test]
    fn kernel_names_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("redirected");
        let file = File::options().append(true).create(true).open(&path).expect("a file");
        let descriptor = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
        for text in ["1", "2"] {
            assert_eq!(write(&descriptor, text, false), None);
        }
        assert_eq!(fs::read_to_string(&path).expect("read"), "12");
        assert_eq!(names(directory.path()), ["redirected"]);
        assert!(is_kernel_name(Path::new("/dev/stdout")) && !is_kernel_name(Path::new("/dev/shm/a.rec")));
        assert!(create(Path::new("/dev/nosuch"), false).is_err());
    }
}
