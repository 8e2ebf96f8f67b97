//! Bad input and bad surroundings: message and exit code of each, as snapshots.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Output, Stdio},
};

const NICMON: &str = env!("CARGO_BIN_EXE_nicmon");
/// `nobody`: any user without privileges does.
const NOBODY: u32 = 65534;

fn nicmon(arguments: &[&str]) -> Command {
    let mut command = Command::new(NICMON);
    command.args(arguments);
    command
}

fn output(command: &mut Command) -> Output {
    command.env("COLUMNS", "80").stdin(Stdio::null()).output().expect("nicmon starts")
}

/// What a user sees. Lines beginning with one of `machine` differ from machine to machine.
fn seen(output: &Output, machine: &[&str]) -> String {
    let text = |bytes: &[u8]| -> String {
        let text = String::from_utf8(bytes.to_vec()).expect("nicmon writes UTF-8");
        let line = |line: &str| match machine.iter().find(|begin| line.starts_with(*begin)) {
            Some(begin) => format!("{begin}[...]\n"),
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    };
    let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
    format!(
        "exit code: {code}\n--- standard output\n{}--- standard error\n{}",
        text(&output.stdout),
        text(&output.stderr)
    )
}

fn snapshot(name: &str, arguments: &[&str], machine: &[&str]) {
    let output = output(&mut nicmon(arguments));
    insta::assert_snapshot!(name, seen(&output, machine), &format!("nicmon {}", arguments.join(" ")));
}

/// Says aloud that a test needs root; true if it can run. Not by `eprintln!`, which the test harness keeps.
fn can_run(name: &str) -> bool {
    let is_root = xtask::process::is_root();
    if !is_root {
        writeln!(io::stderr(), "DID NOT RUN: {name}: needs root: run the tests with sudo")
            .expect("stderr is open");
    }
    is_root
}

#[test]
fn unknown_interface() {
    snapshot("unknown_interface", &["--json", "-i", "nosuch0"], &["There are: "]);
}

#[test]
fn bad_glob() {
    snapshot("bad_glob", &["--json", "-i", "eth[0"], &[]);
}

#[test]
fn delay_0() {
    snapshot("delay_0", &["--json", "-d", "0"], &[]);
}

#[test]
fn negative_delay() {
    snapshot("negative_delay", &["--json", "-d", "-1"], &[]);
    snapshot("negative_delay_with_unit", &["--json", "--delay", "-500ms"], &[]);
}

#[test]
fn no_delay() {
    snapshot("no_delay", &["--json", "-d", "soon"], &[]);
}

#[test]
fn cpu_that_no_kernel_has() {
    snapshot("cpu_that_no_kernel_has", &["--json", "-C", "9999"], &[]);
}

#[test]
fn cpu_that_this_machine_lacks() {
    const LACKS: &str = "nicmon: -C 8191: this machine has no such CPU; possible are ";
    snapshot("cpu_that_this_machine_lacks", &["--json", "-n", "1", "-C", "0,8191"], &[LACKS]);
}

#[test]
fn no_cpus() {
    snapshot("no_cpus", &["--json", "-C", "0-"], &[]);
}

#[test]
fn count_0() {
    snapshot("count_0", &["--json", "-n", "0"], &[]);
}

#[test]
fn unknown_option() {
    snapshot("unknown_option", &["--jsn"], &[]);
}

#[test]
fn help_fits_a_screen() {
    let output = output(&mut nicmon(&["--help"]));
    let text = String::from_utf8(output.stdout).expect("nicmon writes UTF-8");
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("Examples:"), "no examples: {text}");
    let lines = text.lines().count();
    assert!(lines <= 40, "{lines} lines");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns at COLUMNS=80:\n{text}");
}

#[test]
fn no_root() {
    // Where nobody is root the program runs as we do; else as a user without privileges, who needs a copy to run.
    let directory = tempfile::tempdir().expect("a directory for the copy");
    let mut command = if xtask::process::is_root() {
        let copy = directory.path().join("nicmon");
        fs::copy(NICMON, &copy).expect("a copy of nicmon");
        for path in [directory.path(), &copy] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("all may run the copy");
        }
        let mut command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    } else {
        Command::new(NICMON)
    };
    let output = output(command.args(["--json", "-n", "1"]));
    insta::assert_snapshot!("no_root", seen(&output, &[]), "nicmon --json -n 1, as an ordinary user");
}

#[test]
fn no_btf() {
    if !can_run("no_btf") {
        return;
    }
    // For this process alone.
    let script = "mount -t tmpfs tmpfs /sys/kernel/btf && exec \"$0\" --json -n 1";
    let output = output(Command::new("unshare").args(["--mount", "sh", "-c", script, NICMON]));
    insta::assert_snapshot!(
        "no_btf",
        seen(&output, &[]),
        "nicmon --json -n 1, without /sys/kernel/btf/vmlinux"
    );
}

#[test]
fn closed_pipe() {
    if !can_run("closed_pipe") {
        return;
    }
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let output = nicmon(&["--json", "-d", "100ms", "-n", "20"])
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("nicmon ends");
    insta::assert_snapshot!("closed_pipe", seen(&output, &[]), "nicmon --json into a pipe that nobody reads");
}

#[test]
fn full_disk() {
    if !can_run("full_disk") {
        return;
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = nicmon(&["--json", "-d", "100ms", "-n", "20"])
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("nicmon ends");
    insta::assert_snapshot!("full_disk", seen(&output, &[]), "nicmon --json to a disk without space");
}
