//! Counts only: if the kernel refuses the eBPF programs, nicmon says so in one line and shows the kernel's
//! own counts.

mod privileges;

use std::{
    fs, io,
    net::UdpSocket,
    os::unix::process::CommandExt as _,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nicmon::frame::{Frame, Source};
use privileges::is_root;
use serde_json::Value;
use testkit::{not_run, process};

const NICMON: &str = env!("CARGO_BIN_EXE_nicmon");

/// Runs nicmon, or a command that starts it, and checks that it shows counts and says why there are no times.
fn counts(command: &mut Command, why: &str) -> Vec<Frame> {
    let output = command
        .args(["--json", "-n", "3", "-d", "200ms"])
        .stdin(Stdio::null())
        .output()
        .expect("the command starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line, not: {stderr}");
    assert!(stderr.starts_with("nicmon: counts only, all times are unknown: "), "{stderr}");
    assert!(stderr.contains(why), "{stderr} does not say {why}");
    frames(&output)
}

fn frames(output: &Output) -> Vec<Frame> {
    let text = String::from_utf8(output.stdout.clone()).expect("JSON is UTF-8");
    assert_eq!(text.lines().count(), 3, "{text}");
    for line in text.lines() {
        assert_untimed("", &serde_json::from_str(line).expect("a line is JSON"));
    }
    let frames: Vec<Frame> = text.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect();
    for frame in &frames {
        assert_eq!(frame.host.source, Source::Proc);
        assert!(!frame.cpus.is_empty() && !frame.nics.is_empty(), "{text}");
        assert!(frame.cpus.iter().all(|cpu| cpu.stat.is_some() && cpu.softirq.is_some()), "{text}");
    }
    frames
}

/// Asserts that every time that only the eBPF programs know is `null`.
fn assert_untimed(path: &str, value: &Value) {
    // The interval, nicmon's own CPU time, ksoftirqd's schedstat and cpu.stat are known without them.
    const KNOWN: [&str; 7] = [
        ".mono_ns",
        ".interval_ns",
        ".self.cpu_ns",
        ".self.read_ns",
        ".self.make_ns",
        ".cpus.ksoftirqd_ns",
        ".netns.udp_reader.throttled_ns",
    ];
    // The topology holds settings, which are known.
    if path == ".topology" {
        return;
    }
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| assert_untimed(&format!("{path}.{name}"), value));
        }
        Value::Array(elements) => elements.iter().for_each(|element| assert_untimed(path, element)),
        value => {
            let timed = ["_ns", ".ns", "load_pct", "overhead_pct"].iter().any(|end| path.ends_with(end));
            assert!(!timed || value.is_null() || KNOWN.contains(&path), "{path} is {value}");
        }
    }
}

#[test]
fn as_an_ordinary_user() {
    let (_directory, mut command) = privileges::as_nobody(NICMON);
    counts(&mut command, "the kernel refuses to create BPF maps: Operation not permitted");
}

#[test]
fn in_a_container() {
    if !is_root("in_a_container") {
        return;
    }
    let namespaces = ["--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc"];
    if !Command::new("unshare").args(namespaces).arg("true").status().is_ok_and(|status| status.success()) {
        return not_run::say("in_a_container", "this kernel makes no user namespaces");
    }
    let frames = counts(Command::new("unshare").args(namespaces).arg(NICMON), "Operation not permitted");
    assert!(frames[0].nics.iter().all(|nic| nic.name == "lo"), "the interfaces of its own namespace");
}

#[test]
fn without_the_capabilities() {
    if !is_root("without_the_capabilities") {
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", NICMON]);
    counts(&mut command, "Operation not permitted");
}

#[test]
#[expect(unsafe_code, reason = "a filter of system calls is set between fork and exec")]
fn with_bpf_refused_by_seccomp() {
    if !is_root("with_bpf_refused_by_seccomp") {
        return;
    }
    let mut command = Command::new(NICMON);
    // SAFETY: two system calls and nothing that allocates or locks.
    unsafe { command.pre_exec(refuse_bpf) };
    counts(&mut command, "Operation not permitted");
}

/// Runs nicmon with this limit of open files, soft and hard.
fn with_open_files(limit: u32, arguments: &str) -> Output {
    let script = format!("ulimit -n {limit} && exec \"$0\" {arguments}");
    Command::new("sh").args(["-c", &script, NICMON]).output().expect("sh starts")
}

#[test]
fn with_too_few_open_files() {
    for limit in [30, 40, 42] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\""), NICMON]);
        // An ordinary user may not load the programs, whatever the limit is.
        counts(&mut command, if process::is_root() { "open files" } else { "Operation not permitted" });
    }
    let output = with_open_files(8, "--json -n 1 -d 200ms");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("os error 24"), "{stderr}");
}

#[test]
fn a_recorded_command_has_the_limits_it_would_have_had() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = "ulimit -Sn; ulimit -Hn; ulimit -Sl; ulimit -Hl";
    let shell = |script: &str| {
        let script = format!("ulimit -Sn 100; {script}");
        let mut command = Command::new("bash");
        command.args(["-c", &script, NICMON]).current_dir(directory.path());
        command.output().expect("bash starts")
    };
    let expected = shell(limits);
    let recorded = shell(&format!("\"$0\" record -q -- bash -c '{limits}'"));
    assert_eq!(recorded.status.code(), Some(0), "{}", String::from_utf8_lossy(&recorded.stderr));
    assert_eq!(String::from_utf8_lossy(&recorded.stdout), String::from_utf8_lossy(&expected.stdout));
}

