//! Takes over the terminal (raw mode, alternate screen, no cursor) and gives it back as it was.

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

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ratatui::{
    backend::{Backend as _, ClearType, CrosstermBackend},
    crossterm::{
        cursor::{Hide, Show},
        execute,
        style::ResetColor,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};

use super::{Canvas, State, Target, ansi, draw};

/// Whether the terminal is ours. It is global because a process has one terminal and a panic on any thread
/// must know.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the terminal reports the mouse to us.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// Reports clicks and the wheel, but not every movement, with numbers of any size: xterm's modes 1000 and
/// 1006.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// The assumed size of a terminal that does not report one.
const ANY_SIZE: (u16, u16) = (80, 24);

/// The terminal, ours until this is dropped.
///
/// This is not ratatui's `Terminal`. To clear the screen, that one asks the terminal for the cursor's
/// position and reads the answer from the keys, which another thread reads. It also runs a program (tput) if
/// the terminal does not report its size.
pub(super) struct Taken {
    backend: CrosstermBackend<BufWriter<File>>,
    /// What it shows now.
    shown: Canvas,
    /// Whether keys can be read.
    pub(super) has_keys: bool,
}

impl Taken {
    pub(super) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        // Write each frame at once, or a slow line would show half of it.
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, output));
        let mut taken = Self { backend, shown: Canvas::new(0, 0), has_keys: false };
        taken.enter()?;
        Ok(taken)
    }

    fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        // This fails without a terminal to read keys from. There is still one to draw on.
        self.has_keys = enable_raw_mode().is_ok();
        self.shown = Canvas::new(0, 0);
        execute!(self.backend, EnterAlternateScreen, Hide)
    }

    /// Draws the state at the terminal's current size.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            // We are about to stop, or another thread panicked and the terminal shows its message.
            return Ok(());
        }
        let (width, height) = size();
        let next = draw(state, width, height);
        if self.shown.buffer.area != next.buffer.area {
            self.backend.clear_region(ClearType::All)?;
            self.shown = Canvas::new(width, height);
        }
        ansi::draw(&mut self.backend, self.shown.buffer.diff(&next.buffer).into_iter())?;
        self.shown = next;
        if MOUSE.swap(state.mouse, Ordering::SeqCst) != state.mouse {
            self.backend.write_all(if state.mouse { MOUSE_ON } else { MOUSE_OFF }.as_bytes())?;
        }
        io::Write::flush(&mut self.backend)
    }

    /// What it shows at this column and row.
    pub(super) fn target(&self, at: (u16, u16)) -> Option<Target> {
        self.shown.target(at).cloned()
    }

    /// Puts a text on the clipboard of the terminal, if that knows OSC 52. It does not answer.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        write!(self.backend, "\x1b]52;c;{}\x07", BASE64_STANDARD.encode(text))
    }

    /// Gives the terminal back and stops this process. The terminal is taken again only in [`Self::go_on`],
    /// because this thread may run on for a moment: the signal is delivered to any thread of the process.
    pub(super) fn stop() -> io::Result<()> {
        give_back();
        Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?)
    }

    /// Continues after a stop. If someone else stopped us, the modes have changed, but the screen is still
    /// ours.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if !TAKEN.load(Ordering::SeqCst) {
            return self.enter();
        }
        give_back_modes();
        // Whoever had the terminal may have switched it off.
        MOUSE.store(false, Ordering::SeqCst);
        self.has_keys = enable_raw_mode().is_ok();
        self.shown = Canvas::new(0, 0);
        execute!(self.backend, Hide)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back as it was, unless that is already done. Errors are ignored: they mean that the
/// terminal is gone.
pub(super) fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Modes first: that works even if output is stuck.
        let _ = disable_raw_mode();
        let mut output = io::stdout();
        if MOUSE.swap(false, Ordering::SeqCst) {
            let _ = output.write_all(MOUSE_OFF.as_bytes());
        }
        let _ = execute!(output, ResetColor, LeaveAlternateScreen, Show).and_then(|()| output.flush());
    }
}

/// Restores the modes only, for a terminal that accepts no output.
pub(super) fn give_back_modes() {
    let _ = disable_raw_mode();
}

/// Gives the terminal back before the message of a panic on any thread.
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
