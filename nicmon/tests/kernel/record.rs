//! `nicmon record`: its file, its exit code, and what happens to the command.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::{frame::Frame, stream::Reader};
use rustix::process::Signal;
use tempfile::TempDir;
use testkit::process::{Running, output};

use crate::tell;

/// How long to wait for anything that should happen at once.
const PATIENCE: Duration = Duration::from_secs(15);

/// A recording, running or finished, in its own directory.
struct Recorded {
    directory: TempDir,
    running: Running,
}

/// How it ended.
struct End {
    code: Option<i32>,
    stderr: String,
    frames: Vec<Frame>,
    warning: Option<String>,
}

impl Recorded {
    /// `nicmon record -o FILE` and these arguments.
    fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, arguments)
    }

    fn start_in(directory: TempDir, arguments: &[&str]) -> Result<Self> {
        let said = fs::File::create(directory.path().join("stderr"))?;
        // nicmon must heed the signal even if the tests run under nohup.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_nicmon"), "record", "-o"]);
        command.arg(directory.path().join("a.rec")).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        Ok(Self { running: Running::start(&mut command)?, directory })
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("a.rec")
    }

    /// Waits until the file holds this many whole frames, however large they are on this machine.
    fn wait_for_frames(&self, frames: usize) -> Result<()> {
        self.wait_until(|| read(&self.file()).is_ok_and(|(whole, _)| whole.len() >= frames))
    }

    fn wait_until(&self, is_so: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !is_so() {
            ensure!(start.elapsed() < PATIENCE, "nothing happens: {}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
    }

    fn end(mut self) -> Result<End> {
        let status = self.running.wait_for(PATIENCE)?.context("it does not end")?;
        let (frames, warning) = if self.file().exists() { read(&self.file())? } else { (Vec::new(), None) };
        Ok(End { code: status.code(), stderr: self.stderr(), frames, warning })
    }
}

fn read(path: &Path) -> Result<(Vec<Frame>, Option<String>)> {
    let mut reader = Reader::open(path)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next()? {
        ensure!(
            frame.seq == frames.len() as u64,
            "frame {} is number {} in the file",
            frame.seq,
            frames.len()
        );
        frames.push(frame);
    }
    Ok((frames, reader.warning()))
}

pub(crate) fn short_command() -> Result<()> {
    for (command, at_least_ms) in [(["true"].as_slice(), 0), (&["sleep", "0.3"], 300)] {
        let end = Recorded::start(&[&["-d", "10s", "--"], command].concat())?.end()?;
        ensure!(end.code == Some(0), "{:?}: {}", end.code, end.stderr);
        ensure!(
            end.frames.len() == 1 && end.warning.is_none(),
            "{} frames, {:?}",
            end.frames.len(),
            end.warning
        );
        // Standard error has a full report, with the drivers.
        ensure!(end.frames[0].drivers.is_some() && end.stderr.contains("\nDrivers: "), "{}", end.stderr);
        let interval = Duration::from_nanos(end.frames[0].interval_ns);
        // Neither starting nor making the frame counts for the interval.
        let (own, cpus) = (Duration::from_nanos(end.frames[0].own.cpu_ns), end.frames[0].host.cpus_online);
        ensure!(own <= interval * cpus + Duration::from_millis(1), "{own:?} of CPU time in {interval:?}");
        ensure!(interval >= Duration::from_millis(at_least_ms), "{command:?}: a frame of {interval:?}");
        tell("record, a short command", &format!("{command:?}: {interval:?}, {}", end.stderr.trim()));
    }
    let quiet = Recorded::start(&["-q", "--", "true"])?.end()?;
    ensure!(quiet.code == Some(0) && quiet.stderr.lines().count() == 1, "{}", quiet.stderr);
    Ok(())
}

pub(crate) fn exit_codes() -> Result<()> {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
        let end = Recorded::start(&["-d", "10s", "--", "sh", "-c", script])?.end()?;
        ensure!(end.code == Some(code), "{script}: {:?}: {}", end.code, end.stderr);
        ensure!(end.frames.len() == 1, "{script}: {} frames", end.frames.len());
    }
    Ok(())
}

