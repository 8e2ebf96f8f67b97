//! The terminal while the screen has it: raw mode, alternate screen, no cursor; and given back as it was.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::fd::AsFd as _,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use ratatui::{
    backend::{Backend as _, ClearType, CrosstermBackend},
    buffer::Buffer,
    crossterm::{
        cursor::{Hide, Show},
        execute,
        style::ResetColor,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use super::{State, draw_to_buffer};

/// Whether the terminal is ours. One process has one terminal, and a panic anywhere must find out.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// What a terminal that does not tell its size is taken for.
const ANY_SIZE: (u16, u16) = (80, 24);

/// The terminal, taken until it is dropped.
///
/// Not ratatui's `Terminal`: to clear, that asks the terminal where the cursor is and reads the answer among the keys,
/// which another thread reads; and it starts a program (tput) where the terminal does not tell its size.
pub(super) struct Taken {
    backend: CrosstermBackend<BufWriter<File>>,
    /// What stands on it.
    shown: Buffer,
    /// Whether keys can be read.
    pub(super) has_keys: bool,
}

impl Taken {
    pub(super) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        // A frame in one write, or a slow line would show halves.
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, output));
        let mut taken = Self { backend, shown: Buffer::default(), has_keys: false };
        taken.enter()?;
        Ok(taken)
    }

    fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        // Fails where there is no terminal to read keys from; there is one to draw on all the same.
        self.has_keys = enable_raw_mode().is_ok();
        self.shown = Buffer::default();
        execute!(self.backend, EnterAlternateScreen, Hide)
    }

    /// Draws the state at the terminal's present size.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // About to stop; or another thread panicked, and its message stands on the terminal.
            return Ok(());
        }
        let (width, height) = size();
        let next = draw_to_buffer(state, width, height);
        if self.shown.area != next.area {
            self.backend.clear_region(ClearType::All)?;
            self.shown = Buffer::empty(next.area);
        }
        self.backend.draw(self.shown.diff(&next).into_iter())?;
        self.shown = next;
        io::Write::flush(&mut self.backend)
    }

    /// Gives the terminal back and stops this process. Taking it again has to wait for [`Self::go_on`]: this thread may
    /// run on for a moment, since the signal is delivered to any thread of the process.
    pub(super) fn stop() -> io::Result<()> {
        give_back();
        Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?)
    }

    /// After a stop. If somebody else stopped us, the modes are by now theirs, but the screen is still ours.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            return self.enter();
        }
        give_back_modes();
        self.has_keys = enable_raw_mode().is_ok();
        self.shown = Buffer::default();
        execute!(self.backend, Hide)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back as it was; does nothing if that is done. Errors are of a terminal that is gone.
pub(super) fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Modes first: that works even where the line is stuck.
        let _ = disable_raw_mode();
        let mut output = io::stdout();
        let _ = execute!(output, ResetColor, LeaveAlternateScreen, Show).and_then(|()| output.flush());
    }
}

/// What can be given back of a terminal that takes no more text.
pub(super) fn give_back_modes() {
    let _ = disable_raw_mode();
}

/// Before the message of a panic, wherever it happens.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}

fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => ANY_SIZE,
    }
}
