//! The driver view at several sizes, with real frames and with worse ones.

use std::{sync::Arc, time::Duration};

use ratatui::{crossterm::event::KeyCode, layout::Rect};

use crate::{
    frame::{
        Companion, Context, Driver, Frame, Origin, SampleEvent, SampledFunction, Stage, StageFunction,
        StageShare,
    },
    tui::{Event, Source, Span, State, Subject, Theme, View, draw_to_buffer, update, view::tests::screen},
};

/// `cargo xtask demo --mode rps -- --json -F 999` on a virtual machine with 2 CPUs.
const SAMPLED: &str = include_str!("../../../../tests/fixtures/frames/drivers.ndjson");
/// Run as an ordinary user, who may not load kernel programs.
const COUNTS: &str = include_str!("../../../../tests/fixtures/frames/counts.ndjson");
/// Recorded by a version without samples.
const OLD: &str = include_str!("../../../../tests/fixtures/frames/demo-rps.ndjson");

fn frames(recording: &str) -> Vec<Frame> {
    let frame = |line| serde_json::from_str(line).expect("the recording's lines are frames");
    recording.lines().map(frame).collect()
}

fn shown(frames: Vec<Frame>) -> State {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::COLOUR);
    state.view = View::Drivers;
    for frame in frames {
        update(&mut state, Event::Frame(Arc::new(frame)));
    }
    state
}

/// More drivers, functions, names and numbers than this project's machines have. Sampled by hardware cycles,
/// so interrupt handlers have samples as well.
fn wild() -> Vec<Frame> {
    let mut frames = frames(SAMPLED);
    for frame in &mut frames {
        frame.host.sample_event = Some(SampleEvent::Cycles);
        if let Some(sampling) = &mut frame.host.sampling {
            sampling.lost = 7;
        }
        let drivers = frame.drivers.as_mut().expect("they were sampled");
        let like = drivers[0].clone();
        drivers.extend((0..14).map(|number| odd(&like, number)));
        let nic = frame.nics[0].clone();
        frame.nics.extend((0..14).map(|number| {
            let mut nic = nic.clone();
            nic.ifindex = 100 + number;
            nic.name = format!("\u{1b}[3{number}m");
            nic.driver = Some(odd_name(number));
            nic.stages = (number % 3 != 1).then(all_stages);
            nic
        }));
    }
    frames
}

fn odd_name(number: u32) -> String {
    ["網卡零", "a\u{1b}[31m\u{7}\"", "e\u{301}t\u{300}h", "thirty-one-bytes-of-driver-name"]
        .get(number as usize)
        .map_or_else(|| format!("driver{number}"), |name| (*name).to_owned())
}

fn odd(like: &Driver, number: u32) -> Driver {
    let contexts = [Context::Hardirq, Context::Softirq, Context::Task];
    let function = |at: usize| SampledFunction {
        symbol: "very_long_".repeat(at),
        context: contexts[at % 3],
        comm: if at == 2 { "\u{fffd}\u{1b}[2J\u{fffd}".to_owned() } else { "kworker/u512:3".to_owned() },
        samples: 30 - at as u64,
        share_pct: None,
    };
    let companion = |name: &str| Companion { name: name.to_owned(), samples: 5, busy_share_pct: None };
    let is_known = number % 4 != 1;
    Driver {
        driver: odd_name(number),
        origin: is_known.then_some(if number.is_multiple_of(2) {
            Origin::Module
        } else {
            Origin::BuiltinRanges
        }),
        unknown: (!is_known).then(|| "its poll function is shared".to_owned()),
        samples: is_known.then_some(500 + u64::from(number)),
        hardirq_ns: (number % 5 != 4).then_some(1_000_000 * u64::from(number)),
        sampled_est_ns: is_known.then_some(500_000_000 / (1 + u64::from(number))),
        companions: ["virtio_ring", "page_pool"].map(companion).into(),
        functions: if is_known { (0..20).map(function).collect() } else { Vec::new() },
        ..like.clone()
    }
}

fn all_stages() -> Vec<StageShare> {
    use Stage::{Alloc, Bpf, Bridge, Conntrack, Driver, Gro, Ip, Netfilter, Other, Tap, Tcp, Udp};
    let stages = [Driver, Alloc, Bpf, Gro, Tap, Netfilter, Conntrack, Bridge, Ip, Tcp, Udp, Other];
    let share = |(at, stage)| {
        let function = |symbol: &str| StageFunction { symbol: symbol.to_owned(), samples: 1 };
        let others = ["_raw_spin_unlock_irqrestore", "net_rx_action"].map(function);
        let functions = others.into_iter().filter(|_| stage == Other).collect();
        StageShare { stage, samples: 40_u64 >> at, share_pct: 0.0, ci_pct: [0.0; 2], functions }
    };
    stages.into_iter().enumerate().map(share).collect()
}

