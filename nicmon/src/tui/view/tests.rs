//! The screen at several sizes, with real frames and with one larger than this project's machines.

use std::{sync::Arc, time::Duration};

use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Cell,
    style::{Color, Modifier},
};

use crate::{
    frame::{Frame, Nic, NicCounters, NicCpu, pct_of},
    tui::{Sort, Source, State, Theme, View, draw_to_buffer},
};

/// `cargo xtask demo --cpu 1 -- --json -n 3` on a virtual machine with 2 CPUs.
const PINNED: &str = include_str!("../../../tests/fixtures/frames/demo-cpu1.ndjson");
/// The same with `--mode rps --pps 150000`, sent from CPU 0.
const SPREAD: &str = include_str!("../../../tests/fixtures/frames/demo-rps.ndjson");
/// Run as an ordinary user, who may not load kernel programs.
const COUNTS: &str = include_str!("../../../tests/fixtures/frames/counts.ndjson");

fn last(recording: &str) -> Frame {
    let line = recording.lines().last().expect("the recording has frames");
    serde_json::from_str(line).expect("the recording's lines are frames")
}

fn live(frame: Frame) -> State {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::COLOUR);
    state.frame = Some(Arc::new(frame));
    state
}

/// The text on a terminal of this size.
pub(super) fn screen(state: &State, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| frame.buffer_mut().clone_from(&draw_to_buffer(state, width, height)));
    terminal.backend().to_string()
}

/// 64 CPUs and 16 NICs, made from a real frame: names that the kernel allows, unknown and zero figures.
fn big() -> Frame {
    const NAMES: [&str; 5] =
        ["a\u{1b}[31m\u{7}\"", "網卡零", "e\u{301}t\u{300}h", "fifteen-bytes-x", "\u{202e}x\u{1}"];
    let mut frame = last(SPREAD);
    let cpu = frame.cpus[0].clone();
    frame.cpus = (0..64)
        .map(|number| {
            let mut cpu = cpu.clone();
            cpu.cpu = number;
            if let Some(softirq) = &mut cpu.softirq {
                softirq.net_rx.vector.ns = Some(frame.interval_ns / 64 * u64::from(number * 29 % 64));
            }
            cpu
        })
        .collect();
    let nic = frame.nics[0].clone();
    frame.nics = (0..16_u32).map(|number| loaded(&nic, number, frame.interval_ns)).collect();
    for (nic, name) in frame.nics.iter_mut().zip(NAMES) {
        name.clone_into(&mut nic.name);
    }
    frame.nics[5].counters = NicCounters::default();
    frame.nics[6].poll_ns = None;
    frame.nics[6].cpus.clear();
    frame.host.cpus_online = 64;
    frame.own.lost = Some(12);
    frame
}

fn loaded(like: &Nic, number: u32, interval_ns: u64) -> Nic {
    let on = like.cpus[0].clone();
    let cpus: Vec<_> = (0..64)
        .filter(|cpu| cpu % 16 == number)
        .map(|cpu| {
            let poll_ns = interval_ns / 64 * u64::from(cpu * 29 % 64);
            let load_pct = (number != 7).then_some(pct_of(poll_ns, interval_ns));
            NicCpu { cpu, poll_ns: Some(poll_ns), load_pct, ..on.clone() }
        })
        .collect();
    Nic {
        name: format!("eth{number}"),
        poll_ns: Some(cpus.iter().filter_map(|cpu| cpu.poll_ns).sum()),
        cpus,
        ..like.clone()
    }
}

/// A real frame of a nicmon whose kernel programs were refused.
fn counts_only() -> Frame {
    last(COUNTS)
}

#[test]
fn one_pinned_cpu() {
    for (width, height) in [(80, 24), (200, 60), (50, 14), (20, 8)] {
        let name = format!("pinned_{width}x{height}");
        insta::assert_snapshot!(name, screen(&live(last(PINNED)), width, height));
    }
}

