//! However nicmon ends, nothing of it stays in the kernel.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::collect::{Collector, Options};
use rustix::process::Signal;
use serde_json::Value;
use testkit::process::{Running, output};

use crate::{child::Nicmon, tell};

/// Argument that turns this test program into one that panics with nicmon's programs attached.
pub(crate) const PANIC: &str = "--panic-with-programs-attached";

/// The ids of the BPF objects that a process holds.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) programs: BTreeSet<u64>,
    pub(crate) maps: BTreeSet<u64>,
    pub(crate) links: BTreeSet<u64>,
}

/// Finds them by the process's descriptors. Programs held only by a link are found through the link.
pub(crate) fn objects_of(pid: u32) -> Result<Objects> {
    let mut objects = Objects::default();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))?.flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for line in text.lines() {
            let Some((name, id)) = line.split_once(':') else { continue };
            let Ok(id) = id.trim().parse() else { continue };
            match name {
                "prog_id" => objects.programs.insert(id),
                "map_id" => objects.maps.insert(id),
                "link_id" => objects.links.insert(id),
                _ => false,
            };
        }
    }
    Ok(objects)
}

/// The ids of all objects of one kind (`prog`, `map`, `link`) in the kernel.
fn ids(kind: &str) -> Result<BTreeSet<u64>> {
    let shown: Value = serde_json::from_str(&output(Command::new("bpftool").args(["-j", kind, "show"]))?)?;
    let list = shown.as_array().with_context(|| format!("bpftool {kind} shows no list"))?;
    Ok(list.iter().filter_map(|object| object["id"].as_u64()).collect())
}

fn stats_enabled() -> Result<String> {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").context("cannot read kernel.bpf_stats_enabled")
}

/// Before nicmon ends, its objects must be in the kernel's lists, or the test would prove nothing.
fn held(pid: u32) -> Result<Objects> {
    let objects = objects_of(pid)?;
    for (kind, own) in objects.kinds() {
        ensure!(
            !own.is_empty() && own.is_subset(&ids(kind)?),
            "{kind}: nicmon's {own:?} are not in bpftool's list"
        );
    }
    Ok(objects)
}

impl Objects {
    fn kinds(&self) -> [(&'static str, &BTreeSet<u64>); 3] {
        [("prog", &self.programs), ("map", &self.maps), ("link", &self.links)]
    }
}

/// After nicmon has ended, its objects must be gone. The kernel frees them after a grace period, so this
/// waits.
pub(crate) fn gone(name: &str, pid: u32, objects: &Objects, status: ExitStatus) -> Result<()> {
    let start = Instant::now();
    for (kind, own) in objects.kinds() {
        loop {
            let left: Vec<_> = ids(kind)?.intersection(own).copied().collect();
            if left.is_empty() {
                break;
            }
            ensure!(start.elapsed() < Duration::from_secs(5), "{kind} of {left:?} are still there");
            thread::sleep(Duration::from_millis(20));
        }
        // If bpftool was built to, it names the processes that hold an object.
        let shown = output(Command::new("bpftool").args(["-j", kind, "show"]))?;
        ensure!(
            !shown.contains(&format!("\"pid\":{pid},")),
            "bpftool {kind} names the ended process: {shown}"
        );
    }
    tell(
        &format!("clean, {name}"),
        &format!(
            "{status}; {} programs, {} maps, {} links gone after {:.0?}",
            objects.programs.len(),
            objects.maps.len(),
            objects.links.len(),
            start.elapsed()
        ),
    );
    Ok(())
}

pub(crate) fn after_sigint() -> Result<()> {
    after(Signal::INT, Some(0))
}

pub(crate) fn after_sigterm() -> Result<()> {
    after(Signal::TERM, Some(0))
}

pub(crate) fn after_sigkill() -> Result<()> {
    after(Signal::KILL, None)
}

pub(crate) fn after_sigabrt() -> Result<()> {
    after(Signal::ABORT, None)
}

fn after(signal: Signal, code: Option<i32>) -> Result<()> {
    let enabled = stats_enabled()?;
    let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
    nicmon.more(2)?;
    let (pid, objects) = (nicmon.pid(), held(nicmon.pid())?);
    nicmon.signal(signal);
    let status = nicmon.status()?;
    ensure!(status.code() == code, "it ended with {status}");
    gone(&format!("signal {}", signal.as_raw()), pid, &objects, status)?;
    let now = stats_enabled()?;
    ensure!(now == enabled, "kernel.bpf_stats_enabled was {enabled}, is {now}");
    Ok(())
}

/// What [`killed_at_any_moment`] spreads its moments over.
const SPAN: Duration = Duration::from_millis(1_200);

/// Killed anywhere between its start and its windows, nicmon leaves nothing behind, nor does its broker. To
/// kill it more often: `NICMON_KILLS=1000`.
pub(crate) fn killed_at_any_moment() -> Result<()> {
    let times = env::var("NICMON_KILLS").ok().and_then(|times| times.parse().ok()).unwrap_or(5_u32);
    let before = Objects { programs: ids("prog")?, maps: ids("map")?, links: ids("link")? };
    let mut with_programs = 0;
    for time in 0..times {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
        command.args(["--json", "-d", "100ms", "--max-overhead", "0.01"]).stdout(Stdio::null());
        let mut child = Running::start(&mut command)?;
        // Each part of the first 1.2 s has its turn.
        let moment = SPAN.mul_f64((f64::from(time) + fastrand::f64()) / f64::from(times));
        thread::sleep(moment);
        with_programs += u32::from(objects_of(child.pid()).is_ok_and(|objects| !objects.programs.is_empty()));
        child.signal(Signal::KILL);
        let status = child.wait_for(Duration::from_secs(10))?.context("it does not end")?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "it ended on its own: {status}");
        let end = Instant::now() + Duration::from_secs(5);
        while let Some(left) = held_by_nobody(&before)? {
            ensure!(Instant::now() < end, "killed after {moment:?}, it left {left}");
            thread::sleep(Duration::from_millis(20));
        }
    }
    ensure!(with_programs > 0, "it was never killed with its programs attached");
    let how = format!("{times} times at random moments of its first {SPAN:?}, {with_programs} with programs");
    tell("clean, killed", &how);
    Ok(())
}