#[test]
fn tables_share_the_height() {
    let heights = |height, wanted| super::stack(Rect::new(0, 5, 9, height), wanted).map(|place| place.height);
    assert_eq!(heights(12, [4, 5, 0]), [4, 5, 0], "as they wish");
    assert_eq!(heights(12, [9, 9, 2]), [5, 5, 2], "the highest give way");
    assert_eq!(heights(5, [9, 9, 2]), [5, 0, 0], "the last have none");
    assert_eq!(heights(0, [9, 9, 2]), [0, 0, 0]);
    let places = super::stack(Rect::new(0, 5, 9, 40), [4, 0, 6]);
    assert_eq!(places.map(|place| place.y), [5, 10, 10], "free lines where it is high");
}

#[test]
fn real_frames() {
    for (width, height) in [(80, 24), (200, 60), (50, 14), (20, 8)] {
        let name = format!("real_{width}x{height}");
        insta::assert_snapshot!(name, screen(&shown(frames(SAMPLED)), width, height));
    }
}

#[test]
fn more_than_fits_and_odd_names() {
    for (width, height) in [(80, 24), (200, 60), (50, 14), (20, 8)] {
        let name = format!("wild_{width}x{height}");
        insta::assert_snapshot!(name, screen(&shown(wild()), width, height));
    }
}

#[test]
fn the_backlog_has_stages_only() {
    let mut state = shown(frames(SAMPLED));
    for _ in 0..9 {
        update(&mut state, Event::Key(KeyCode::Down.into()));
    }
    let backlog = Subject::Nic { netns: None, ifindex: 0, name: "(backlog)".to_owned() };
    assert_eq!(state.drivers.chosen, Some(backlog), "it is last");
    insta::assert_snapshot!("backlog_80x24", screen(&state, 80, 24));
}

#[test]
fn what_is_unknown_says_why() {
    let mut state = shown(frames(SAMPLED));
    state.drivers.chosen = Some(Subject::Driver("ifb".to_owned()));
    insta::assert_snapshot!("unknown_80x24", screen(&state, 80, 24));
    let reason = |frames| screen(&shown(frames), 80, 10).lines().take(4).collect::<Vec<_>>().join("\n");
    let mut hidden = frames(SAMPLED);
    for frame in &mut hidden {
        frame.drivers = None;
        frame.host.drivers_reason = Some("kernel symbols are hidden".to_owned());
    }
    let reasons = [reason(frames(COUNTS)), reason(frames(OLD)), reason(hidden)].join("\n");
    insta::assert_snapshot!("reasons_80x10", reasons);
}

#[test]
fn help() {
    let mut state = shown(frames(SAMPLED));
    state.help = Some(0);
    insta::assert_snapshot!("help_80x50", screen(&state, 80, 50));
}

/// Sizes that nobody thinks of, by xorshift, and frames that only a broken recording contains.
#[test]
fn no_size_makes_it_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: u16| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u16::try_from(random % u64::from(limit)).unwrap_or(0)
    };
    let mut broken = wild();
    for frame in &mut broken {
        frame.interval_ns = u64::MAX;
        let drivers = frame.drivers.iter_mut().flatten();
        drivers.for_each(|driver| driver.samples = driver.samples.map(|_| u64::MAX));
        frame.nics.iter_mut().for_each(|nic| nic.hardirq_ns = Some(u64::MAX));
    }
    let mut empty = frames(SAMPLED);
    for frame in &mut empty {
        frame.drivers = Some(Vec::new());
        frame.nics.clear();
        frame.interval_ns = 0;
    }
    let states = [frames(SAMPLED), wild(), broken, empty, frames(OLD)].map(shown);
    for turn in 0..600 {
        let mut state = states[turn % states.len()].clone();
        let limit = if turn % 4 == 0 { 300 } else { 60 };
        let (width, height) = (below(limit), below(limit));
        state.drivers.span = [Span::Frame, Span::Short, Span::Long][usize::from(below(3))];
        state.drivers.function = below(40).into();
        state.drivers.chosen = Some(Subject::Driver(odd_name(below(20).into())));
        let buffer = draw_to_buffer(&state, width, height);
        let is_clean = |symbol: &str| !symbol.contains(char::is_control);
        let all_clean = buffer.content.iter().all(|cell| is_clean(cell.symbol()));
        assert!(all_clean, "a control character at {width}x{height}");
    }
}
