//! Each view at the sizes that people have, with frames of real machines and with one of a very large one.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use nicmon::{
    diagnose::Diagnosis,
    frame::{Cpu, Frame, NicCpu, pct_of},
    tui::{Event, Source, State, Theme, View, Wish, draw_to_buffer, update},
};
use ratatui::{
    buffer::Buffer,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

/// A virtio NIC with four queues, whose interrupts all go to one CPU.
pub(crate) const INCIDENT: &str = include_str!("../findings/irqs-share-cpu.ndjson");
/// The same NIC with room to spare.
pub(crate) const HEALTHY: &str = include_str!("../findings/healthy-bursts.ndjson");
const SIZES: [(u16, u16); 4] = [(200, 60), (120, 40), (80, 24), (50, 14)];

/// The state after these frames, judged.
pub(crate) fn after(recording: &str) -> State {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::COLOUR);
    let mut diagnosis = Diagnosis::default();
    for line in recording.lines() {
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        diagnosis.complete(&mut frame);
        update(&mut state, Event::Frame(Arc::new(frame)));
    }
    state
}

pub(crate) fn press(state: &mut State, key: KeyCode) -> Option<Wish> {
    update(state, Event::Key(KeyEvent::new(key, KeyModifiers::NONE)))
}

/// The text on a terminal of this size.
pub(crate) fn screen(state: &State, width: u16, height: u16) -> String {
    let buffer: Buffer = draw_to_buffer(state, width, height);
    let row = |y| (0..width).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect::<String>();
    let rows: Vec<String> = (0..height).map(|y| row(y).trim_end().to_owned()).collect();
    rows.join("\n")
}

/// Each view at each size, one below the other.
fn every_view(state: &mut State, width: u16, height: u16) -> String {
    let draw = |view| {
        state.view = view;
        format!("{}\n{}", view.name(), screen(state, width, height))
    };
    View::ALL.map(draw).join("\n")
}

#[test]
fn of_an_incident() {
    for (width, height) in SIZES {
        let name = format!("incident_{width}x{height}");
        insta::assert_snapshot!(name, every_view(&mut after(INCIDENT), width, height));
    }
}

#[test]
fn of_a_healthy_machine() {
    insta::assert_snapshot!("healthy_80x24", every_view(&mut after(HEALTHY), 80, 24));
}

#[test]
fn explained() {
    let mut state = after(INCIDENT);
    press(&mut state, KeyCode::Char('2'));
    press(&mut state, KeyCode::Char('i'));
    insta::assert_snapshot!("explained_80x24", screen(&state, 80, 24));
}

#[test]
fn a_filter_and_other_units() {
    let mut state = after(INCIDENT);
    "/eth".chars().for_each(|key| drop(press(&mut state, KeyCode::Char(key))));
    press(&mut state, KeyCode::Enter);
    press(&mut state, KeyCode::Char('m'));
    insta::assert_snapshot!("filter_80x24", screen(&state, 80, 24));
}

#[test]
fn a_finding_leads_to_its_nic_and_can_be_copied() {
    let mut state = after(INCIDENT);
    press(&mut state, KeyCode::Char('5'));
    let Some(Wish::Copy(text)) = press(&mut state, KeyCode::Char('y')) else { panic!("nothing was copied") };
    assert!(text.contains("CPU 0 is saturated by eth0") && text.contains("limit"), "{text}");
    assert!(state.notice.is_some(), "it says so");
    press(&mut state, KeyCode::Enter);
    assert_eq!((state.view, state.notice.is_none()), (View::Nic, true));
    assert!(screen(&state, 80, 24).contains("eth0, virtio_net"));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view, View::Findings);
}

#[test]
fn a_queue_by_itself() {
    let mut state = after(INCIDENT);
    press(&mut state, KeyCode::Char('3'));
    press(&mut state, KeyCode::Enter);
    assert!(state.shows_queue);
    insta::assert_snapshot!("queue_80x24", screen(&state, 80, 24));
    press(&mut state, KeyCode::End);
    insta::assert_snapshot!("no_queue_80x24", screen(&state, 80, 24));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view, state.shows_queue), (View::Nic, false));
}

/// Sums over the CPUs of a node or a package; each CPU is in one of them.
#[test]
fn groups_of_cpus() {
    let mut state = after(INCIDENT);
    press(&mut state, KeyCode::Char('g'));
    assert!(state.notice.is_some(), "this machine has one of each");
    let mut setup = Frame::clone(state.setup.as_ref().expect("the recording has the setup"));
    for cpu in setup.topology.iter_mut().flat_map(|topology| &mut topology.cpus) {
        (cpu.numa_node, cpu.package) = (Some(cpu.cpu / 2), (cpu.cpu != 3).then_some(cpu.cpu % 2));
    }
    state.setup = Some(Arc::new(setup));
    let mut texts = Vec::new();
    for _ in 0..2 {
        press(&mut state, KeyCode::Char('g'));
        texts.push(screen(&state, 80, 24));
    }
    insta::assert_snapshot!("groups_80x24", texts.join("\n"));
    press(&mut state, KeyCode::Char('g'));
    assert!(screen(&state, 80, 24).contains("% OF EACH CPU"));
}

