//! Child processes, with helpful errors and without leftovers; and the signals sent to us.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

/// The Debian package that contains a program we call.
fn debian_package(program: &str) -> Option<&'static str> {
    Some(match program.rsplit('/').next()? {
        "ip" => "iproute2",
        "ethtool" => "ethtool",
        "softirqs" => "libbpf-tools",
        "bpftrace" => "bpftrace",
        "perf" => "linux-perf",
        "sudo" => "sudo",
        "tmux" => "tmux",
        "xtables-legacy-multi" => "iptables",
        _ => return None,
    })
}

/// `X is not installed`, with the Debian package where we know it.
pub fn not_installed(program: &str) -> String {
    match debian_package(program) {
        Some(package) => format!("{program} is not installed (Debian package {package})"),
        None => format!("{program} is not installed"),
    }
}

fn start_error(program: &OsStr, error: io::Error) -> anyhow::Error {
    let program = program.to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        anyhow::anyhow!(not_installed(&program))
    } else {
        anyhow::Error::new(error).context(format!("cannot start {program}"))
    }
}

/// Runs a command and waits for it. Its output goes where ours goes.
///
/// # Errors
/// When it cannot be started or does not end with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|e| start_error(command.get_program(), e))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command, waits for it, and returns its output.
///
/// # Errors
/// When it cannot be started or does not end with 0; the error has its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| start_error(command.get_program(), e))?;
    if !out.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A running program. Dropping this value ends the program by its pid. The kernel ends it if the thread that
/// started it ends first, as when we are killed, so start it from a thread that outlives it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// When the program is missing or the kernel refuses.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        #[expect(unsafe_code, reason = "std has no safe way to set a death signal")]
        // SAFETY: the closure runs between fork and exec; prctl is async-signal-safe and it allocates
        // nothing.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).map_err(io::Error::from)
            });
        }
        let child = command.spawn().map_err(|e| start_error(command.get_program(), e))?;
        Ok(Self { child, name })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The standard output, if it was piped.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its exit status; `None` while it runs.
    ///
    /// # Errors
    /// When the kernel does not let us wait for it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Sends a signal; a process that is already gone is fine.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // The only possible error is "no such process", which is the result we want.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Waits up to `patience` until it ends.
    ///
    /// # Errors
    /// When the kernel does not let us wait for it.
    pub fn wait_for(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= patience {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGINT, or with SIGKILL if it is still running after five seconds.
    ///
    /// # Errors
    /// When the kernel does not let us wait for it.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(Signal::INT);
        if let Some(status) = self.wait_for(Duration::from_secs(5))? {
            return Ok(status);
        }
        eprintln!("testkit: {} did not end on SIGINT within 5 s: killed", self.name);
        self.signal(Signal::KILL);
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("testkit: {error:#}");
        }
    }
}

fn signal_cell() -> &'static Arc<AtomicUsize> {
    static CELL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
    CELL.get_or_init(Arc::default)
}

/// From now on, SIGINT, SIGTERM and SIGHUP do not end us. [`signalled`] reports them instead, so that
/// everything we created can be removed first.
///
/// # Errors
/// When the kernel refuses the handlers.
pub fn catch_signals() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register_usize(signal, Arc::clone(signal_cell()), signal.unsigned_abs() as usize)
            .context("cannot install a signal handler")?;
    }
    Ok(())
}

/// The last signal that came after [`catch_signals`].
pub fn signalled() -> Option<Signal> {
    let number = signal_cell().load(Ordering::Relaxed);
    i32::try_from(number).ok().and_then(Signal::from_named_raw)
}

/// Ends a long job early after a signal.
///
/// # Errors
/// When one of the signals of [`catch_signals`] has come.
pub fn check_signalled() -> Result<()> {
    match signalled() {
        Some(signal) => bail!("ended by signal {}", signal.as_raw()),
        None => Ok(()),
    }
}

/// Sleeps, but not through a signal.
///
/// # Errors
/// When one of the signals of [`catch_signals`] has come.
pub fn sleep(time: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        check_signalled()?;
        let left = time.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