pub(crate) fn missing_command() -> Result<()> {
    for (program, code) in [("nosuch-program", 127), ("/nosuch/program", 127), ("/etc/passwd", 126)] {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("a.rec"), "the recording before")?;
        let mut recorded = Recorded::start_in(directory, &["--", program])?;
        let (file, directory) = (recorded.file(), recorded.directory.path().to_owned());
        let status = recorded.running.wait_for(PATIENCE)?.context("it does not end")?;
        let stderr = recorded.stderr();
        ensure!(status.code() == Some(code), "{program}: {status}: {stderr}");
        ensure!(stderr.contains(program) && stderr.lines().count() == 1, "{stderr}");
        ensure!(fs::read_to_string(&file)? == "the recording before", "the file before is gone");
        let names = fs::read_dir(&directory)?.flatten().count();
        ensure!(names == 2, "{names} files are left, not a.rec and stderr");
    }
    Ok(())
}

/// A command whose exit code shows that it got the signal.
fn trapping(signal: &str) -> String {
    format!("trap 'exit 42' {signal}; touch \"$0\"; while :; do sleep 0.05; done")
}

pub(crate) fn signals() -> Result<()> {
    for (name, signal) in [("TERM", Signal::TERM), ("HUP", Signal::HUP)] {
        let directory = tempfile::tempdir()?;
        let ready = directory.path().join("ready");
        let script = trapping(name);
        let path = ready.to_string_lossy().into_owned();
        let recorded = Recorded::start(&["-d", "100ms", "--", "sh", "-c", &script, &path])?;
        recorded.wait_until(|| ready.exists())?;
        recorded.wait_for_frames(3)?;
        recorded.running.signal(signal);
        let end = recorded.end()?;
        ensure!(end.code == Some(42), "SIG{name}: {:?}: {}", end.code, end.stderr);
        ensure!(
            end.frames.len() >= 2 && end.warning.is_none(),
            "{} frames, {:?}",
            end.frames.len(),
            end.warning
        );
    }
    Ok(())
}

/// A terminal sends the signal to both. Here only nicmon gets it, and waits for the command.
pub(crate) fn interrupt() -> Result<()> {
    let recorded = Recorded::start(&["-d", "100ms", "--", "sh", "-c", "sleep 1.5; exit 3"])?;
    recorded.wait_for_frames(1)?;
    recorded.running.signal(Signal::INT);
    let end = recorded.end()?;
    ensure!(end.code == Some(3), "{:?}: {}", end.code, end.stderr);
    let recorded_ns: u64 = end.frames.iter().map(|frame| frame.interval_ns).sum();
    ensure!(recorded_ns >= 1_500_000_000, "it recorded {recorded_ns} ns of a command of 1.5 s");
    Ok(())
}

pub(crate) fn until_a_signal() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let recorded = Recorded::start(&["-d", "100ms"])?;
        recorded.wait_for_frames(3)?;
        recorded.running.signal(signal);
        let end = recorded.end()?;
        ensure!(end.code == Some(0), "{:?}: {}", end.code, end.stderr);
        ensure!(
            end.warning.is_none() && end.frames.len() > 2,
            "{} frames, {:?}",
            end.frames.len(),
            end.warning
        );
        tell("record, until a signal", end.stderr.lines().next().unwrap_or_default());
    }
    Ok(())
}

/// Started with nohup, nicmon and its command outlive the terminal.
pub(crate) fn nohup() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (file, ready) = (directory.path().join("a.rec"), directory.path().join("ready"));
    let command = format!("touch {}; kill -HUP $$; sleep 1; exit 5", ready.display());
    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_nicmon")).args(["record", "-q", "-o"]).arg(&file);
    nohup.args(["--", "sh", "-c", &command]);
    nohup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::start(&mut nohup)?;
    let start = Instant::now();
    while !ready.exists() {
        ensure!(start.elapsed() < PATIENCE, "the command does not start");
        thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::HUP);
    let status = running.wait_for(PATIENCE)?.context("it does not end")?;
    ensure!(status.code() == Some(5), "{status}");
    let recorded_ns: u64 = read(&file)?.0.iter().map(|frame| frame.interval_ns).sum();
    ensure!(recorded_ns >= 1_000_000_000, "it recorded {recorded_ns} ns of a command of 1 s");
    Ok(())
}

