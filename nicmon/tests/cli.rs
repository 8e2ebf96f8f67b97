//! The program as a user meets it: what it prints and its exit code, as snapshots.

mod files;
mod help;
mod privileges;
mod wrong_input;

use std::{
    fs,
    io::{self, Write as _},
    process::{Command, Output, Stdio},
};

use privileges::is_root;

const NICMON: &str = env!("CARGO_BIN_EXE_nicmon");

fn nicmon(arguments: &[&str]) -> Command {
    let mut command = Command::new(NICMON);
    command.args(arguments);
    command
}

fn output(command: &mut Command) -> Output {
    command.env("COLUMNS", "80").stdin(Stdio::null()).output().expect("nicmon starts")
}

/// What a user sees. Lines that start with one of `machine` differ from machine to machine.
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

#[test]
fn topology_of_loopback() {
    let output = output(&mut nicmon(&["topology", "--json", "-i", "lo"]));
    assert_eq!(output.status.code(), Some(0));
    let topology: nicmon::frame::topology::Topology =
        serde_json::from_slice(&output.stdout).expect("a topology");
    assert!(topology.nics.iter().all(|nic| nic.name == "lo" && nic.ifindex == 1));
    assert!(!topology.nics.is_empty() && !topology.cpus.is_empty());
}

/// Without a terminal, replay prints tables. `--json` prints exactly the frames that it read.
#[test]
fn replay_into_a_pipe() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-rps.ndjson");
    let table = seen(&output(&mut nicmon(&["replay", file])), &[]);
    insta::assert_snapshot!("replay_into_a_pipe", table, "nicmon replay demo-rps.ndjson");
    let again = output(&mut nicmon(&["replay", "--json", file]));
    let recorded = fs::read_to_string(file).expect("the recording is there");
    assert!(again.stdout == recorded.as_bytes(), "frames change by being read and written");
    let cut = tempfile::NamedTempFile::new().expect("a file");
    fs::write(cut.path(), &recorded[..recorded.len() - 100]).expect("it can be written");
    let output = output(nicmon(&["replay", "--json"]).arg(cut.path()));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), text.lines().count()), (Some(0), 2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("is cut off after 2 frames; ") && told.lines().count() == 1, "{told}");
}

