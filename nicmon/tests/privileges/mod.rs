//! Tests that need root, and tests that run nicmon without privileges.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use testkit::{not_run, process};

/// The user `nobody`; any user without privileges would do.
const NOBODY: u32 = 65534;

/// Whether a test that needs root can run. If not, this says that it did not.
pub(crate) fn is_root(name: &str) -> bool {
    let is_root = process::is_root();
    if !is_root {
        not_run::say(name, "needs root: run the tests with sudo");
    }
    is_root
}

/// A command that runs nicmon at `program` without privileges. For root it runs a copy, which lives as long
/// as the directory, because other users may not be able to read what root has built. For anybody else it
/// runs the program itself.
pub(crate) fn as_nobody(program: &str) -> (tempfile::TempDir, Command) {
    let directory = tempfile::tempdir().expect("a directory for the copy");
    if !process::is_root() {
        return (directory, Command::new(program));
    }
    let copy = directory.path().join("nicmon");
    // Another process makes the copy. If this one did, a child that another test starts could inherit the
    // open file for a moment, and running the copy would fail with "text file busy".
    let copied = Command::new("cp").arg(program).arg(&copy).status().expect("cp starts");
    assert!(copied.success(), "a copy of nicmon");
    for path in [directory.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("all may run the copy");
    }
    let mut command = Command::new(copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    (directory, command)
}