/// A frame of a machine of this size: each CPU is loaded by two NICs, and every eighth is idle.
fn large(cpus: u32, nics: u32) -> Frame {
    let line = INCIDENT.lines().last().expect("the recording has frames");
    let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
    let (cpu, nic) = (frame.cpus[0].clone(), frame.nics[0].clone());
    let on = nic.cpus[0].clone();
    frame.cpus = (0..cpus).map(|number| Cpu { cpu: number, ..cpu.clone() }).collect();
    for row in &mut frame.cpus {
        if let Some(softirq) = row.softirq.as_mut().filter(|_| row.cpu % 8 == 7) {
            softirq.net_rx.vector.ns = Some(0);
        }
    }
    let load = |cpu: u32, number: u32| {
        let poll_ns = frame.interval_ns / 100 * u64::from((cpu * 37 + number * 11) % 50);
        NicCpu {
            cpu,
            poll_ns: Some(poll_ns),
            load_pct: Some(pct_of(poll_ns, frame.interval_ns)),
            ..on.clone()
        }
    };
    frame.nics = (0..nics)
        .map(|number| {
            let mut nic = nic.clone();
            (nic.name, nic.ifindex) = (format!("eth{number}"), number + 1);
            let own =
                (0..cpus).filter(|cpu| cpu % 8 != 7 && (cpu % nics == number || (cpu + 5) % nics == number));
            nic.cpus = own.map(|cpu| load(cpu, number)).collect();
            nic
        })
        .collect();
    frame.host.cpus_online = cpus;
    frame
}

#[test]
fn of_a_thousand_cpus() {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::COLOUR);
    update(&mut state, Event::Frame(Arc::new(large(1024, 64))));
    for (width, height) in SIZES {
        let name = format!("thousand_{width}x{height}");
        insta::assert_snapshot!(name, every_view(&mut state, width, height));
    }
}

/// The shortest of twenty times: others only make it longer.
fn shortest(mut of: impl FnMut() -> Duration) -> Duration {
    (0..20).map(|_| of()).min().unwrap_or_default()
}

/// From its arrival until it is drawn, after ten minutes, a frame takes less than four times as long as
/// writing it as JSON. Where that takes 1.7 ms for 256 CPUs and 32 NICs, it took 0.7 to 3.1 ms.
#[test]
fn a_large_frame_is_handled_in_time() {
    for (cpus, nics) in [(256, 32), (1024, 64)] {
        let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::COLOUR);
        let mut frame = large(cpus, nics);
        let json = shortest(|| {
            let start = Instant::now();
            let text = serde_json::to_string(&frame).expect("JSON");
            assert!(text.len() > 1000);
            start.elapsed()
        });
        let mut next = || {
            frame.mono_ns += 1_000_000_000;
            Arc::new(frame.clone())
        };
        (0..600).for_each(|_| drop(update(&mut state, Event::Frame(next()))));
        for view in View::ALL {
            state.view = view;
            let time = shortest(|| {
                let frame = next();
                let start = Instant::now();
                update(&mut state, Event::Frame(frame));
                draw_to_buffer(&state, 200, 60);
                start.elapsed()
            });
            let text = format!("{cpus} CPUs, {nics} NICs, {}: {time:.2?}, JSON {json:.2?}", view.name());
            println!("{text}");
            assert!(time < 4 * json, "{text}");
        }
    }
}

/// Cells that are numbers have all their digits, whatever the width: a number that is cut is a wrong one.
/// What stands at one width stands at another, too, maybe with fewer digits.
#[test]
fn no_number_is_cut_at_any_width() {
    let mut state = after(INCIDENT);
    let queue = (View::Nic, true);
    for (view, shows_queue) in View::ALL.map(|view| (view, false)).into_iter().chain([queue]) {
        (state.view, state.shows_queue) = (view, shows_queue);
        let tokens = |width| -> Vec<String> {
            screen(&state, width, 60).split_whitespace().map(str::to_owned).collect()
        };
        let known: HashSet<String> = (40..=220).step_by(20).flat_map(tokens).collect();
        for width in (40..=220).filter(|width| width % 20 != 0) {
            for token in tokens(width).iter().filter(|token| token.parse::<f64>().is_ok()) {
                // Fewer digits of the same figure are right, too.
                let is_known = known.contains(token) || known.iter().any(|other| is_rounded(token, other));
                assert!(is_known, "{token} at {width} columns in the view {}", view.name());
            }
        }
    }
}

/// Whether a text is a number of fewer digits with the value of another.
fn is_rounded(short: &str, long: &str) -> bool {
    let value = |text: &str| text.trim_end_matches('k').parse::<f64>().ok();
    let decimals = short.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let limit = 0.5 / 10_f64.powi(i32::try_from(decimals).unwrap_or(0)) + 1e-9;
    value(short).zip(value(long)).is_some_and(|(short, long)| (short - long).abs() <= limit)
}
