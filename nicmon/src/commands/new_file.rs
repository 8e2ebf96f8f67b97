//! A new file that gets its name only when everything else has worked. An existing file is kept as `.old`.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

/// A file that does not have its name yet. If it is dropped before it gets the name, it leaves no trace.
pub(super) struct NewFile {
    file: Option<File>,
    path: PathBuf,
    /// Its temporary name. `None` for a device or a pipe, which is opened under its own name.
    draft: Option<PathBuf>,
    /// New name for an existing file; `None` if that may be overwritten.
    old: Option<PathBuf>,
}

impl NewFile {
    /// Creates the file under a temporary name in its directory. An existing file of its name will be kept,
    /// unless `overwrite` is set.
    pub(super) fn create(path: &Path, overwrite: bool) -> io::Result<Self> {
        if is_kernel_name(path) || fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            // It may be a regular file after all, through a shell's `>>`, whose content must stay.
            let file = OpenOptions::new().append(true).open(path)?;
            return Ok(Self { file: Some(file), path: path.to_owned(), draft: None, old: None });
        }
        let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidFilename.into()) };
        let old = path.with_file_name(OsString::from_iter([name, OsStr::new(".old")]));
        if !overwrite && path.exists() && old.is_dir() {
            let why = format!("the existing file cannot be kept as {}, which is a directory", old.display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, why));
        }
        let number = format!(".{}", process::id());
        let draft =
            path.with_file_name(OsString::from_iter([OsStr::new("."), name, OsStr::new(number.as_str())]));
        let file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
        Ok(Self {
            file: Some(file),
            path: path.to_owned(),
            draft: Some(draft),
            old: Some(old).filter(|_| !overwrite),
        })
    }

    /// Writes the whole content and then gives the file its name, so no partial file ever has the name.
    pub(super) fn write_whole(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().ok_or(io::ErrorKind::NotFound)?.write_all(bytes)?;
        self.put_in_place().map(drop)
    }

    /// Gives the file its name. Also returns the new name of an existing file, if there was one.
    pub(super) fn put_in_place(mut self) -> io::Result<(File, Option<PathBuf>)> {
        let mut kept = None;
        if let Some(draft) = &self.draft {
            if let Some(old) = self.old.take().filter(|_| self.path.exists()) {
                fs::rename(&self.path, &old)?;
                kept = Some(old);
            }
            fs::rename(draft, &self.path)?;
            self.draft = None;
        }
        let file = self.file.take().ok_or(io::ErrorKind::NotFound)?;
        Ok((file, kept))
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
    directory.is_ok_and(|directory| directory == Path::new("/dev") || directory.starts_with("/proc"))
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // If this fails, a stray temporary file is left over. Nothing else depends on it.
            let _ = fs::remove_file(draft);
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

    fn write(path: &Path, text: &str, overwrite: bool) -> Option<PathBuf> {
        let (mut file, kept) =
            NewFile::create(path, overwrite).and_then(NewFile::put_in_place).expect("a new file");
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
        drop(NewFile::create(&path, false).expect("a new file"));
        assert_eq!(names(directory.path()), ["a.rec"]);
        assert_eq!(fs::read_to_string(&path).expect("read"), "1");
    }

    #[test]
    fn impossible_paths() {
        assert!(NewFile::create(Path::new("/nosuch/a.rec"), false).is_err());
        assert!(NewFile::create(Path::new("/"), false).is_err());
        assert!(NewFile::create(Path::new(""), false).is_err());
    }

    #[test]
    fn an_existing_file_that_cannot_be_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.rec");
        fs::create_dir(directory.path().join("a.rec.old")).expect("a directory");
        write(&path, "1", false);
        let refused = NewFile::create(&path, false).err().expect("the existing file cannot be kept");
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
        assert!(NewFile::create(Path::new("/dev/nosuch"), false).is_err());
    }
}
