//! The screen on a real terminal, and the state of the terminal afterwards.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::{
    frame::Frame,
    tui::{Screen, Source, State, Theme},
};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{
    load::{Namespace, Receive, UdpLoad, VethPair},
    process::output,
};

use crate::{loads::plan, tell, tmux::Tmux};

/// Argument that turns this test program into one that panics with the screen shown.
pub(crate) const PANIC: &str = "--panic-on-the-screen";
const FRAMES: &str = include_str!("../fixtures/frames/demo-cpu1.ndjson");
/// How long to wait for anything that the test does not measure.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether the first view is shown: nothing else has these texts.
fn is_shown(screen: &str) -> bool {
    screen.contains("WORST CPU") && screen.contains("q quit")
}

pub(crate) fn pinned_to_cpu_0() -> Result<()> {
    pinned_to(0)
}

pub(crate) fn pinned_to_cpu_1() -> Result<()> {
    pinned_to(1)
}

/// The veth, and the CPU that its packets are pinned to, are in the first line within 3 s.
fn pinned_to(cpu: usize) -> Result<()> {
    let pair = VethPair::create("nicmon-t-screen")?;
    let load = UdpLoad::start(&pair, plan(cpu))?;
    let tmux = Tmux::start()?;
    let start = Instant::now();
    tmux.line(&Tmux::nicmon())?;
    let (cpu, nic) = (format!("CPU {cpu}"), VethPair::RX_NAME);
    let (screen, _) = tmux.wait(PATIENCE, "pinned veth", |screen| {
        screen.lines().next().is_some_and(|line| line.contains(&cpu) && line.contains(nic))
    })?;
    let time = start.elapsed();
    load.stop()?;
    tell(&format!("screen, {cpu}"), &format!("there after {time:.2?}\n{screen}"));
    ensure!(time < Duration::from_secs(3), "it took {time:?}");
    Ok(())
}

/// Within seconds the other view shows what veth costs, and which of its functions.
pub(crate) fn what_drivers_cost() -> Result<()> {
    let pair = VethPair::create("nicmon-t-cost")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let tmux = Tmux::start()?;
    tmux.line(&format!("{} -F 999", Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "screen", is_shown)?;
    tmux.press(&["4"])?;
    let (screen, time) = tmux.wait(PATIENCE, "samples in veth", |screen| {
        let veth = screen.lines().find(|line| line.get(2..).is_some_and(|name| name.starts_with("veth ")));
        // The interval follows the figure.
        let samples = veth.and_then(|line| line.split_once(']')?.1.split_whitespace().next()?.parse().ok());
        samples.is_some_and(|samples: u64| samples >= 5)
    })?;
    tmux.press(&["q"])?;
    load.stop()?;
    tell("screen, what drivers cost", &format!("there {time:.2?} after the first frame\n{screen}"));
    let has_line = |start: &str| screen.lines().any(|line| line.starts_with(start));
    ensure!(has_line("> veth "), "the most expensive driver is not selected:\n{screen}");
    ensure!(has_line("FUNCTION OF veth") && has_line("veth_"), "no function of veth:\n{screen}");
    Ok(())
}

/// Control characters in names of 15 bytes do not reach the terminal, and such names do not shift columns.
pub(crate) fn odd_names() -> Result<()> {
    let namespace = Namespace::create(&format!("nicmon-t-screen-{}", std::process::id()))?;
    let names =
        ["fifteen-bytes-x", "a\u{7}\u{1b}[31m\"\\", "\u{1b}[2J\u{1b}[5;5H", "網卡零", "e\u{301}t\u{300}h"];
    for (number, name) in names.iter().enumerate() {
        let peer = format!("peer{number}");
        let add = ["-n", namespace.name(), "link", "add", name, "type", "veth", "peer", "name", &peer];
        output(std::process::Command::new("ip").args(add))?;
    }
    let tmux = Tmux::start()?;
    tmux.line(&format!("ip netns exec {} {} -d 300ms", namespace.name(), Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "screen", is_shown)?;
    tmux.press(&["s", "s", "s"])?;
    // Let a second frame be drawn over the first.
    thread::sleep(Duration::from_millis(700));
    let (screen, _) = tmux.wait(PATIENCE, "name of 15 bytes", |screen| screen.contains(names[0]))?;
    ensure!(is_shown(&screen), "the names broke the screen:\n{screen}");
    let first = screen.lines().find(|line| line.starts_with("NIC")).context("no head")?;
    let end = first.trim_end().len();
    let rows = screen.lines().skip_while(|line| !line.starts_with("NIC")).skip(1);
    for row in rows.take_while(|line| !line.is_empty() && !line.starts_with('%')) {
        // A wide character is one character but takes two columns.
        let wide = row.chars().filter(|c| ('\u{4e00}'..'\u{a000}').contains(c)).count();
        let width = row.trim_end().chars().count() + wide;
        ensure!(width == end, "a row ends at {width}, its head at {end}:\n{screen}");
    }
    tell("screen, odd names", &format!("\n{screen}"));
    Ok(())
}

pub(crate) fn after_q() -> Result<()> {
    after("q", |tmux| tmux.press(&["q"]))
}

pub(crate) fn after_sigint() -> Result<()> {
    after("SIGINT", |tmux| signal(tmux, Signal::INT))
}

pub(crate) fn after_sigterm() -> Result<()> {
    after("SIGTERM", |tmux| signal(tmux, Signal::TERM))
}

fn signal(tmux: &Tmux, signal: Signal) -> Result<()> {
    let pid = i32::try_from(tmux.child("nicmon")?).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.context("no pid")?, signal)?)
}

