//! The screen as a job of a shell: when there can be one, and what stops and ends it.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal as _},
    sync::Arc,
};

use rustix::process::{Signal, getpgid, getsid, kill_current_process_group};

use super::{
    Failure,
    signals::{EndSignals, TerminalSignal, TerminalSignals},
};
use crate::{
    cli::Form,
    frame::Frame,
    tui::{Screen, Settings, Source, State, Told, Wish},
};

/// Whether the screen is wanted, and standard output is a terminal that can show it.
pub(super) fn is_wanted(form: Form) -> bool {
    if form.json || form.plain {
        return false;
    }
    let can_draw = |name: OsString| name != "dumb" && !name.is_empty();
    io::stdout().is_terminal() && env::var_os("TERM").is_some_and(can_draw)
}

/// What the caller of a screen must act on.
pub(super) enum ScreenEvent {
    /// The user pressed a key that concerns the caller.
    Key(Wish),
    /// The job goes on after a stop.
    Resumed,
    /// The user quit, a signal came, or the terminal is gone.
    End,
}

/// A screen and the signals that concern it.
pub(super) struct JobScreen {
    screen: Screen,
    end: EndSignals,
    terminal: TerminalSignals,
}

impl JobScreen {
    pub(super) fn start(source: Source, settings: Settings, end: EndSignals) -> Result<Self, Failure> {
        let terminal = TerminalSignals::listen().map_err(Failure::Runtime)?;
        let screen = Screen::start(State::with(source, settings)).map_err(Failure::Screen)?;
        Ok(Self { screen, end, terminal })
    }

    pub(super) fn show(&self, frame: Arc<Frame>) {
        self.screen.show(frame);
    }

    /// Tells the screen that there are no more frames, and why.
    pub(super) fn no_more(&self, why: String) {
        self.screen.end_here(why);
    }

    /// Waits for the next event that the caller must act on; handles all others itself.
    pub(super) async fn next_event(&mut self) -> ScreenEvent {
        loop {
            tokio::select! {
                biased;
                _ = self.end.next() => return ScreenEvent::End,
                signal = self.terminal.next() => match signal {
                    TerminalSignal::Stop if has_job_control() => self.screen.tell(Told::Stop),
                    TerminalSignal::Stop => {}
                    TerminalSignal::Continue => {
                        self.screen.tell(Told::GoOn);
                        return ScreenEvent::Resumed;
                    }
                    TerminalSignal::Resized => self.screen.tell(Told::Resized),
                },
                wish = self.screen.wish() => match wish {
                    None | Some(Wish::Quit) => return ScreenEvent::End,
                    // Stops the whole job, as a terminal that is not in raw mode does. nicmon is in it, and
                    // acts on the signal.
                    Some(Wish::Suspend) => {
                        let _ = kill_current_process_group(Signal::TSTP);
                    }
                    Some(wish) => return ScreenEvent::Key(wish),
                },
            }
        }
    }

    /// Restores the terminal. If it was closed, that is a normal end.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self.screen.end().await {
            Err(error) if !is_gone(&error) => Err(Failure::Screen(error)),
            _ => Ok(()),
        }
    }
}

/// Whether the terminal was closed: writing then fails with EIO (`tty_write` in `drivers/tty/tty_io.c`).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(libc::EIO)
}

/// Whether a shell could continue nicmon after a stop. A shell with job control puts each job into a new
/// process group, so no such shell controls the group of the session's leader.
fn has_job_control() -> bool {
    match (getpgid(None), getsid(None)) {
        (Ok(group), Ok(session)) => group != session,
        _ => false,
    }
}
