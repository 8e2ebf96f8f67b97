//! What tests of nicmon's programs need of the user who runs them, and nicmon without privileges.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use testkit::{not_run, process};

/// `nobody`: any user without privileges does.
const NOBODY: u32 = 65534;

/// True if a test that needs root can run; if not, that is said.
pub(crate) fn is_root(name: &str) -> bool {
    let is_root = process::is_root();
    if !is_root {
        not_run::say(name, "needs root: run the tests with sudo");
    }
    is_root
}

/// nicmon at `program`, run without privileges. Root runs a copy that lives as long as the directory, since others
/// may not see what root has built; for anybody else it is the program itself.
pub(crate) fn as_nobody(program: &str) -> (tempfile::TempDir, Command) {
    let directory = tempfile::tempdir().expect("a directory for the copy");
    if !process::is_root() {
        return (directory, Command::new(program));
    }
    let copy = directory.path().join("nicmon");
    // By another process: what we have open for writing, a child that another test starts may hold for a moment,
    // and then the copy is "busy".
    let copied = Command::new("cp").arg(program).arg(&copy).status().expect("cp starts");
    assert!(copied.success(), "a copy of nicmon");
    for path in [directory.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("all may run the copy");
    }
    let mut command = Command::new(copy);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    (directory, command)
}
