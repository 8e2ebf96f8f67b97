//! The contenders: no tool, empty programs, nicmon and similar tools. All start and stop in the same way.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, ProgramError, loaded_programs},
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;
use testkit::process::{self, Running, not_installed};

use crate::Args;

/// The same sums as nicmon's, as cheap as bpftrace can make them: softirq time and runs by CPU and vector
/// (softirqs on one CPU do not nest), polls and work by CPU and device.
const BPFTRACE_SUMS: &str = "
tracepoint:irq:softirq_entry { @start[cpu] = nsecs; }
tracepoint:irq:softirq_exit /@start[cpu]/ { @softirq[cpu, args->vec] = stats(nsecs - @start[cpu]); }
tracepoint:napi:napi_poll { @napi[cpu, str(args->dev_name)] = stats(args->work); }";
const TRACEPOINTS: [&str; 3] = ["softirq_entry", "softirq_exit", "napi_poll"];
const PERF_EVENTS: &str = "irq:softirq_entry,irq:softirq_exit,napi:napi_poll";
/// How long a tool may take until it starts to measure.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// No tool at all
    Nothing,
    /// Programs that do nothing, on softirq entry, softirq exit and `napi_poll`
    Empty,
    /// nicmon --json -d 1s --max-overhead off
    Nicmon,
    /// The same with --max-overhead 2, so in windows
    Nicmon2,
    /// The same with --max-overhead 1
    Nicmon1,
    /// softirqs of libbpf-tools, which sums softirq time by vector
    Softirqs,
    /// bpftrace with the same sums
    Bpftrace,
    /// perf recording the same tracepoints
    Perf,
    /// perf record -a -F 999
    Samples,
}

/// A running contender. Dropping this value ends it.
pub(crate) enum AtWork {
    Nothing,
    Programs { _loaded: Vec<Ebpf> },
    Tool { tool: Running, _files: Option<TempDir> },
}

impl AtWork {
    /// Fails if the tool has ended on its own, because nothing was measured then.
    pub(crate) fn still(&mut self) -> Result<()> {
        if let Self::Tool { tool, .. } = self
            && let Some(status) = tool.ended()?
        {
            bail!("it ended on its own ({status})");
        }
        Ok(())
    }
}

impl Contender {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty programs",
            Self::Nicmon => "nicmon",
            Self::Nicmon2 => "nicmon, at most 2 %",
            Self::Nicmon1 => "nicmon, at most 1 %",
            Self::Softirqs => "softirqs (libbpf-tools)",
            Self::Bpftrace => "bpftrace, same sums",
            Self::Perf => "perf record, same events",
            Self::Samples => "perf record -a -F 999",
        }
    }

    /// How long the load runs before it is measured: until nicmon keeps to its limit.
    pub(crate) fn warm_up(self) -> Duration {
        match self {
            Self::Nicmon2 | Self::Nicmon1 => Duration::from_secs(8),
            _ => Duration::ZERO,
        }
    }

    /// Why it cannot be measured here.
    pub(crate) fn missing(self) -> Option<String> {
        let program = match self {
            Self::Nothing | Self::Empty | Self::Nicmon | Self::Nicmon2 | Self::Nicmon1 => return None,
            Self::Softirqs => "softirqs",
            Self::Bpftrace => "bpftrace",
            Self::Perf | Self::Samples => "perf",
        };
        find(program).is_none().then(|| not_installed(program))
    }

    /// Starts the contender and returns once it measures.
    pub(crate) fn start(self, args: &Args) -> Result<AtWork> {
        let tool = |name: &str| find(name).with_context(|| not_installed(name));
        let nicmon = |limit: &str| {
            let started = start_nicmon_with(&args.nicmon, &["--max-overhead", limit]);
            started.map(|(tool, _)| AtWork::Tool { tool, _files: None })
        };
        match self {
            Self::Nothing => Ok(AtWork::Nothing),
            Self::Empty => empty_programs(&args.kernel_object),
            Self::Nicmon => nicmon("off"),
            Self::Nicmon2 => nicmon("2"),
            Self::Nicmon1 => nicmon("1"),
            Self::Softirqs => start_tool(Command::new(tool("softirqs")?).arg("3600")),
            Self::Bpftrace => start_tool(Command::new(tool("bpftrace")?).args(["-e", BPFTRACE_SUMS])),
            Self::Perf => start_perf(&tool("perf")?, &["-e", PERF_EVENTS]),
            Self::Samples => start_perf(&tool("perf")?, &["-F", "999"]),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Administrators' tools are often not on a user's PATH.
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|f| f.join(program)).find(|p| p.is_file())
}

/// Starts `nicmon --json -d 1s --max-overhead off` and returns at its first frame, with the time that took.
pub(crate) fn start_nicmon(nicmon: &Path) -> Result<(Running, Duration)> {
    start_nicmon_with(nicmon, &["--max-overhead", "off"])
}