#[test]
fn wait_waits_for_the_interface_and_a_signal_ends_it() {
    let waiting = "nicmon: waiting for an interface that matches -i nmwait0; Ctrl-C ends the wait\n";
    let run = |command: &mut Command, script: &str| {
        let output = command.args(["sh", "-c", script, NICMON]).output().expect("the command starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
    };
    let nicmon = "\"$0\" --source proc --wait -i nmwait0 --json -n 1 -d 200ms";
    let signalled = run(&mut Command::new("env"), &format!("timeout --preserve-status -s INT 3 {nicmon}"));
    assert_eq!(signalled, (Some(0), waiting.to_owned(), Vec::new()));
    if !is_root("wait_waits_for_the_interface_and_a_signal_ends_it") {
        return;
    }
    // It ends even if the interface cannot be made.
    let script = format!(
        "timeout 30 {nicmon} & pid=$!; sleep 2; ip link add nmwait0 type veth peer name nmwait1; wait $pid"
    );
    let (code, stderr, stdout) = run(Command::new("unshare").arg("--net"), &script);
    assert_eq!((code, stderr.as_str()), (Some(0), waiting));
    let frame: Frame = serde_json::from_slice(&stdout).expect("a frame");
    assert_eq!(frame.nics.iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>(), ["nmwait0"]);
}

#[test]
fn alternative_names_and_exclusions_choose_interfaces() {
    if !is_root("alternative_names_and_exclusions_choose_interfaces") {
        return;
    }
    let shown = |patterns: &str| -> Vec<String> {
        let script = format!(
            "ip link add nmalt0 type veth peer name nmalt1 && \
             ip link property add dev nmalt0 altname nm-an-uplink && \
             exec \"$0\" --source proc {patterns} --json -n 1 -d 200ms"
        );
        let output = Command::new("unshare").args(["--net", "sh", "-c", &script, NICMON]).output();
        let output = output.expect("unshare starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let frame: Frame = serde_json::from_slice(&output.stdout).expect("a frame");
        let own = frame.topology.expect("the first frame has it").nics;
        let mut names: Vec<String> = own.into_iter().map(|nic| nic.name).collect();
        names.retain(|name| name.starts_with("nmalt"));
        let nics = frame.nics.iter().filter(|nic| nic.name.starts_with("nmalt")).count();
        assert_eq!(nics, names.len(), "the topology shows the same");
        names
    };
    assert_eq!(shown("-i nm-an-uplink"), ["nmalt0"]);
    assert_eq!(shown("-i 'nmalt1@if7'"), ["nmalt1"]);
    assert_eq!(shown("-i '!nm-an-*'"), ["nmalt1"]);
    assert_eq!(shown("-i 'nmalt*' -i '!nmalt1'"), ["nmalt0"]);
}

/// Does what container engines do by default: `bpf` fails with EPERM, everything else works.
#[expect(unsafe_code, reason = "prctl")]
fn refuse_bpf() -> io::Result<()> {
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_bpf).map_err(io::Error::other)?;
    let mut filter = [
        // Load the number of the system call; if it is bpf's, EPERM.
        statement(0x20, 0, 0, 0),
        statement(0x15, 0, 1, number),
        statement(0x06, 0, 0, ERRNO | libc::EPERM.unsigned_abs()),
        statement(0x06, 0, 0, ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: both calls take what they point to by copy, and it lives until they return.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if set { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn asked_for_counts_are_the_kernels() {
    let net_rx = || -> u64 {
        let text = fs::read_to_string("/proc/softirqs").expect("/proc/softirqs");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("NET_RX:")).expect("NET_RX");
        line.split_ascii_whitespace().map(|count| count.parse::<u64>().expect("a count")).sum()
    };
    let stop = AtomicBool::new(false);
    let (output, before, after) = thread::scope(|scope| {
        scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let to = socket.local_addr().expect("its address");
            // It ends even if nobody stops it.
            for _ in 0..20_000_000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let _ = socket.send_to(b"x", to);
            }
        });
        let before = net_rx();
        let arguments = ["--source", "proc", "--json", "-n", "3", "-d", "1s"];
        let output = Command::new(NICMON).args(arguments).output().expect("nicmon starts");
        let after = net_rx();
        stop.store(true, Ordering::Relaxed);
        (output, before, after)
    });
    assert!(output.stderr.is_empty(), "it was asked for: {}", String::from_utf8_lossy(&output.stderr));
    let frames = frames(&output);
    assert!(frames.iter().all(|frame| frame.host.source_reason.is_none()));
    let counted: u64 = frames
        .iter()
        .flat_map(|frame| &frame.cpus)
        .filter_map(|cpu| cpu.softirq)
        .map(|softirq| softirq.net_rx.vector.count)
        .sum();
    assert!(counted >= 1000 && counted <= after - before, "{counted} of {}", after - before);
    // The three frames cover most of the time that nicmon runs, even if it starts slowly.
    assert!(counted * 2 >= after - before, "{counted} of {}", after - before);
}
