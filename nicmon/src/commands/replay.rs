//! `nicmon replay`: shows or prints the frames of a file or a pipe.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::sync::mpsc;

use super::{
    Failure,
    output::{self, Output, print_message},
    player::Player,
    runtime,
    screen::{self, JobScreen, ScreenEvent},
    settings::settings,
    signals::EndSignals,
};
use crate::{
    cli::Replay,
    diagnose::Rejudged,
    frame::Frame,
    stream::{ReadError, Reader},
    tui::{Settings, Source, Wish},
};

/// How many frames are read ahead.
const AHEAD: usize = 4;

pub(super) fn run(args: Replay) -> Result<(), Failure> {
    runtime::block_on(show(args))
}

async fn show(args: Replay) -> Result<(), Failure> {
    let end = EndSignals::listen()?;
    let reader = Reader::open(&args.file)?;
    let is_stream = reader.is_stream();
    let is_screen = screen::is_wanted(args.form);
    let frames = FrameThread::start(reader, is_screen).map_err(Failure::Runtime)?;
    if is_screen {
        // Frames from a pipe are shown as they arrive.
        let speed = args.speed.or_else(|| (!is_stream).then_some(1.0));
        play(speed, settings(&args.look)?, frames, end).await
    } else {
        print(&args, frames, end).await
    }
}

/// Reads frames on a separate thread, because reading from a pipe may block forever.
struct FrameThread {
    frames: mpsc::Receiver<Result<Frame, ReadError>>,
    warning: Arc<Mutex<Option<String>>>,
}

impl FrameThread {
    /// What is printed stays as it was recorded; what is shown has the findings of today's rules.
    fn start(mut reader: Reader, is_shown: bool) -> std::io::Result<Self> {
        let (sender, frames) = mpsc::channel(AHEAD);
        let warning = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&warning);
        let mut rejudged = Rejudged::default();
        thread::Builder::new().name("nicmon-reader".to_owned()).spawn(move || {
            while let Some(mut frame) = reader.next().transpose() {
                match &mut frame {
                    Ok(frame) if is_shown => rejudged.complete(frame),
                    Ok(frame) => drop(rejudged.judge(frame)),
                    Err(_) => {}
                }
                let is_bad = frame.is_err();
                if sender.blocking_send(frame).is_err() || is_bad {
                    return;
                }
            }
            let warnings: Vec<String> = reader.warning().into_iter().chain(rejudged.difference()).collect();
            *shared.lock().unwrap_or_else(PoisonError::into_inner) =
                (!warnings.is_empty()).then(|| warnings.join("; "));
        })?;
        Ok(Self { frames, warning })
    }

    async fn next(&mut self) -> Option<Result<Frame, ReadError>> {
        self.frames.recv().await
    }

    /// A message about data that was cut off or skipped; complete after the last frame.
    fn warning(&self) -> Option<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn print(args: &Replay, mut frames: FrameThread, mut end: EndSignals) -> Result<(), Failure> {
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
    let is_signalled = end.comes_before(all).await;
    output.end(is_signalled, &mut end).await.map_err(Failure::Output)?;
    result?;
    if let Some(warning) = frames.warning() {
        print_message(&warning);
    }
    Ok(())
}

async fn play(
    speed: Option<f64>,
    settings: Settings,
    mut frames: FrameThread,
    end: EndSignals,
) -> Result<(), Failure> {
    let mut screen = JobScreen::start(Source::Replay { speed, end: None }, settings, end)?;
    let mut player = Player::new(speed);
    let mut warning = String::new();
    let mut was_over = false;
    let mut result = Ok(());
    loop {
        if player.is_over() && !was_over {
            warning = frames.warning().unwrap_or(warning);
            screen.no_more(warning.clone());
        }
        was_over = player.is_over();
        let shown = tokio::select! {
            biased;
            event = screen.next_event() => match event {
                ScreenEvent::Key(Wish::Paused(paused)) => player.pause(paused),
                ScreenEvent::Key(Wish::Step { forward }) => player.step(forward),
                ScreenEvent::Key(Wish::Seek { forward }) => player.seek(forward),
                ScreenEvent::Key(Wish::NextFinding) => player.next_finding(),
                ScreenEvent::Key(Wish::Speed(speed)) => {
                    player.set_speed(speed);
                    None
                }
                ScreenEvent::Key(_) | ScreenEvent::Resumed => None,
                ScreenEvent::End => break,
            },
            () = until(player.due()) => player.play(),
            frame = frames.next(), if player.wants_more() => match frame {
                Some(Ok(frame)) => player.take(frame),
                Some(Err(error)) => {
                    result = Err(error.into());
                    break;
                }
                None => player.end(),
            },
        };
        if let Some(frame) = shown {
            screen.show(frame);
            // If it is the last one, the screen must learn that again.
            was_over = false;
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