/// Starts `nicmon --json -d 1s` with these options, and returns likewise.
pub(crate) fn start_nicmon_with(nicmon: &Path, options: &[&str]) -> Result<(Running, Duration)> {
    let started = Instant::now();
    let mut command = Command::new(nicmon);
    command.args(["--json", "-d", "1s"]).args(options).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut tool = Running::start(&mut command)?;
    let stdout = tool.stdout().context("nicmon has no output")?;
    let (first, frame) = mpsc::channel();
    // Keep reading until nicmon ends, so that nicmon never blocks on a full pipe.
    thread::spawn(move || {
        for _ in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = first.send(started.elapsed());
        }
    });
    loop {
        process::check_signalled()?;
        match frame.recv_timeout(Duration::from_millis(100)) {
            Ok(time) => return Ok((tool, time)),
            Err(RecvTimeoutError::Timeout) if started.elapsed() < PATIENCE => {}
            Err(_) => {
                bail!("nicmon printed no frame within {PATIENCE:?}; try `cargo xtask run -- --json -n 1`")
            }
        }
    }
}

/// Starts a tool that loads kernel programs and returns once they are loaded.
fn start_tool(command: &mut Command) -> Result<AtWork> {
    let before = newest_program()?;
    let tool = Running::start(quiet(command))?;
    let mut at_work = AtWork::Tool { tool, _files: None };
    let start = Instant::now();
    while newest_program()? <= before {
        at_work.still()?;
        if start.elapsed() > PATIENCE {
            bail!("it loaded no kernel program within {PATIENCE:?}");
        }
        process::sleep(Duration::from_millis(20))?;
    }
    // The first program is loaded. The tool still has to load the others and attach them all.
    process::sleep(Duration::from_millis(700))?;
    Ok(at_work)
}

fn start_perf(perf: &Path, options: &[&str]) -> Result<AtWork> {
    let files = tempfile::tempdir().context("cannot make a temporary folder")?;
    let data = files.path().join("perf.data");
    let mut command = Command::new(perf);
    command.args(["record", "-a"]).args(options).arg("-o").arg(&data);
    let tool = Running::start(quiet(&mut command))?;
    let mut at_work = AtWork::Tool { tool, _files: Some(files) };
    let start = Instant::now();
    while !data.exists() {
        at_work.still()?;
        if start.elapsed() > PATIENCE {
            bail!("it wrote no file within {PATIENCE:?}");
        }
        process::sleep(Duration::from_millis(20))?;
    }
    process::sleep(Duration::from_millis(700))?;
    Ok(at_work)
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// The highest id of all loaded programs. Ids only grow. The number of programs would not work, because the
/// programs of the previous contender stay loaded for a while after its process has ended.
fn newest_program() -> Result<u32> {
    let mut newest = 0;
    for program in loaded_programs() {
        match program {
            Ok(info) => newest = newest.max(info.id()),
            // It was unloaded after it was listed and before it was opened.
            Err(ProgramError::SyscallError(e)) if e.io_error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot list the loaded kernel programs"),
        }
    }
    Ok(newest)
}

/// Attaches the program `empty` of the committed object to each of the three hooks. This takes three objects,
/// because one object can load a program only once.
fn empty_programs(file: &Path) -> Result<AtWork> {
    let object = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let btf = Btf::from_sys_fs().context("this kernel has no BTF")?;
    let mut loaded = Vec::new();
    for tracepoint in TRACEPOINTS {
        let mut ebpf = Ebpf::load(&object).context("cannot load the kernel object")?;
        let program: &mut BtfTracePoint =
            ebpf.program_mut("empty").context("the kernel object has no program `empty`")?.try_into()?;
        program.load(tracepoint, &btf).with_context(|| format!("cannot load for {tracepoint}"))?;
        program.attach().with_context(|| format!("cannot attach to {tracepoint}"))?;
        loaded.push(ebpf);
    }
    Ok(AtWork::Programs { _loaded: loaded })
}

/// tracefs, which bpftrace and perf need. If it is not mounted yet, it is mounted while this value lives.
pub(crate) struct Tracefs {
    mounted_here: bool,
}

impl Tracefs {
    const AT: &str = "/sys/kernel/tracing";

    pub(crate) fn mounted() -> Result<Self> {
        let there = Path::new(Self::AT).join("events").exists();
        if !there {
            mount("tracefs", Self::AT, "tracefs", MountFlags::empty(), None)
                .with_context(|| format!("cannot mount tracefs at {}", Self::AT))?;
        }
        Ok(Self { mounted_here: !there })
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.mounted_here
            && let Err(error) = unmount(Self::AT, UnmountFlags::DETACH)
        {
            eprintln!("bench: cannot unmount {}: {error}", Self::AT);
        }
    }
}
