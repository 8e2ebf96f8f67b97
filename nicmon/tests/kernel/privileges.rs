//! What nicmon's two processes hold and may do once the programs are attached.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, Permissions},
    io,
    net::UdpSocket,
    os::{
        fd::AsFd as _,
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use landlock::{AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
use nicmon::{
    collect::{self, Collector, Options},
    counters::bpf,
    host::Roots,
    privileges::{Answer, Event, Perform, Privileges, Request},
};
use rustix::{
    mount::{MountFlags, mount},
    process::{Pid, Signal, test_kill_process},
    thread::{CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space, set_capabilities},
};
use testkit::process::output;

use crate::{
    child::{Lines, Nicmon},
    tell,
};

/// Argument that turns this test program into nicmon's two processes, which try what they should not do.
pub(crate) const TRY: &str = "--try-what-is-forbidden";
/// What the broker is asked instead of a real request: to try the same.
const TRY_YOURSELF: Request = Request::HasSocket { pid: 0, descriptor: 0, inode: 0 };

/// The result of each attempt: an error number, or `None` if it worked.
type Tried = BTreeMap<String, Option<i32>>;

/// Tries what takes a privilege, and what an attacker would do next.
fn attempts() -> Tried {
    let event = Request::OpenEvent { event: Event::CpuClock, period: 10_000_000, cpu: 0 };
    let perform =
        |request: &Request| bpf::perform(request).unwrap_or_else(|| Err(io::ErrorKind::Other.into()));
    let own_netns = || -> io::Result<()> {
        let namespace = File::open("/proc/self/ns/net")?;
        Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    };
    let raise = || -> io::Result<()> {
        let mut sets = capabilities(None)?;
        sets.effective |= CapabilitySet::NET_ADMIN;
        sets.permitted |= CapabilitySet::NET_ADMIN;
        Ok(set_capabilities(None, sets)?)
    };
    let new_file = env::temp_dir().join(format!("nicmon-t-{}", std::process::id()));
    let own_program = || fs::set_permissions(env::current_exe()?, Permissions::from_mode(0o755));
    let first_process = Pid::from_raw(1).ok_or(io::ErrorKind::InvalidInput);
    let all: [(&str, io::Result<()>); 12] = [
        ("read a file", File::open("/etc/passwd").map(drop)),
        ("write a file", File::create(&new_file).map(drop)),
        ("open a socket", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("bpf", perform(&Request::EnableStatistics).map(drop)),
        ("perf_event_open", perform(&event).map(drop)),
        ("setns", own_netns()),
        ("raise a capability", raise()),
        ("change a mode", own_program()),
        (
            "signal another process",
            first_process.map_err(io::Error::from).and_then(|pid| Ok(test_kill_process(pid)?)),
        ),
        ("reach another socket", UnixStream::connect("/nowhere").map(drop)),
        ("start a program", Command::new("/bin/true").status().map(drop)),
        ("mount", mount("none", "/mnt", "tmpfs", MountFlags::empty(), None).map_err(io::Error::from)),
    ];
    drop(fs::remove_file(new_file));
    let errno = |result: io::Result<()>| result.err().map(|error| error.raw_os_error().unwrap_or(0));
    all.into_iter().map(|(what, result)| (what.to_owned(), errno(result))).collect()
}

/// Starts as nicmon does, and prints what each process and thread could do afterwards.
pub(crate) fn try_everything() -> Result<()> {
    let perform = collect::perform(Roots::default());
    let privileges = Privileges::split(
        &(Arc::new(move |request| match request {
            request if request == TRY_YOURSELF => Answer::new(&attempts(), Vec::new()),
            request => perform(request),
        }) as Perform),
    )?;
    let options = Options { privileges: Some(privileges.clone()), ..Options::default() };
    let mut collector = Collector::start(options)?;
    let (before, _) = privileges.ask::<Tried>(TRY_YOURSELF)?;
    collector.give_up_privileges(false);
    let new_thread = thread::spawn(attempts).join().map_err(|_| anyhow::anyhow!("a thread"))?;
    let (broker, _) = privileges.ask::<Tried>(TRY_YOURSELF)?;
    ensure!(before == broker, "the broker is confined from the start: {before:?}, {broker:?}");
    thread::sleep(Duration::from_millis(200));
    let frame = collector.frame()?;
    println!("{}", serde_json::to_string(&(attempts(), new_thread, broker, frame.own.bpf_runs))?);
    Ok(())
}

pub(crate) fn forbidden() -> Result<()> {
    let printed = output(Command::new(env::current_exe()?).arg(TRY))?;
    let (rest, new_thread, broker, runs): (Tried, Tried, Tried, Option<u64>) =
        serde_json::from_str(&printed)?;
    tell("privileges", &format!("the rest {rest:?}; the broker {broker:?}; {runs:?} runs in a frame"));
    ensure!(runs.is_some_and(|runs| runs > 0), "it counts no more");
    ensure!(rest == new_thread, "a new thread may do something else: {new_thread:?}");
    let is_refused = |errno: &Option<i32>| matches!(errno, Some(libc::EPERM | libc::EACCES));
    let may: Vec<&String> =
        rest.iter().filter(|(_, errno)| !is_refused(errno)).map(|(what, _)| what).collect();
    // Before 5.13 there is no Landlock: files of root remain.
    let files = ["read a file", "write a file"];
    if has_landlock() {
        ensure!(may.is_empty(), "nicmon may still {may:?}");
    } else {
        ensure!(may.iter().all(|what| files.contains(&what.as_str())), "nicmon may still {may:?}");
    }
    let needed = ["bpf", "perf_event_open", "read a file", "setns"];
    let may = broker.iter().filter(|(_, errno)| !is_refused(errno)).map(|(what, _)| what.as_str());
    ensure!(may.eq(needed), "the broker may {broker:?}");
    Ok(())
}

/// Whether this kernel has Landlock.
fn has_landlock() -> bool {
    let required = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    required.handle_access(AccessFs::ReadFile).and_then(Ruleset::create).is_ok()
}

/// A line of a status file.
fn field(status: &str, name: &str) -> Result<String> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no {name}"))?.trim().to_owned())
}

fn capabilities_in(status: &str, name: &str) -> Result<CapabilitySet> {
    Ok(CapabilitySet::from_bits_retain(u64::from_str_radix(&field(status, name)?, 16)?))
}

/// The sets of capabilities in a status file, the last of which only `CAP_SETPCAP` can empty.
const SETS: [&str; 5] = ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"];

/// Checks each thread of a process: no capability but these, and filtered system calls. Returns the number of
/// threads.
fn check_threads(pid: u32, kept: CapabilitySet, sets: &[&str]) -> Result<usize> {
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may have ended.
        let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
        threads += 1;
        for set in sets {
            let more = capabilities_in(&status, set)?.difference(kept);
            ensure!(more.is_empty(), "{set} of {} has {more:?}", field(&status, "Name")?);
        }
        ensure!(field(&status, "NoNewPrivs")? == "1" && field(&status, "Seccomp")? == "2", "{status}");
    }
    Ok(threads)
}

/// The process that keeps nicmon's privileges.
fn broker_of(pid: u32) -> Result<u32> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        if field(&status, "PPid")? == pid.to_string() && field(&status, "Name")? == "nicmon-broker" {
            return Ok(child);
        }
    }
    bail!("no broker of {pid}")
}