#[test]
fn many_cpus_and_odd_names() {
    for (width, height) in [(80, 24), (200, 60), (50, 14), (20, 8)] {
        let name = format!("big_{width}x{height}");
        insta::assert_snapshot!(name, screen(&live(big()), width, height));
    }
}

#[test]
fn receive_packet_steering() {
    insta::assert_snapshot!("spread_80x24", screen(&live(last(SPREAD)), 80, 24));
}

#[test]
fn unknown_is_not_zero() {
    insta::assert_snapshot!("counts_only_80x24", screen(&live(counts_only()), 80, 24));
}

#[test]
fn before_the_first_frame() {
    let state = State::new(Source::Replay { speed: Some(2.0), end: None }, Theme::COLOUR);
    insta::assert_snapshot!("no_frame_50x14", screen(&state, 50, 14));
}

#[test]
fn help() {
    let mut state = live(last(PINNED));
    state.help = Some(0);
    insta::assert_snapshot!("help_80x24", screen(&state, 80, 24));
    insta::assert_snapshot!("help_80x30", screen(&state, 80, 30));
    state.help = Some(usize::MAX);
    insta::assert_snapshot!("help_scrolled_50x14", screen(&state, 50, 14));
}

#[test]
fn the_end_of_a_replay() {
    let end = Some("the last frame was cut short".to_owned());
    let mut state = State::new(Source::Replay { speed: Some(4.0), end }, Theme::COLOUR);
    state.frame = Some(Arc::new(last(SPREAD)));
    state.paused = true;
    insta::assert_snapshot!("end_80x24", screen(&state, 80, 24));
}

#[test]
fn a_hot_cpu_is_coloured_and_seen_without_colours() {
    let mut frame = last(PINNED);
    frame.nics[0].cpus[0].load_pct = Some(97.0);
    let mut state = live(frame);
    let is_red =
        |state: &State| draw_to_buffer(state, 80, 24).content.iter().any(|cell| cell.bg == Color::Red);
    assert!(is_red(&state));
    state.theme = Theme::PLAIN;
    let buffer = draw_to_buffer(&state, 80, 24);
    assert!(buffer.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
    let reversed = |cell: &Cell| cell.modifier.contains(Modifier::REVERSED);
    let text: String = buffer.content.iter().filter(|cell| reversed(cell)).map(Cell::symbol).collect();
    assert!(text.contains("97.0"), "{text}");
}

/// Sizes that nobody thinks of, by xorshift.
#[test]
fn no_size_makes_it_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u16| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u16::try_from(random % u64::from(limit)).unwrap_or(0)
    };
    let mut wild = big();
    wild.interval_ns = 0;
    wild.time = "é".repeat(12);
    wild.nics[3].poll_ns = Some(u64::MAX);
    wild.nics[3].hardirq_ns = Some(u64::MAX);
    wild.nics[3].cpus[0].load_pct = Some(1e300);
    let mut empty = last(PINNED);
    empty.nics.clear();
    empty.cpus.clear();
    let mut long = wild.clone();
    long.interval_ns = 1;
    long.host.hostname = "漢".repeat(300);
    let frames = [last(PINNED), big(), counts_only(), wild, empty, long];
    for turn in 0..600 {
        let mut state = live(frames[turn % frames.len()].clone());
        let limit = if turn % 4 == 0 { 300 } else { 40 };
        let (width, height) = (below(limit), below(limit));
        state.view = View::ALL[usize::from(below(6))];
        state.explains = below(6) == 0;
        state.column = below(80).into();
        state.help = (below(5) == 0).then(|| below(40).into());
        state.paused = below(2) == 0;
        state.sort = [Sort::Load, Sort::Received, Sort::Drops, Sort::Name][usize::from(below(4))];
        let buffer = draw_to_buffer(&state, width, height);
        let is_clean = |cell: &Cell| !cell.symbol().contains(char::is_control);
        assert!(buffer.content.iter().all(is_clean), "a control character at {width}x{height}");
    }
}
