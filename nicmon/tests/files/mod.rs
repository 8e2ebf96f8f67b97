//! Files that nicmon writes and reads where anyone may put something else in their place, as in /tmp.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink},
    path::Path,
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use testkit::process::Running;

use super::{nicmon, output};
use crate::privileges::is_root;

const FRAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-rps.ndjson");
const PATIENCE: Duration = Duration::from_secs(20);
/// nobody
const ANOTHER: u32 = 65534;

fn record(path: &Path) -> Output {
    let arguments = ["record", "--source", "proc", "-o", path.to_str().expect("UTF-8"), "--", "true"];
    output(&mut nicmon(&arguments))
}

fn make_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo starts");
    assert!(status.success());
}

/// Asserts that the file was refused for this reason, with exit code 2.
fn refuses(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(why), "{said}");
}

#[test]
fn what_nicmon_writes_is_for_the_caller_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    assert_eq!(record(Path::new(&path("a.rec"))).status.code(), Some(0));
    let live = ["--source", "proc", "--json", "-n", "1", "-d", "100ms", "--capture", &path("seen")];
    assert_eq!(output(&mut nicmon(&live)).status.code(), Some(0));
    assert_eq!(output(&mut nicmon(&["report", FRAMES, "--html", &path("a.html")])).status.code(), Some(0));
    for name in ["a.rec", "seen", "a.html"] {
        let mode = fs::metadata(path(name)).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// What somebody else put in the place of a file: a place for their copy, or a way into another file.
#[test]
fn what_belongs_to_another_is_refused() {
    if !is_root("what_belongs_to_another_is_refused") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::write(at("victim"), "precious").expect("written");
    make_fifo(&at("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    for (link, target) in [("to-file", "victim"), ("to-nothing", "new"), ("to-null", "/dev/null")] {
        symlink(target, at(link)).expect("a link");
    }
    for name in ["fifo", "socket", "to-file", "to-nothing", "to-null"] {
        lchown(at(name), Some(ANOTHER), Some(ANOTHER)).expect("root may");
        refuses(&record(&at(name)), "that belongs to another user (uid 65534), so it may be a trap");
        let capture = ["--source", "proc", "--json", "-n", "1", "--capture"];
        refuses(
            &output(nicmon(&capture).arg(at(name))),
            "that belongs to another user (uid 65534), so it may be a trap",
        );
        // To whoever reads them, links to files look like the recordings that they may be.
        let page = output(nicmon(&["report", FRAMES, "--html"]).arg(at(name)));
        refuses(
            &page,
            if name == "to-file" { "is not an HTML page" } else { "that belongs to another user" },
        );
    }
    // A link of the caller's to a FIFO of somebody else.
    symlink("fifo", at("mine")).expect("a link");
    refuses(&record(&at("mine")), "it is a FIFO that belongs to another user");
    // The name of the file that would be kept.
    fs::write(at("a.rec"), "1").expect("written");
    symlink("victim", at("a.rec.old")).expect("a link");
    lchown(at("a.rec.old"), Some(ANOTHER), Some(ANOTHER)).expect("root may");
    refuses(&record(&at("a.rec")), "a.rec.old, because it is a symbolic link that belongs to another user");
    assert_eq!(fs::read_to_string(at("victim")).expect("read"), "precious");
    assert!(!at("new").exists());
}

/// A regular file of somebody else is replaced; what they hold open gets nothing.
#[test]
fn a_file_of_another_is_replaced() {
    if !is_root("a_file_of_another_is_replaced") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.rec");
    fs::write(&path, "bait").expect("written");
    chown(&path, Some(ANOTHER), Some(ANOTHER)).expect("root may");
    let bait = fs::File::open(&path).expect("it exists");
    assert_eq!(record(&path).status.code(), Some(0));
    let metadata = fs::metadata(&path).expect("it exists");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600));
    assert_eq!(bait.metadata().expect("open").len(), 4);
}

#[test]
fn a_fifo_of_the_callers_is_written_if_somebody_reads() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fifo");
    make_fifo(&path);
    refuses(&record(&path), "nothing reads from it");
    let reader = thread::spawn({
        let path = path.clone();
        move || fs::read(path).expect("a recording")
    });
    assert_eq!(record(&path).status.code(), Some(0));
    let recording = reader.join().expect("the reader ends");
    let mut frames = nicmon::stream::Reader::from_read(Box::new(std::io::Cursor::new(recording)));
    assert!(frames.next().expect("a frame").is_some());
    assert!(fs::symlink_metadata(&path).expect("it stays").file_type().is_fifo());
}

/// A pipe gives its bytes once, to whoever opens it first.
#[test]
fn pipes_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fifo");
    make_fifo(&path);
    let frames = fs::read(FRAMES).expect("the recording is there");
    let expected = output(&mut nicmon(&["report", "--json", FRAMES])).stdout;
    let commands: [&[&str]; 3] =
        [&["report", "--json"], &["replay", "--json"], &["compare", "--json", FRAMES]];
    for command in commands {
        let running = nicmon(command).arg(&path).stdout(Stdio::piped()).spawn().expect("nicmon starts");
        // It may wait already: then this is the writer that it waits for.
        fs::write(&path, &frames).expect("nicmon reads");
        let output = running.wait_with_output().expect("nicmon ends");
        assert!(!output.stdout.is_empty(), "{command:?}");
        assert!(command[0] != "report" || output.stdout == expected);
    }
    for name in ["/dev/stdin", "/proc/self/fd/0", "-"] {
        let mut report = nicmon(&["report", "--json", name]);
        let mut running = report.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nicmon starts");
        running.stdin.take().expect("a pipe").write_all(&frames).expect("nicmon reads");
        assert!(running.wait_with_output().expect("nicmon ends").stdout == expected, "{name}");
    }
}

/// Nobody ever writes: a signal still ends nicmon.
#[test]
fn waiting_for_a_writer_ends_by_a_signal() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fifo");
    make_fifo(&path);
    for command in ["replay", "report"] {
        let mut waiting = nicmon(&[command]);
        waiting.arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let mut running = Running::start(&mut waiting).expect("nicmon starts");
        // Long enough to start waiting; if it has not yet, the signal ends it even more surely.
        thread::sleep(Duration::from_millis(300));
        running.signal(Signal::TERM);
        assert!(running.wait_for(PATIENCE).expect("it can be waited for").is_some(), "{command} goes on");
    }
}

/// The report at the end is of what was written, whatever has its name by then.
#[test]
fn a_recording_is_read_back_through_its_own_descriptor() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.rec");
    let swap = "while [ ! -e \"$0\" ]; do sleep 0.01; done; mkfifo \"$0.new\"; mv \"$0.new\" \"$0\"";
    let mut command = nicmon(&["record", "--source", "proc", "-o"]);
    command.arg(&path).args(["--", "sh", "-c", swap]).arg(&path);
    let output = output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("Recording {}", path.display())), "{said}");
}
