//! A terminal of 80x24 with a shell in it, run by tmux.

use std::{
    cell::Cell,
    env, fs,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    termios::{Action, tcflow},
};
use tempfile::TempDir;
use testkit::process::output;

/// How long the shell may take for a command that does next to nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A separate tmux server, which is ended when dropped.
pub(crate) struct Tmux {
    socket: String,
    /// Of the socket.
    path: String,
    server: Pid,
    is_dead: Cell<bool>,
    directory: TempDir,
}

impl Tmux {
    pub(crate) fn start() -> Result<Self> {
        // Each has its own name: a server that ends keeps its name for a moment.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let socket = format!("nicmon-test-{}-{number}", process::id());
        let directory = tempfile::tempdir()?;
        let mut command = command(&socket);
        // Neither tmux nor the shell reads its configuration. The shell is interactive, so it has job
        // control.
        command.args(["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24"]);
        command.arg("env -u NO_COLOR PS1='$ ' bash --norc --noprofile");
        output(&mut command)?;
        let told = output(self::command(&socket).args(["display-message", "-p", "#{pid} #{socket_path}"]))?;
        let (pid, path) = told.trim_end().split_once(' ').context("no pid and path of tmux")?;
        let server = pid.parse().ok().and_then(Pid::from_raw).context("no pid of tmux")?;
        Ok(Self { path: path.to_owned(), server, is_dead: Cell::new(false), socket, directory })
    }

    fn command(&self) -> Command {
        command(&self.socket)
    }

    /// Presses keys, named as tmux names them.
    pub(crate) fn press(&self, keys: &[&str]) -> Result<()> {
        output(self.command().arg("send-keys").args(keys)).map(drop)
    }

    /// Presses a key by its name, or types what a terminal would send.
    pub(crate) fn type_keys(&self, keys: &str) -> Result<()> {
        if keys.starts_with('\x1b') {
            return output(self.command().args(["send-keys", "-l", keys])).map(drop);
        }
        self.press(&[keys])
    }

    /// Changes the terminal's size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = [columns.to_string(), rows.to_string()];
        output(self.command().args(["resize-window", "-x", &size[0], "-y", &size[1]])).map(drop)
    }

    /// The terminal takes no more output until [`Self::go_on`], as if it had sent XOFF.
    pub(crate) fn stop(&self) -> Result<()> {
        self.flow(Action::OOff)
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        self.flow(Action::OOn)
    }

    fn flow(&self, action: Action) -> Result<()> {
        let path = self.tell("#{pane_tty}")?;
        let terminal = open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let terminal = terminal.with_context(|| format!("cannot open {path}"))?;
        Ok(tcflow(terminal, action)?)
    }

    /// The terminal dies.
    pub(crate) fn kill(&self) -> Result<()> {
        self.is_dead.set(true);
        kill_process(self.server, Signal::KILL)?;
        Ok(fs::remove_file(&self.path)?)
    }

    /// Types a line and presses Enter.
    pub(crate) fn line(&self, text: &str) -> Result<()> {
        output(self.command().args(["send-keys", "-l", text]))?;
        self.press(&["Enter"])
    }

    /// The text on the terminal.
    pub(crate) fn screen(&self) -> Result<String> {
        output(self.command().args(["capture-pane", "-p"]))
    }

    fn tell(&self, format: &str) -> Result<String> {
        Ok(output(self.command().args(["display-message", "-p", format]))?.trim().to_owned())
    }

    /// Whether the cursor is visible, and whether the alternate screen is in use.
    pub(crate) fn cursor_and_alternate(&self) -> Result<(bool, bool)> {
        Ok((self.tell("#{cursor_flag}")? == "1", self.tell("#{alternate_on}")? == "1"))
    }

    /// Waits until the screen is as expected. Returns it and how long that took.
    pub(crate) fn wait(
        &self,
        patience: Duration,
        what: &str,
        wished: impl Fn(&str) -> bool,
    ) -> Result<(String, Duration)> {
        let start = Instant::now();
        loop {
            let screen = self.screen()?;
            if wished(&screen) {
                return Ok((screen, start.elapsed()));
            }
            if start.elapsed() > patience {
                bail!("no {what} within {patience:?}; the screen is:\n{screen}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The terminal's modes while the shell runs a command: at its prompt the shell has its own.
    pub(crate) fn modes(&self) -> Result<String> {
        let file = self.directory.path().join("modes");
        let (part, path) = (file.with_extension("part"), file.display());
        self.line(&format!("stty -a > {} && mv {} {path}", part.display(), part.display()))?;
        let start = Instant::now();
        loop {
            if let Ok(modes) = fs::read_to_string(&file) {
                fs::remove_file(&file)?;
                return Ok(modes);
            }
            if start.elapsed() > PATIENCE {
                bail!("the shell does not answer; the screen is:\n{}", self.screen()?);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The pid of the shell's child with this name.
    pub(crate) fn child(&self, name: &str) -> Result<u32> {
        let shell = format!("PPid:\t{}\n", self.tell("#{pane_pid}")?);
        let name = format!("Name:\t{name}\n");
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else { continue };
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if status.contains(&shell) && status.starts_with(&name) {
                return Ok(pid);
            }
        }
        bail!("the shell has not started {}", name.trim_end())
    }

    /// Writes a file that exists as long as this terminal.
    pub(crate) fn file(&self, name: &str, content: &str) -> Result<String> {
        let path = self.directory.path().join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// The command that starts nicmon from the shell.
    pub(crate) fn nicmon() -> String {
        format!("'{}'", env!("CARGO_BIN_EXE_nicmon"))
    }

    /// The command that starts this test program from the shell.
    pub(crate) fn this_program() -> Result<String> {
        Ok(format!("'{}'", env::current_exe()?.display()))
    }
}

/// A command for the server with this socket.
fn command(socket: &str) -> Command {
    let mut command = Command::new("tmux");
    command.args(["-L", socket]).env_remove("TMUX");
    command
}

impl Drop for Tmux {
    fn drop(&mut self) {
        if self.is_dead.get() {
            return;
        }
        if let Err(error) = output(self.command().arg("kill-server")) {
            eprintln!("{error:#}; to end it by hand: tmux -L {} kill-server", self.socket);
        }
    }
}
