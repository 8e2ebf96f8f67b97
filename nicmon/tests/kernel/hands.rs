//! Keys and the mouse on a real terminal, where nicmon replays recordings.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::{
    diagnose::Diagnosis,
    frame::Frame,
    tui::{Event, Source, State, Theme, draw_to_buffer, update},
};

use crate::{tell, tmux::Tmux};

const PATIENCE: Duration = Duration::from_secs(15);
/// A NIC with four queues, whose interrupts all go to one CPU.
const INCIDENT: &str = "irqs-share-cpu";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/findings"))
}

/// What a key shows.
enum Shows {
    /// This text.
    Text(&'static str),
    /// This text no longer.
    No(&'static str),
    /// Anything else than before.
    Change,
}
use Shows::{Change, No, Text};

/// Keys as tmux names them, in this order, and what each one shows. The file is at its end.
const KEYS: &[(&str, Shows)] = &[
    ("2", Text("% OF ITS TIME")),
    ("s", Text("s by number")),
    ("j", Change),
    ("k", Change),
    ("End", Change),
    ("Home", Change),
    ("NPage", Change),
    ("PPage", Change),
    ("r", Change),
    ("i", Text("cpus[].hardirq_ns = ")),
    ("Escape", Text("% OF ITS TIME")),
    ("3", Text("POLLED ON")),
    ("Down", Change),
    ("Enter", Text("queue 1")),
    ("Escape", Text("POLLED ON")),
    ("4", Text("DRIVER")),
    ("w", Text("w over 30 s")),
    ("5", Text("since 2")),
    ("y", Text("copied")),
    ("Enter", Text("POLLED ON")),
    ("Escape", Text("since 2")),
    ("6", Text("all of it: ")),
    ("1", Text("WORST CPU")),
    ("Tab", Text("% OF ITS TIME")),
    ("BTab", Text("WORST CPU")),
    ("s", Text("s by received")),
    ("r", Change),
    ("m", Text("ns PER PACKET")),
    ("g", Text("no second NUMA node")),
    ("?", Text("This help")),
    ("NPage", Change),
    ("Escape", No("This help")),
    ("/", Text("/_")),
    ("l", Text("/l_")),
    ("o", Text("/lo_")),
    ("Enter", No("eth0  ")),
    ("Escape", Text("eth0  ")),
    ("[", No("END")),
    ("]", Text("END")),
    ("b", No("END")),
    ("n", Text("END")),
    ("p", No("PAUSED")),
    ("p", Text("PAUSED")),
    ("{", No("END")),
    (">", Text("replay x200")),
    ("<", Text("replay x100")),
    ("f", Change),
    ("}", Text("END")),
    ("M", Text("mouse on")),
    // A click on the head of the first column, as xterm reports it.
    ("\x1b[<0;3;4M", Text("s by name")),
    ("M", Text("mouse off")),
];

/// Presses all keys of the help, but for those that end or suspend: other tests do that.
pub(crate) fn every_key() -> Result<()> {
    let tmux = Tmux::start()?;
    let recording = folder().join(format!("{INCIDENT}.ndjson"));
    tmux.line(&format!("clear; {} replay --speed 100 {}", Tmux::nicmon(), recording.display()))?;
    tmux.wait(PATIENCE, "last frame", |screen| screen.contains("END"))?;
    for (at, (key, shows)) in KEYS.iter().enumerate() {
        let before = tmux.screen()?;
        tmux.type_keys(key)?;
        let what = format!("effect of key {at}, {key:?}");
        tmux.wait(PATIENCE, &what, |screen| match shows {
            Text(text) => screen.contains(text),
            No(text) => !screen.contains(text),
            Change => screen != before,
        })?;
    }
    tell("keys", &format!("{} keys did what they say", KEYS.len()));
    Ok(())
}

/// The first two lines of each recorded scenario are those that are drawn from its frames, which another test
/// compares with the cause.
pub(crate) fn scenarios() -> Result<()> {
    let tmux = Tmux::start()?;
    let mut compared = 0;
    let mut names: Vec<_> = fs::read_dir(folder())?.flatten().map(|entry| entry.path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    names.sort();
    for path in names {
        let wanted = drawn(&fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
        tmux.line(&format!("clear; {} replay --speed 1000 {}", Tmux::nicmon(), path.display()))?;
        let (screen, _) = tmux.wait(PATIENCE, "last frame", |screen| screen.contains("END"))?;
        let lines: Vec<&str> = screen.lines().take(2).map(str::trim_end).collect();
        ensure!(lines[0] == wanted[0], "{}: {lines:?} instead of {wanted:?}", path.display());
        // The second line is part of the headline, or has the time of day and marks of the replay.
        let is_header = wanted[1].starts_with("OVERVIEW");
        ensure!(is_header || lines[1] == wanted[1], "{}: {lines:?} instead of {wanted:?}", path.display());
        tmux.press(&["q"])?;
        tmux.wait(PATIENCE, "end", |screen| !screen.contains("END"))?;
        compared += 1;
    }
    ensure!(compared > 15, "only {compared} recordings");
    tell(
        "scenarios on a terminal",
        &format!("{compared} begin with the lines that are drawn from their frames"),
    );
    Ok(())
}

/// The first two lines that these frames have on a terminal of 80x24.
fn drawn(recording: &str) -> Result<[String; 2]> {
    let source = Source::Replay { speed: Some(1000.0), end: Some(String::new()) };
    let mut state = State::new(source, Theme::PLAIN);
    let mut diagnosis = Diagnosis::default();
    for line in recording.lines() {
        let mut frame: Frame = serde_json::from_str(line)?;
        diagnosis.complete(&mut frame);
        update(&mut state, Event::Frame(frame.into()));
    }
    let buffer = draw_to_buffer(&state, 80, 24);
    let line = |y| {
        let row: String = (0..80).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect();
        row.trim_end().to_owned()
    };
    Ok([line(0), line(1)])
}

/// A terminal changes its size again and again: the last size is drawn whole, and frames are on time.
pub(crate) fn resize_storm() -> Result<()> {
    let tmux = Tmux::start()?;
    tmux.line(&format!("clear; {} -d 200ms; echo ended with $?.", Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "screen", |screen| screen.contains("WORST CPU"))?;
    for step in 0_u16..100 {
        tmux.resize(10 + step * 37 % 190, 2 + step * 23 % 58)?;
    }
    tmux.resize(100, 30)?;
    is_on_time(&tmux, "q quit")?;
    tmux.press(&["q"])?;
    tmux.wait(PATIENCE, "end", |screen| screen.contains("ended with 0."))?;
    Ok(())
}

/// A terminal takes no more output: nicmon goes on collecting. Then it dies: nicmon ends.
pub(crate) fn a_terminal_that_does_not_read() -> Result<()> {
    let tmux = Tmux::start()?;
    tmux.line(&format!("clear; {} -d 200ms", Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "screen", |screen| screen.contains("WORST CPU"))?;
    let nicmon = tmux.child("nicmon")?;
    let before = reads_in_two_seconds(nicmon)?;
    tmux.stop()?;
    is_stuck(nicmon)?;
    let stuck = reads_in_two_seconds(nicmon)?;
    is_stuck(nicmon)?;
    tmux.go_on()?;
    // Were it to wait for the terminal, it would read nothing. How much it reads depends on what changes.
    ensure!(stuck * 10 > before * 3, "{stuck} reads while stuck, {before} before");
    is_on_time(&tmux, "q quit")?;

    tmux.stop()?;
    is_stuck(nicmon)?;
    tmux.kill()?;
    for _ in 0..500 {
        if !Path::new(&format!("/proc/{nicmon}")).exists() {
            tell("a stuck terminal", &format!("{stuck} reads in 2 s while stuck, {before} before"));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("nicmon still runs 5 s after its terminal died")
}

/// How often nicmon reads in two seconds: what the kernel counts, from which frames are made.
fn reads_in_two_seconds(nicmon: u32) -> Result<u64> {
    let reads = || -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{nicmon}/io"))?;
        let count = text.lines().find_map(|line| line.strip_prefix("syscr: ")).context("no syscr")?;
        Ok(count.parse()?)
    };
    let before = reads()?;
    thread::sleep(Duration::from_secs(2));
    Ok(reads()? - before)
}

/// Waits until the thread that draws waits for the terminal.
fn is_stuck(nicmon: u32) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        for thread in fs::read_dir(format!("/proc/{nicmon}/task"))?.flatten() {
            let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            if read("comm").trim_end() == "nicmon-screen" && read("stack").contains("n_tty_write") {
                return Ok(());
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the screen does not get stuck")
}

/// Waits for a screen with this text whose frame is not much longer than 200 ms.
fn is_on_time(tmux: &Tmux, text: &str) -> Result<()> {
    tmux.wait(PATIENCE, "frame of 200 ms", |screen| {
        let mut seconds = screen.split_whitespace().zip(screen.split_whitespace().skip(1));
        let interval =
            seconds.find(|(_, unit)| *unit == "s").and_then(|(number, _)| number.parse::<f64>().ok());
        screen.contains(text) && interval.is_some_and(|seconds| seconds < 0.6)
    })?;
    Ok(())
}