/// Objects that are new and that no process holds, and brokers whose nicmon has ended; `None` if there are
/// none.
/// Other programs on this machine may load some at any time, and hold them.
fn held_by_nobody(before: &Objects) -> Result<Option<String>> {
    let new = |kind, before: &BTreeSet<u64>| -> Result<BTreeSet<u64>> { Ok(&ids(kind)? - before) };
    let mut left = Objects {
        programs: new("prog", &before.programs)?,
        maps: new("map", &before.maps)?,
        links: new("link", &before.links)?,
    };
    let mut brokers = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let held = objects_of(pid).unwrap_or_default();
        left.programs.retain(|id| !held.programs.contains(id));
        left.maps.retain(|id| !held.maps.contains(id));
        left.links.retain(|id| !held.links.contains(id));
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let is_orphan = status.starts_with("Name:\tnicmon-broker\n") && status.contains("\nPPid:\t1\n");
        // One that has ended holds nothing. Init may take seconds to notice it.
        if is_orphan && !status.contains("\nState:\tZ") {
            brokers.push(pid);
        }
    }
    let is_clean = brokers.is_empty() && left.kinds().iter().all(|(_, ids)| ids.is_empty());
    Ok((!is_clean).then(|| format!("{left:?}, brokers {brokers:?}")))
}

/// Attaches as nicmon does, and then panics.
pub(crate) fn panic_with_programs_attached() -> ! {
    let mut collector = Collector::start(Options::default()).expect("the programs attach");
    let frame = collector.frame().expect("there is a frame");
    println!("frame {}", frame.seq);
    // The parent closes this pipe once it has looked.
    let _ = std::io::stdin().read_line(&mut String::new());
    // The collector is dropped as the stack unwinds.
    panic!("forced by the test, with programs attached");
}

pub(crate) fn after_a_panic() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(env::current_exe()?);
    let (stdin, looked) = std::io::pipe()?;
    command.arg(PANIC).stdin(stdin).stdout(writer).stderr(Stdio::null());
    let mut child = Running::start(&mut command)?;
    drop(command);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line)?;
    ensure!(line == "frame 0\n", "the panicking program said {line:?}");
    let (pid, objects) = (child.pid(), held(child.pid())?);
    drop(looked);
    let status = child.wait_for(Duration::from_secs(10))?.context("it did not end")?;
    ensure!(status.code() == Some(101), "a panic ends with 101, not {status}");
    gone("a panic", pid, &objects, status)
}

pub(crate) fn after_a_closed_pipe() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["--json", "-d", "200ms"]).stdout(writer).stderr(Stdio::null());
    let mut child = Running::start(&mut command)?;
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (pid, objects) = (child.pid(), held(child.pid())?);
    drop(reader);
    let status = child.wait_for(Duration::from_secs(5))?.context("it goes on although nobody reads")?;
    ensure!(status.code() == Some(0), "it ended with {status}");
    gone("a closed pipe", pid, &objects, status)
}

/// A reader that holds its pipe open and reads nothing does not keep a signal from ending nicmon.
pub(crate) fn after_a_stalled_reader() -> Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    command.args(["--json", "-d", "100ms"]).stdout(writer).stderr(Stdio::null());
    let mut child = Running::start(&mut command)?;
    drop(command);
    // A pipe holds 64 KiB, some 20 frames. A few more wait in nicmon, and then it takes no further ones.
    ensure!(child.wait_for(Duration::from_secs(4))?.is_none(), "it ended on its own");
    let (pid, objects) = (child.pid(), held(child.pid())?);
    child.signal(Signal::TERM);
    let status = child.wait_for(Duration::from_secs(10))?.context("the first SIGTERM does not end it")?;
    drop(reader);
    ensure!(status.code() == Some(0), "it ended with {status}");
    gone("a stalled reader", pid, &objects, status)
}

/// The runs of a program that the kernel counted, which it does only while BPF statistics are on.
fn run_count(id: u64) -> Result<u64> {
    let shown = output(Command::new("bpftool").args(["-j", "prog", "show", "id", &id.to_string()]))?;
    let program: Value = serde_json::from_str(&shown)?;
    Ok(program["run_cnt"].as_u64().unwrap_or(0))
}

/// BPF statistics slow down every program on the machine, so nicmon has them on only for a moment at the
/// start.
pub(crate) fn statistics() -> Result<()> {
    ensure!(
        stats_enabled()?.trim() == "0",
        "kernel.bpf_stats_enabled is on, so this test would prove nothing"
    );
    let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
    nicmon.more(3)?;
    let programs = objects_of(nicmon.pid())?.programs;
    // Another process on this machine may also turn them on for a moment.
    let mut gained = Vec::new();
    for _ in 0..5 {
        let count = || programs.iter().map(|id| run_count(*id)).sum::<Result<u64>>();
        let before = count()?;
        let runs: u64 = nicmon.more(2)?.frame.own.bpf_runs.unwrap_or(0);
        ensure!(runs > 0, "no program ran");
        gained.push(count()? - before);
        if gained.last() == Some(&0) {
            tell("clean, statistics", &format!("counted runs in each window: {gained:?}"));
            return nicmon.stop().map(drop);
        }
    }
    anyhow::bail!("statistics are on while nicmon runs: the kernel counted {gained:?} runs")
}
