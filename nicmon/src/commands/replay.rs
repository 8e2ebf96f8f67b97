//! `nicmon replay`: frames of a file or from a pipe, on the screen or printed.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::fs::{FileType, fstat};
use tokio::sync::mpsc;

use super::{
    Failure,
    output::{self, Output, tell},
    player::Player,
    runtime,
    screen::{self, Happened, JobScreen},
    signals::EndSignals,
};
use crate::{
    cli::Replay,
    frame::Frame,
    stream::{ReadError, Reader},
    tui::{Source, Wish},
};

/// Frames that are read ahead.
const AHEAD: usize = 4;

pub(super) fn run(args: Replay) -> Result<(), Failure> {
    runtime::block_on(show(args))
}

async fn show(args: Replay) -> Result<(), Failure> {
    let end = EndSignals::listen()?;
    let frames = Frames::read(Reader::open(&args.file)?).map_err(Failure::Runtime)?;
    if screen::is_wanted(args.form) {
        // What comes through a pipe has its pace already.
        let speed = args.speed.or_else(|| (!is_stream(&args.file)).then_some(1.0));
        play(speed, frames, end).await
    } else {
        print(&args, frames, end).await
    }
}

/// Frames of a reader on a thread of its own, since reading a pipe may take for ever.
struct Frames {
    read: mpsc::Receiver<Result<Frame, ReadError>>,
    warning: Arc<Mutex<Option<String>>>,
}

impl Frames {
    fn read(mut reader: Reader) -> std::io::Result<Self> {
        let (sender, read) = mpsc::channel(AHEAD);
        let warning = Arc::new(Mutex::new(None));
        let told = Arc::clone(&warning);
        thread::Builder::new().name("nicmon-reader".to_owned()).spawn(move || {
            while let Some(frame) = reader.next().transpose() {
                let is_bad = frame.is_err();
                if sender.blocking_send(frame).is_err() || is_bad {
                    return;
                }
            }
            *told.lock().unwrap_or_else(PoisonError::into_inner) = reader.warning();
        })?;
        Ok(Self { read, warning })
    }

    async fn next(&mut self) -> Option<Result<Frame, ReadError>> {
        self.read.recv().await
    }

    /// What there is to say after the last frame.
    fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn print(args: &Replay, mut frames: Frames, mut end: EndSignals) -> Result<(), Failure> {
    let output = Output::start().map_err(Failure::Runtime)?;
    let mut result = Ok(());
    let mut is_written = true;
    let all = async {
        while let Some(frame) = frames.next().await {
            match frame.map_err(Failure::from).and_then(|frame| output::text(&frame, args.form.json)) {
                Ok(text) => is_written = output.write(text).await,
                Err(error) => result = Err(error),
            }
            if !is_written {
                break;
            }
        }
    };
    let told_to_end = end.comes_before(all).await;
    output.end(told_to_end, &mut end).await.map_err(Failure::Output)?;
    result?;
    if let Some(warning) = frames.warning() {
        tell(&warning);
    }
    Ok(())
}

async fn play(speed: Option<f64>, mut frames: Frames, end: EndSignals) -> Result<(), Failure> {
    let mut screen = JobScreen::start(Source::Replay { speed, end: None }, end)?;
    let mut player = Player::new(speed);
    let mut is_told = false;
    let mut result = Ok(());
    loop {
        if player.is_over() && !is_told {
            screen.no_more(frames.warning().unwrap_or_default());
            is_told = true;
        }
        let shown = tokio::select! {
            biased;
            happened = screen.happens() => match happened {
                Happened::Wish(Wish::Paused(paused)) => player.pause(paused),
                Happened::Wish(Wish::Step { forward }) => player.step(forward),
                Happened::Wish(Wish::Speed(speed)) => {
                    player.set_speed(speed);
                    None
                }
                Happened::Wish(_) | Happened::WentOn => None,
                Happened::End => break,
            },
            () = until(player.due()) => player.play(),
            frame = frames.next(), if player.wants_more() => match frame {
                Some(Ok(frame)) => player.take(frame),
                Some(Err(error)) => {
                    result = Err(error.into());
                    break;
                }
                None => {
                    player.end();
                    None
                }
            },
        };
        if let Some(frame) = shown {
            screen.show(frame);
        }
    }
    let ended = screen.end().await;
    result.and(ended)
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Whether frames come when they are made: a pipe or socket, not a file.
fn is_stream(path: &Path) -> bool {
    let mode = if path == Path::new("-") {
        fstat(std::io::stdin()).map(|stat| stat.st_mode)
    } else {
        rustix::fs::stat(path).map(|stat| stat.st_mode)
    };
    mode.is_ok_and(|mode| FileType::from_raw_mode(mode) != FileType::RegularFile)
}
