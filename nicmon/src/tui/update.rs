//! How events change the state: a pure function of both.

use std::{sync::Arc, time::Duration};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Drivers, Source, State, View, costs};
use crate::frame::Frame;

/// Times between frames that `+` and `-` choose from, in milliseconds.
const DELAYS_MS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/// Rows that a page up or down moves.
const PAGE: usize = 10;
/// The slowest and the fastest replay.
const SPEEDS: (f64, f64) = (0.01, 1000.0);

/// An event.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// A frame to show.
    Frame(Arc<Frame>),
    /// There are no more frames. The message about that may be empty.
    End(String),
}

/// What the screen asks of its source of frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wish {
    /// End the program.
    Quit,
    /// Suspend the job, as Ctrl-Z in a shell does.
    Suspend,
    /// Change the time between frames.
    Delay(Duration),
    /// Pause or continue.
    Paused(bool),
    /// Change the speed of the replay.
    Speed(f64),
    /// Go to the next or the previous frame of a replay.
    Step {
        /// True for the next frame.
        forward: bool,
    },
}

/// Applies an event to the state, and returns what the user asked for with it.
pub fn update(state: &mut State, event: Event) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => press(state, key),
        Event::Key(_) => None,
        Event::Frame(frame) => {
            // The player of a replay knows about the pause; what it sends while paused are single steps.
            if state.paused && matches!(state.source, Source::Live { .. }) {
                state.waiting = Some(frame);
            } else {
                show(state, frame);
            }
            None
        }
        Event::End(text) => {
            if let Source::Replay { end, .. } = &mut state.source {
                *end = Some(text);
            }
            None
        }
    }
}

fn press(state: &mut State, key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Wish::Quit),
            KeyCode::Char('z') => Some(Wish::Suspend),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Esc if state.help.is_some() => state.help = None,
        KeyCode::Char('q') | KeyCode::Esc => return Some(Wish::Quit),
        KeyCode::Char('?' | 'h') => state.help = if state.help.is_some() { None } else { Some(0) },
        KeyCode::Char('p' | ' ') => {
            pause(state, !state.paused);
            return Some(Wish::Paused(state.paused));
        }
        KeyCode::Char('+' | '=') => return change_delay(state, true),
        KeyCode::Char('-') => return change_delay(state, false),
        KeyCode::Char('>' | '.') => return change_speed(state, 2.0),
        KeyCode::Char('<' | ',') => return change_speed(state, 0.5),
        KeyCode::Char('n') => return step(state, true),
        KeyCode::Char('b') => return step(state, false),
        KeyCode::Char('1') => change_view(state, View::Nics),
        KeyCode::Char('2') => change_view(state, View::Drivers),
        KeyCode::Tab | KeyCode::BackTab => change_view(state, state.view.other()),
        KeyCode::Char('s') if state.view == View::Nics => {
            state.sort = state.sort.next();
            state.row = 0;
        }
        KeyCode::Char('w') if state.view == View::Drivers => state.drivers.span = state.drivers.span.next(),
        KeyCode::Down | KeyCode::Char('j') => down(state, true),
        KeyCode::Up | KeyCode::Char('k') => down(state, false),
        KeyCode::PageDown => scroll(state, PAGE, true),
        KeyCode::PageUp => scroll(state, PAGE, false),
        KeyCode::Home => scroll(state, usize::MAX, false),
        KeyCode::End => scroll(state, usize::MAX, true),
        KeyCode::Right => state.column = state.column.saturating_add(1),
        KeyCode::Left => state.column = state.column.saturating_sub(1),
        _ => {}
    }
    keep_in_range(state);
    None
}

/// Shows a view, or its help if the help is open.
fn change_view(state: &mut State, view: View) {
    state.view = view;
    state.help = state.help.map(|_| 0);
}

/// Moves one line down or up. In the driver view, this chooses the next or the previous driver.
fn down(state: &mut State, down: bool) {
    if state.view == View::Drivers && state.help.is_none() {
        choose(state, down);
    } else {
        scroll(state, 1, down);
    }
}

fn choose(state: &mut State, next: bool) {
    let Some(frame) = &state.frame else { return };
    let drivers = &mut state.drivers;
    let rows = costs::rows(&drivers.window.until(frame, drivers.span));
    let at = costs::chosen(&rows, drivers.chosen.as_ref());
    let to = if next { at.saturating_add(1) } else { at.saturating_sub(1) };
    if let Some(row) = rows.get(to) {
        drivers.chosen = Some(row.subject.clone());
        drivers.function = 0;
    }
}