/// Starts nicmon, ends it, and checks the terminal that it leaves.
fn after(name: &str, end: impl Fn(&Tmux) -> Result<()>) -> Result<()> {
    let tmux = Tmux::start()?;
    let modes = tmux.modes()?;
    tmux.line(&format!("clear; {}; echo ended with $?.", Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "screen", is_shown)?;
    ensure!(tmux.cursor_and_alternate()? == (false, true), "nicmon has not taken the terminal");
    end(&tmux)?;
    let (screen, time) = tmux.wait(PATIENCE, "end", |screen| screen.contains("ended with"))?;
    ensure!(screen.contains("ended with 0."), "it ended badly:\n{screen}");
    given_back(&tmux, &modes)?;
    tell(&format!("terminal, after {name}"), &format!("modes and cursor are as before, after {time:.0?}"));
    Ok(())
}

fn given_back(tmux: &Tmux, modes: &str) -> Result<()> {
    ensure!(tmux.cursor_and_alternate()? == (true, false), "no cursor, or still the alternate screen");
    let now = tmux.modes()?;
    ensure!(now == modes, "the modes were\n{modes}\nand are\n{now}");
    Ok(())
}

/// Shows a frame and panics.
pub(crate) fn panic_on_the_screen() -> ! {
    let line = FRAMES.lines().next().expect("the recording has frames");
    let frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
    let source = Source::Live { delay: Duration::from_secs(1) };
    let screen = Screen::start(State::new(source, Theme::COLOUR)).expect("there is a terminal");
    screen.show(Arc::new(frame));
    thread::sleep(Duration::from_millis(1500));
    panic!("forced by the test");
}

pub(crate) fn after_a_panic() -> Result<()> {
    let tmux = Tmux::start()?;
    let modes = tmux.modes()?;
    tmux.line(&format!("clear; {} {PANIC}; echo ended with $?.", Tmux::this_program()?))?;
    tmux.wait(PATIENCE, "screen", is_shown)?;
    let (screen, _) = tmux.wait(PATIENCE, "end", |screen| screen.contains("ended with"))?;
    ensure!(screen.contains("forced by the test"), "the message is not seen:\n{screen}");
    ensure!(screen.contains("ended with 101."), "a panic ends with 101:\n{screen}");
    given_back(&tmux, &modes)
}

/// nicmon is stopped by a key and by a signal, and continued.
pub(crate) fn while_stopped() -> Result<()> {
    type Stop = fn(&Tmux) -> Result<()>;
    let tmux = Tmux::start()?;
    let modes = tmux.modes()?;
    tmux.line(&format!("clear; {} -d 200ms; echo ended with $?.", Tmux::nicmon()))?;
    let stops: [(&str, Stop); 3] = [
        ("Ctrl-Z", |tmux| tmux.press(&["C-z"])),
        ("SIGTSTP", |tmux| signal(tmux, Signal::TSTP)),
        ("SIGTSTP again", |tmux| signal(tmux, Signal::TSTP)),
    ];
    for (name, stop) in stops {
        tmux.wait(PATIENCE, "screen", is_shown)?;
        stop(&tmux)?;
        tmux.wait(PATIENCE, "shell", |screen| screen.contains("Stopped")).context(name)?;
        given_back(&tmux, &modes).context(name)?;
        tmux.line("clear; fg; echo ended with $?.")?;
    }
    tmux.wait(PATIENCE, "screen", is_shown)?;
    ensure!(tmux.cursor_and_alternate()? == (false, true), "fg does not give the terminal back to nicmon");
    tmux.press(&["q"])?;
    // Wait for this: what is typed while nicmon ends still goes to nicmon.
    tmux.wait(PATIENCE, "end", |screen| screen.contains("ended with 0."))?;
    given_back(&tmux, &modes)
}

/// As in `ssh host nicmon --json | nicmon replay -`: the data come from a pipe, the keys from the terminal.
pub(crate) fn replay_from_a_pipe() -> Result<()> {
    let tmux = Tmux::start()?;
    let modes = tmux.modes()?;
    let recording = tmux.file("frames", FRAMES)?;
    tmux.line(&format!("clear; cat {recording} | {} replay -; echo ended with $?.", Tmux::nicmon()))?;
    tmux.wait(PATIENCE, "last frame", |screen| is_shown(screen) && screen.contains("END"))?;
    let last = tmux.screen()?;
    tmux.press(&["b"])?;
    tmux.wait(PATIENCE, "frame before", |screen| screen.contains("PAUSED") && *screen != last)?;
    tmux.press(&["q"])?;
    tmux.wait(PATIENCE, "end", |screen| screen.contains("ended with 0."))?;
    given_back(&tmux, &modes)
}
