//! Key by key.

use super::*;
use crate::{
    frame::Windows,
    tui::{QueueId, Sort, Span, Subject, Theme, Units, window::tests::sampled},
};

fn frame(seq: u64) -> Arc<Frame> {
    const RECORDING: &str = include_str!("../../../tests/fixtures/frames/demo-cpu1.ndjson");
    let line = RECORDING.lines().next().expect("the recording has frames");
    let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
    (frame.seq, frame.mono_ns) = (seq, (seq + 1) * 1_000_000_000);
    Arc::new(frame)
}

fn live() -> State {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(3) }, Theme::PLAIN);
    update(&mut state, Event::Frame(frame(0)));
    state
}

fn key(state: &mut State, code: KeyCode) -> Option<Wish> {
    update(state, Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn letter(state: &mut State, letter: char) -> Option<Wish> {
    key(state, KeyCode::Char(letter))
}

fn seq(state: &State) -> Option<u64> {
    state.frame.as_ref().map(|frame| frame.seq)
}

#[test]
fn quits_and_stops() {
    let mut state = live();
    assert_eq!(letter(&mut state, 'q'), Some(Wish::Quit));
    assert_eq!(key(&mut state, KeyCode::Esc), None, "Esc never quits");
    let control = |letter| Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
    assert_eq!(update(&mut state, control('c')), Some(Wish::Quit));
    assert_eq!(update(&mut state, control('z')), Some(Wish::Suspend));
    letter(&mut state, '?');
    assert_eq!(state.help, Some(0));
    assert_eq!(key(&mut state, KeyCode::Esc), None);
    assert_eq!(state.help, None, "Esc closes the help");
    letter(&mut state, 'i');
    key(&mut state, KeyCode::Esc);
    assert!(!state.explains);
}

#[test]
fn enter_goes_on_and_escape_back() {
    let mut state = live();
    let frame = Arc::clone(state.frame.as_ref().expect("there is one"));
    key(&mut state, KeyCode::Down);
    let chosen = lists::nics(&state, &frame)[1];
    key(&mut state, KeyCode::Enter);
    assert_eq!((state.view, lists::nic(&state, &frame)), (View::Nic, Some(chosen)));
    key(&mut state, KeyCode::Esc);
    assert_eq!((state.view, state.trail.len()), (View::Overview, 0));
    letter(&mut state, '2');
    key(&mut state, KeyCode::Enter);
    assert_eq!(state.view, View::Nic, "the NIC that loads the busiest CPU");
    assert_eq!(lists::nic(&state, &frame).map(|nic| nic.name.as_str()), Some("demo-rx"));
    letter(&mut state, '4');
    assert!(state.trail.is_empty(), "another view is no way back");
    key(&mut state, KeyCode::BackTab);
    assert_eq!(state.view, View::Nic);
}

#[test]
fn a_filter_is_typed_and_cleared() {
    let mut state = live();
    letter(&mut state, '/');
    "DEMOq".chars().for_each(|typed| drop(letter(&mut state, typed)));
    key(&mut state, KeyCode::Backspace);
    let frame = Arc::clone(state.frame.as_ref().expect("there is one"));
    let names =
        |state: &State| lists::nics(state, &frame).iter().map(|nic| nic.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&state), ["demo-rx"]);
    key(&mut state, KeyCode::Enter);
    assert_eq!((letter(&mut state, 'm'), state.units), (None, Units::NsPerPacket), "keys are keys again");
    key(&mut state, KeyCode::Esc);
    assert!(names(&state).len() > 1);
    letter(&mut state, '/');
    assert_eq!(letter(&mut state, 'q'), None, "it is a letter");
    key(&mut state, KeyCode::Esc);
    assert!(state.filter.text.is_empty() && !state.filter.is_typing);
}

#[test]
fn a_live_screen_steps_back_in_time() {
    let mut state = live();
    (1..=3).for_each(|seq| drop(update(&mut state, Event::Frame(frame(seq)))));
    assert_eq!((letter(&mut state, '['), seq(&state)), (Some(Wish::Paused(true)), Some(2)));
    assert_eq!((letter(&mut state, '['), seq(&state)), (None, Some(1)));
    update(&mut state, Event::Frame(frame(4)));
    assert_eq!((letter(&mut state, ']'), seq(&state)), (None, Some(2)));
    (0..9).for_each(|_| drop(letter(&mut state, '[')));
    assert_eq!(seq(&state), Some(0));
    assert!(state.notice.is_some(), "it says how far back frames are kept");
    assert_eq!((letter(&mut state, 'p'), seq(&state)), (Some(Wish::Paused(false)), Some(4)));
}

#[test]
fn orders_units_and_the_other_end() {
    let mut state = live();
    let frame = Arc::clone(state.frame.as_ref().expect("there is one"));
    let first = |state: &State| lists::nics(state, &frame)[0].name.clone();
    let before = first(&state);
    letter(&mut state, 'r');
    assert_ne!(first(&state), before);
    letter(&mut state, '2');
    assert_eq!((letter(&mut state, 's'), state.cpu_order), (None, CpuOrder::Number));
    let numbers: Vec<u32> = lists::cpus(&state, &frame).iter().map(|(cpu, _)| cpu.cpu).collect();
    assert_eq!(numbers, [1, 0], "both orders are reversed");
}

#[test]
fn a_paused_screen_stands_and_then_shows_the_newest() {
    let mut state = live();
    assert_eq!(letter(&mut state, 'p'), Some(Wish::Paused(true)));
    update(&mut state, Event::Frame(frame(1)));
    update(&mut state, Event::Frame(frame(2)));
    assert_eq!(seq(&state), Some(0));
    assert_eq!(letter(&mut state, ' '), Some(Wish::Paused(false)));
    assert_eq!(seq(&state), Some(2));
}

#[test]
fn delays_go_in_steps_from_whatever_was_asked_for() {
    let mut state = live();
    assert_eq!(letter(&mut state, '-'), Some(Wish::Delay(Duration::from_secs(2))));
    assert_eq!(letter(&mut state, '+'), Some(Wish::Delay(Duration::from_secs(5))));
    for _ in 0..20 {
        letter(&mut state, '-');
    }
    assert_eq!(state.source, Source::Live { delay: Duration::from_millis(100) });
    assert_eq!(letter(&mut state, '-'), None, "there is none shorter");
    assert_eq!(letter(&mut state, '>'), None, "the present has no speed");
}

#[test]
fn a_replay_steps_and_changes_its_speed() {
    let mut state = State::new(Source::Replay { speed: Some(1.0), end: None }, Theme::PLAIN);
    assert_eq!(letter(&mut state, '>'), Some(Wish::Speed(2.0)));
    assert_eq!(letter(&mut state, '+'), None, "what is recorded has its delay");
    assert_eq!(letter(&mut state, 'b'), Some(Wish::Step { forward: false }));
    assert!(state.paused);
    update(&mut state, Event::Frame(frame(7)));
    assert_eq!(seq(&state), Some(7), "a step is shown though it is paused");
    update(&mut state, Event::End(String::new()));
    assert!(matches!(state.source, Source::Replay { end: Some(_), .. }));
    update(&mut state, Event::Frame(frame(6)));
    assert!(matches!(state.source, Source::Replay { end: None, .. }), "a step back leads away from the end");
}

#[test]
fn choosing_ends_at_the_ends() {
    let mut state = live();
    let frame = Arc::clone(state.frame.as_ref().expect("there is one"));
    let chosen = |state: &State| lists::chosen_nic(state, &lists::nics(state, &frame));
    key(&mut state, KeyCode::End);
    assert_eq!(chosen(&state), frame.nics.len() - 1);
    key(&mut state, KeyCode::Up);
    assert_eq!(chosen(&state), frame.nics.len() - 2);
    key(&mut state, KeyCode::PageUp);
    assert_eq!(chosen(&state), 0);
    letter(&mut state, 'j');
    letter(&mut state, 'k');
    assert_eq!(chosen(&state), 0);
    (0..9).for_each(|_| drop(letter(&mut state, 'l')));
    assert_eq!(state.column, 1, "this machine had two CPUs");
    letter(&mut state, 'h');
    assert_eq!(state.column, 0);
    assert_eq!((letter(&mut state, 's'), state.sort), (None, Sort::Received));
}

#[test]
fn the_view_of_drivers() {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::PLAIN);
    for frame in sampled() {
        update(&mut state, Event::Frame(Arc::new(frame)));
    }
    key(&mut state, KeyCode::Down);
    assert_eq!(state.drivers.chosen, None, "it chooses a NIC");
    letter(&mut state, '4');
    assert_eq!(state.view, View::Drivers);
    let driver = |name: &str| Some(Subject::Driver(name.to_owned()));
    letter(&mut state, 'j');
    assert_eq!(state.drivers.chosen, driver("ifb"), "the first was chosen before");
    letter(&mut state, 'k');
    letter(&mut state, 'k');
    assert_eq!(state.drivers.chosen, driver("veth"));
    key(&mut state, KeyCode::End);
    assert_eq!(state.drivers.function, 3, "veth has four functions");
    letter(&mut state, 'j');
    assert_eq!(state.drivers.function, 0, "another has its own");
    assert_eq!((letter(&mut state, 'w'), state.drivers.span), (None, Span::Long));
    letter(&mut state, 's');
    assert_eq!(state.sort, Sort::Load, "drivers have one order");
    letter(&mut state, '?');
    letter(&mut state, 'j');
    assert_eq!((state.help, &state.drivers.chosen), (Some(1), &driver("ifb")), "it scrolls the help");
    letter(&mut state, '1');
    assert_eq!((state.view, state.help), (View::Overview, Some(0)));
}