fn scroll(state: &mut State, rows: usize, down: bool) {
    let row = match (&mut state.help, state.view) {
        (Some(line), _) => line,
        (None, View::Nics) => &mut state.row,
        (None, View::Drivers) => &mut state.drivers.function,
    };
    *row = if down { row.saturating_add(rows) } else { row.saturating_sub(rows) };
}

/// Keeps every scroll position within its list.
fn keep_in_range(state: &mut State) {
    let (nics, cpus) = state.frame.as_ref().map_or((0, 0), |frame| (frame.nics.len(), frame.cpus.len()));
    state.row = state.row.min(nics.saturating_sub(1));
    state.column = state.column.min(cpus.saturating_sub(1));
    let lines = super::view::help_lines(state.view);
    state.help = state.help.map(|line| line.min(lines.saturating_sub(1)));
    // Adding up functions takes a moment and is only needed if the user scrolled them.
    if let Some(frame) = state.frame.as_ref().filter(|_| state.drivers.function > 0) {
        let functions = functions(&state.drivers, frame);
        state.drivers.function = state.drivers.function.min(functions.saturating_sub(1));
    }
}

/// Number of functions that can be scrolled.
fn functions(drivers: &Drivers, frame: &Frame) -> usize {
    let recent = drivers.window.until(frame, drivers.span);
    let rows = costs::rows(&recent);
    let row = rows.get(costs::chosen(&rows, drivers.chosen.as_ref()));
    row.map_or(0, |row| {
        let details = costs::details(&recent, &row.subject);
        details.functions.len() + usize::from(details.unlisted.is_some())
    })
}

fn pause(state: &mut State, paused: bool) {
    state.paused = paused;
    if let Some(frame) = state.waiting.take() {
        show(state, frame);
    }
}

fn show(state: &mut State, frame: Arc<Frame>) {
    state.drivers.window.add(&frame);
    state.frame = Some(frame);
    keep_in_range(state);
}

fn change_delay(state: &mut State, longer: bool) -> Option<Wish> {
    let Source::Live { delay } = &mut state.source else { return None };
    let mut steps = DELAYS_MS.map(Duration::from_millis).into_iter();
    let next = if longer { steps.find(|step| step > delay) } else { steps.rfind(|step| step < delay) };
    *delay = next?;
    Some(Wish::Delay(*delay))
}

fn change_speed(state: &mut State, factor: f64) -> Option<Wish> {
    let Source::Replay { speed: Some(speed), .. } = &mut state.source else { return None };
    *speed = (*speed * factor).clamp(SPEEDS.0, SPEEDS.1);
    Some(Wish::Speed(*speed))
}

fn step(state: &mut State, forward: bool) -> Option<Wish> {
    if matches!(state.source, Source::Live { .. }) {
        return None;
    }
    state.paused = true;
    Some(Wish::Step { forward })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{Sort, Span, Subject, Theme, window::tests::sampled};

    fn frame(seq: u64) -> Arc<Frame> {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        frame.seq = seq;
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
        assert_eq!(key(&mut state, KeyCode::Esc), Some(Wish::Quit));
        let control = |letter| Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
        assert_eq!(update(&mut state, control('c')), Some(Wish::Quit));
        assert_eq!(update(&mut state, control('z')), Some(Wish::Suspend));
        letter(&mut state, '?');
        assert_eq!(key(&mut state, KeyCode::Esc), None, "closes the help first");
        assert_eq!(state.help, None);
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
    }

    #[test]
    fn scrolling_ends_at_the_ends() {
        let mut state = live();
        let rows = state.frame.as_ref().map_or(0, |frame| frame.nics.len());
        key(&mut state, KeyCode::End);
        assert_eq!(state.row, rows - 1);
        key(&mut state, KeyCode::Up);
        assert_eq!(state.row, rows - 2);
        key(&mut state, KeyCode::PageUp);
        assert_eq!(state.row, 0);
        for _ in 0..9 {
            key(&mut state, KeyCode::Right);
        }
        assert_eq!(state.column, 1, "this machine had two CPUs");
        assert_eq!((letter(&mut state, 's'), state.sort), (None, Sort::Received));
    }

    #[test]
    fn the_view_of_drivers() {
        let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::PLAIN);
        for frame in sampled() {
            update(&mut state, Event::Frame(Arc::new(frame)));
        }
        key(&mut state, KeyCode::Down);
        assert_eq!((state.row, &state.drivers.chosen), (1, &None), "of NICs it scrolls");
        key(&mut state, KeyCode::Tab);
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
        assert_eq!((state.view, state.help), (View::Nics, Some(0)));
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
}