pub(crate) fn killed() -> Result<()> {
    let mut recorded = Recorded::start(&["-d", "100ms"])?;
    recorded.wait_for_frames(3)?;
    recorded.running.signal(Signal::KILL);
    recorded.running.wait_for(PATIENCE)?;
    let (frames, warning) = read(&recorded.file())?;
    tell("record, killed", &format!("{} frames, {warning:?}", frames.len()));
    ensure!(frames.len() >= 3, "{} frames", frames.len());
    Ok(())
}

/// A mount that is undone when dropped.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = output(Command::new("umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{error:#}");
        }
    }
}

pub(crate) fn full_disk() -> Result<()> {
    let disk = tempfile::tempdir()?;
    output(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(disk.path()))?;
    let _mounted = Mounted(disk.path().to_owned());
    let file = disk.path().join("full.rec");
    let done = tempfile::tempdir()?;
    let mark = done.path().join("done");
    // The command must run to its end although nothing can be recorded.
    let start = |command: &[&str]| {
        let mut all = Command::new(env!("CARGO_BIN_EXE_nicmon"));
        all.args(["record", "-f", "-d", "100ms", "-o"]).arg(&file).args(command);
        all.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()
    };
    let script = format!("sleep 4; touch {}", mark.display());
    for command in [["--", "sh", "-c", &script].as_slice(), &[]] {
        let ended = start(command)?;
        let stderr = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.code() == Some(1), "{command:?}: {}: {stderr}", ended.status);
        ensure!(stderr.contains("No space left on device") && stderr.lines().count() == 1, "{stderr}");
        let (frames, warning) = read(&file)?;
        ensure!(
            stderr.contains(&format!("it holds {} whole frames", frames.len())),
            "{} frames: {stderr}",
            frames.len()
        );
        tell("record, a full disk", &format!("{} frames; {warning:?}; {}", frames.len(), stderr.trim()));
    }
    ensure!(mark.exists(), "the command was killed");
    Ok(())
}

/// A mount point cannot be renamed, which is found out only while the command runs. It must not be left
/// running.
pub(crate) fn no_place() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (file, mark) = (directory.path().join("a.rec"), directory.path().join("done"));
    fs::write(&file, "the recording before")?;
    output(Command::new("mount").arg("--bind").args([&file, &file]))?;
    let mounted = Mounted(file.clone());
    let script = format!("sleep 1; touch {}", mark.display());
    let mut recorded = Recorded::start_in(directory, &["--", "sh", "-c", &script])?;
    let status = recorded.running.wait_for(PATIENCE)?.context("it does not end")?;
    thread::sleep(Duration::from_millis(1500));
    let (stderr, is_done) = (recorded.stderr(), mark.exists());
    // The directory cannot be removed before that.
    drop(mounted);
    ensure!(status.code() == Some(2) && stderr.contains("cannot create"), "{status}: {stderr}");
    ensure!(!is_done, "the command was left running");
    ensure!(fs::read_to_string(&file)? == "the recording before", "the file before is gone");
    Ok(())
}

pub(crate) fn old_file() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (file, old) = (directory.path().join("a.rec"), directory.path().join("a.rec.old"));
    fs::write(&file, "the recording before")?;
    let end = Recorded::start_in(directory, &["--", "true"])?;
    end.wait_until(|| old.exists())?;
    ensure!(fs::read_to_string(&old)? == "the recording before", "another file was kept");
    let end = end.end()?;
    ensure!(end.stderr.contains("a.rec is now "), "{}", end.stderr);
    ensure!(end.frames.len() == 1, "{} frames", end.frames.len());
    Ok(())
}