#[test]
fn a_paused_screen_adds_nothing_up() {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::PLAIN);
    let mut frames = sampled().into_iter().map(Arc::new);
    let mut next = |state: &mut State| {
        update(state, Event::Frame(frames.next().expect("there are five")));
        let shown = state.frame.as_ref().expect("there is one");
        state.drivers.window.until(shown, Span::Short).len()
    };
    assert_eq!((next(&mut state), next(&mut state)), (1, 2));
    letter(&mut state, 'p');
    assert_eq!((next(&mut state), next(&mut state)), (2, 2));
    letter(&mut state, 'p');
    assert_eq!(next(&mut state), 4, "but for one that nobody saw");
}

#[test]
fn figures_from_windows_are_sums_of_ten_seconds() {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::PLAIN);
    let windowed = |seq| {
        let mut frame = Frame::clone(&frame(seq));
        frame.interval_ns = 1_000_000_000;
        frame.window = Some(Windows { attached_ns: 100_000_000, count: 1 });
        Event::Frame(Arc::new(frame))
    };
    update(&mut state, windowed(0));
    assert!(state.sum.is_none(), "one frame is no sum");
    (1..=20).for_each(|seq| drop(update(&mut state, windowed(seq))));
    let seconds = |state: &State| state.shown().map(|frame| frame.interval_ns / 1_000_000_000);
    assert_eq!(seconds(&state), Some(10));
    letter(&mut state, '5');
    assert_eq!(seconds(&state), Some(1), "findings are those of the frame");
    letter(&mut state, '1');
    letter(&mut state, '[');
    assert_eq!((seq(&state), seconds(&state)), (Some(19), Some(10)));
    update(&mut state, Event::Frame(frame(21)));
    letter(&mut state, 'p');
    assert_eq!((seq(&state), state.sum.is_none()), (Some(21), true), "it is exact again");
}