const OF_BROKER: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_RESOURCE);

/// The live view, and its end: the broker goes with the rest, even if that is killed.
pub(crate) fn of_each_thread() -> Result<()> {
    for signal in [Signal::TERM, Signal::KILL] {
        let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
        nicmon.more(3)?;
        let broker = broker_of(nicmon.pid())?;
        let threads = check_threads(nicmon.pid(), CapabilitySet::empty(), &SETS)?;
        ensure!(threads >= 2, "only {threads} threads");
        check_threads(broker, OF_BROKER, &SETS)?;
        nicmon.signal(signal);
        nicmon.status()?;
        let end = Instant::now() + Duration::from_secs(5);
        while fs::exists(format!("/proc/{broker}"))? {
            ensure!(Instant::now() < end, "the broker is still there");
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// A recorded command keeps everything that it would have without nicmon.
pub(crate) fn of_a_recorded_command() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["record", "-q", "-o"]).arg(folder.path().join("a.rec"));
    command.args(["--", "sh", "-c", "cat /proc/self/status; exec sleep 60"]);
    let mut nicmon = Lines::start(command)?;
    let mut text = String::new();
    while !text.contains("nonvoluntary_ctxt_switches") {
        let (_, line) = nicmon.next()?.context("it ended")?;
        text += &(line + "\n");
    }
    let own = fs::read_to_string("/proc/self/status")?;
    for name in ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp"] {
        ensure!(field(&text, name)? == field(&own, name)?, "the command has another {name}");
    }
    // It may have to pass a signal on to a command of another user.
    thread::sleep(Duration::from_millis(500));
    check_threads(nicmon.pid(), CapabilitySet::KILL, &SETS)?;
    nicmon.signal(Signal::TERM);
    ensure!(nicmon.status()?.code() == Some(143), "SIGTERM does not reach the command");
    Ok(())
}

/// As systemd starts a service with `DynamicUser`, `AmbientCapabilities` and `NoNewPrivileges`.
pub(crate) fn ambient() -> Result<()> {
    const HELD: &str = "-all,+bpf,+perfmon,+syslog";
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]);
    command.args(["--inh-caps", HELD, "--ambient-caps", HELD, "--bounding-set", HELD]);
    // Not everybody may read the folder of the program.
    let place = tempfile::Builder::new().prefix("nicmon-t-").tempdir()?;
    let program = place.path().join("nicmon");
    fs::copy(env!("CARGO_BIN_EXE_nicmon"), &program)?;
    for path in [place.path(), &program] {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    command.arg(&program);
    let mut nicmon = Nicmon::start_as(command, &["-d", "200ms"])?;
    let runs = nicmon.more(4)?.frame.own.bpf_runs;
    ensure!(runs.is_some_and(|runs| runs > 0), "it counts nothing: {runs:?}");
    check_threads(nicmon.pid(), CapabilitySet::empty(), &SETS[..4])?;
    let of_broker = CapabilitySet::BPF | CapabilitySet::PERFMON;
    check_threads(broker_of(nicmon.pid())?, of_broker, &SETS[..4])?;
    nicmon.stop().map(drop)
}