/// Recordings of two demos, made longer by repeating their frames.
fn two_recordings() -> [tempfile::NamedTempFile; 2] {
    ["demo-cpu1", "demo-rps"].map(|name| {
        let path = format!("{}/tests/fixtures/frames/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
        let frames = fs::read_to_string(path).expect("the recording is there");
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for (seq, line) in (0..12).zip(frames.lines().cycle()) {
            let mut frame: nicmon::frame::Frame = serde_json::from_str(line).expect("a frame");
            frame.seq = seq;
            writeln!(file, "{}", serde_json::to_string(&frame).expect("JSON")).expect("it can be written");
        }
        file
    })
}

/// What a user sees, with file names instead of paths.
fn compared(files: &[tempfile::NamedTempFile; 2], arguments: &[&str]) -> String {
    let [a, b] = files.each_ref().map(|file| file.path().to_str().expect("UTF-8").to_owned());
    let output = output(nicmon(&["compare"]).args([&a, &b]).args(arguments));
    seen(&output, &[]).replace(&a, "a.rec").replace(&b, "b.rec")
}

#[test]
fn compare() {
    let files = two_recordings();
    insta::assert_snapshot!("compare", compared(&files, &[]), "nicmon compare a.rec b.rec");
    let json =
        output(nicmon(&["compare", "--json"]).args(files.each_ref().map(tempfile::NamedTempFile::path)));
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one object");
    assert_eq!((&value["schema"], json.status.code()), (&"nicmon.compare/1".into(), Some(0)));
    // The ratio of poll times per packet is about 0.8, but recordings of 12 frames cannot show such a small
    // difference.
    let claims: [(&str, i32); 4] = [
        ("poll_ns_per_packet < 2", 3),
        ("poll_ns_per_packet > 1.1", 0),
        ("poll_ns_per_packet >= 0.01", 3),
        ("cost_per_gb > 1.1", 1),
    ];
    for (claim, code) in claims {
        let seen = compared(&files, &["--fail-if", claim]);
        assert!(seen.starts_with(&format!("exit code: {code}\n")), "{claim}: {seen}");
    }
    let output = output(nicmon(&["compare"]).arg(files[0].path()).arg("/nonexistent/b.rec"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn compare_what_cannot_be() {
    let files = two_recordings();
    insta::assert_snapshot!("compare_unknown_driver", compared(&files, &["--driver", "e1000=veth"]));
}

#[test]
fn a_table_of_drivers() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/drivers.ndjson");
    let line = fs::read_to_string(file).expect("the recording is there").lines().next().map(str::to_owned);
    let frame = tempfile::NamedTempFile::new().expect("a file");
    fs::write(frame.path(), line.expect("it has frames")).expect("it can be written");
    let table = seen(&output(nicmon(&["replay"]).arg(frame.path())), &[]);
    insta::assert_snapshot!("table_of_drivers", table, "nicmon replay of a frame of drivers.ndjson");
}

#[test]
fn report_of_a_part() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/sampled.ndjson");
    let report = |arguments: &[&str]| output(nicmon(&["report", "--json", file]).args(arguments));
    let frame = |arguments: &[&str]| -> nicmon::frame::Frame {
        let output = report(arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!((output.status.code(), text.lines().count()), (Some(0), 1), "{arguments:?}");
        serde_json::from_str(&text).expect("a frame")
    };
    let recorded = fs::read_to_string(file).expect("the recording is there");
    let recorded: Vec<nicmon::frame::Frame> =
        recorded.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect();
    let ns = |frames: &[nicmon::frame::Frame]| frames.iter().map(|frame| frame.interval_ns).sum::<u64>();
    assert_eq!(frame(&[]).interval_ns, ns(&recorded));
    assert_eq!(frame(&["--from", "1s"]).interval_ns, ns(&recorded[1..]));
    assert_eq!(frame(&["--from", "1", "--to", "3000ms"]).interval_ns, ns(&recorded[1..3]));
    // The second frame ends where the third starts.
    let time = &recorded[1].time;
    assert_eq!(frame(&["--to", time]).interval_ns, ns(&recorded[..2]));
    assert_eq!(frame(&["--from", time]).interval_ns, ns(&recorded[2..]));
    let nothing = report(&["--from", "1h"]);
    let seen = seen(&nothing, &[]).replace(file, "sampled.ndjson");
    insta::assert_snapshot!("report_of_an_empty_range", seen, "nicmon report --from 1h sampled.ndjson");
}

#[test]
fn report_of_a_cut_recording() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-rps.ndjson");
    let recorded = fs::read_to_string(file).expect("the recording is there");
    let cut = tempfile::NamedTempFile::new().expect("a file");
    fs::write(cut.path(), &recorded[..recorded.len() - 100]).expect("it can be written");
    for from_pipe in [false, true] {
        let mut command = nicmon(&["report"]);
        let output = if from_pipe {
            let input = fs::File::open(cut.path()).expect("the recording");
            command.arg("-").stdin(input).output().expect("nicmon starts")
        } else {
            output(command.arg(cut.path()))
        };
        let (text, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains(" in 2 frames"), "{text}");
        assert!(told.contains("is cut off after 2 frames; ") && told.lines().count() == 1, "{told}");
    }
}

/// `nicmon report --html a.rec` is a likely mistake: it names the recording as the page to write.
#[test]
fn a_page_takes_no_recordings_place() {
    let recorded = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-rps.ndjson"))
        .expect("there");
    let directory = tempfile::tempdir().expect("a directory");
    let [recording, page] = ["a.rec", "a.html"].map(|name| directory.path().join(name));
    fs::write(&recording, &recorded).expect("it can be written");
    let report = |html: &std::path::Path| {
        output(nicmon(&["report", "--html"]).args([html, &recording]).current_dir(directory.path()))
    };
    let refused = report("a.rec".as_ref());
    insta::assert_snapshot!("page_over_a_recording", seen(&refused, &[]), "nicmon report --html a.rec a.rec");
    assert!(fs::read(&recording).expect("there") == recorded, "the recording is overwritten");
    for _ in 0..2 {
        assert_eq!(report(&page).status.code(), Some(0), "a page before is overwritten");
    }
    assert_eq!(report("-".as_ref()).stdout, fs::read(&page).expect("there"));
    let [full, nowhere] = ["/dev/full", "/nosuch/a.html"].map(|place| report(place.as_ref()));
    assert_eq!([full.status.code(), nowhere.status.code()], [Some(1), Some(2)]);
    assert!(String::from_utf8_lossy(&full.stderr).starts_with("nicmon: cannot write /dev/full: No space"));
}

#[test]
fn no_root() {
    let (_directory, mut command) = privileges::as_nobody(NICMON);
    let output = output(command.args(["--source", "bpf", "--json", "-n", "1"]));
    let what = "nicmon --source bpf --json -n 1, as an ordinary user";
    insta::assert_snapshot!("no_root", seen(&output, &[]), what);
}

#[test]
fn no_btf() {
    if !is_root("no_btf") {
        return;
    }
    // Only this process gets the mount.
    let script = "mount -t tmpfs tmpfs /sys/kernel/btf && exec \"$0\" --source bpf --json -n 1";
    let output = output(Command::new("unshare").args(["--mount", "sh", "-c", script, NICMON]));
    insta::assert_snapshot!(
        "no_btf",
        seen(&output, &[]),
        "nicmon --source bpf --json -n 1, without /sys/kernel/btf/vmlinux"
    );
}

#[test]
fn closed_pipe() {
    if !is_root("closed_pipe") {
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
    if !is_root("full_disk") {
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