#[test]
fn sums_after_a_seek_end_with_the_frame_on_the_screen() {
    let mut state = State::new(Source::Replay { speed: Some(1.0), end: None }, Theme::PLAIN);
    let mut show = |seqs: &[u64]| {
        for seq in seqs {
            let mut frame = Frame::clone(&frame(*seq));
            frame.interval_ns = 1_000_000_000;
            frame.window = Some(Windows { attached_ns: 100_000_000, count: 1 });
            update(&mut state, Event::Frame(Arc::new(frame)));
        }
        state.sum.as_ref().map(|sum| (sum.seq, sum.interval_ns / 1_000_000_000))
    };
    assert_eq!(show(&[0, 1, 2]), Some((2, 3)));
    assert_eq!(show(&[40]), None, "nothing is known of the ten seconds before");
    assert_eq!(show(&[2, 3, 4]), Some((4, 5)), "what came later is no part of it");
}

#[test]
fn a_queue_stays_chosen_whatever_else_happens() {
    let mut state = live();
    letter(&mut state, '3');
    let (mut shown, nic) = {
        let frame = state.frame.clone().expect("there is one");
        let nic = lists::nic(&state, &frame).expect("there is a NIC").clone();
        (Frame::clone(&frame), nic)
    };
    let queue = |number| {
        let mut napi = nic.napis.as_ref().expect("polls are counted")[0].clone();
        napi.queue = Some(number);
        napi
    };
    let mut next = |state: &mut State, numbers: &[u32]| {
        let of =
            shown.nics.iter_mut().find(|other| NicId::of(other) == NicId::of(&nic)).expect("it is there");
        of.napis = Some(numbers.iter().map(|number| queue(*number)).collect());
        shown.mono_ns += 1_000_000_000;
        update(state, Event::Frame(Arc::new(shown.clone())));
    };
    next(&mut state, &[4, 7]);
    letter(&mut state, 'j');
    key(&mut state, KeyCode::Enter);
    assert_eq!((state.queue, state.shows_queue), (Some(QueueId::Number(7)), true));
    next(&mut state, &[1, 2, 3]);
    next(&mut state, &[1, 7]);
    assert_eq!((state.queue, state.shows_queue), (Some(QueueId::Number(7)), true));
}
