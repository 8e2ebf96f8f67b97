//! The screen as a job on a terminal: when there can be one, and what ends and stops it.

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
    tui::{Event, Screen, Source, State, Theme, Told, Wish},
};

/// Whether the screen is asked for, and standard output is a terminal that can show it.
pub(super) fn is_wanted(form: Form) -> bool {
    if form.json || form.plain {
        return false;
    }
    let can_draw = |name: OsString| name != "dumb" && !name.is_empty();
    io::stdout().is_terminal() && env::var_os("TERM").is_some_and(can_draw)
}

/// What the one who feeds the screen must act on.
pub(super) enum Happened {
    /// The user wants something.
    Wish(Wish),
    /// It goes on after a stop.
    WentOn,
    /// The user quit, a signal came, or the terminal is gone.
    End,
}

/// A screen, and the signals that are about it.
pub(super) struct JobScreen {
    screen: Screen,
    end: EndSignals,
    terminal: TerminalSignals,
}

impl JobScreen {
    pub(super) fn start(source: Source, end: EndSignals) -> Result<Self, Failure> {
        let terminal = TerminalSignals::listen().map_err(Failure::Runtime)?;
        let screen = Screen::start(State::new(source, Theme::from_environment())).map_err(Failure::Output)?;
        Ok(Self { screen, end, terminal })
    }

    pub(super) fn show(&self, frame: Arc<Frame>) {
        self.screen.show(frame);
    }

    /// Tells the screen that there are no more frames, and why.
    pub(super) fn no_more(&self, why: String) {
        self.screen.tell(Told::Event(Event::End(why)));
    }

    /// Waits for what the feeder must act on, and does everything else.
    pub(super) async fn happens(&mut self) -> Happened {
        loop {
            tokio::select! {
                biased;
                _ = self.end.next() => return Happened::End,
                signal = self.terminal.next() => match signal {
                    TerminalSignal::Stop if has_job_control() => self.screen.tell(Told::Stop),
                    TerminalSignal::Stop => {}
                    TerminalSignal::GoOn => {
                        self.screen.tell(Told::GoOn);
                        return Happened::WentOn;
                    }
                    TerminalSignal::Resized => self.screen.tell(Told::Resized),
                },
                wish = self.screen.wish() => match wish {
                    None | Some(Wish::Quit) => return Happened::End,
                    // All of the job, as the terminal does it when it is not in raw mode; our turn comes by the signal.
                    Some(Wish::Suspend) => {
                        let _ = kill_current_process_group(Signal::TSTP);
                    }
                    Some(wish) => return Happened::Wish(wish),
                },
            }
        }
    }

    /// Gives the terminal back. One that is gone is a normal end.
    pub(super) async fn end(self) -> Result<(), Failure> {
        match self.screen.end().await {
            Err(error) if !is_gone(&error) => Err(Failure::Output(error)),
            _ => Ok(()),
        }
    }
}

/// A terminal whose other end was closed gives EIO (`tty_write` in `drivers/tty/tty_io.c`).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(libc::EIO)
}

/// Whether there is a shell to continue us. One with job control gives each job a process group of its own, so that of
/// the session's leader has nobody above it.
fn has_job_control() -> bool {
    match (getpgid(None), getsid(None)) {
        (Ok(group), Ok(session)) => group != session,
        _ => false,
    }
}
