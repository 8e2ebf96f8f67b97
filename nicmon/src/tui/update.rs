//! How events change the state: a pure function of both.

mod mouse;
mod navigate;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::{
    mouse::click,
    navigate::{change_view, go_back, open},
};
use super::{
    CpuOrder, Drivers, Grouping, NicId, Source, State, Target, View, costs,
    keys::{self, Action},
    lists,
};
use crate::frame::Frame;

/// Times between frames that `+` and `-` choose from, in milliseconds.
const DELAYS_MS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/// What to do with a mouse, as it is switched on.
const MOUSE_ON: &str = "mouse on: click to choose, again to open; M gives the mouse back";
/// Rows that a page up or down moves.
const PAGE: usize = 10;
/// How much time figures from windows are of.
const SUM_NS: u64 = 10_000_000_000;
/// For how long such a sum stays on the screen.
const FRESH_NS: u64 = 500_000_000;
/// The slowest and the fastest replay.
const SPEEDS: (f64, f64) = (0.01, 1000.0);

/// An event.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// A click of the mouse on this.
    Click(Target),
    /// The wheel of the mouse was turned by a notch.
    Wheel {
        /// True for towards the end.
        down: bool,
    },
    /// A frame to show.
    Frame(Arc<Frame>),
    /// There are no more frames. The message about that may be empty.
    End(String),
}

/// What the screen asks of its source of frames.
#[derive(Debug, Clone, PartialEq)]
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
    /// Go 30 s forward or back in a replay.
    Seek {
        /// True for later frames.
        forward: bool,
    },
    /// Go to the next frame of a replay in which a finding begins.
    NextFinding,
    /// Copy this text.
    Copy(String),
}

/// Applies an event to the state, and returns what the user asked for with it.
pub fn update(state: &mut State, event: Event) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => press(state, key),
        Event::Key(_) => None,
        Event::Click(target) => {
            state.notice = None;
            click(state, target);
            keep_in_range(state);
            None
        }
        Event::Wheel { down } => {
            go(state, 1, down);
            keep_in_range(state);
            None
        }
        Event::Frame(frame) => {
            take(state, frame);
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
    state.notice = None;
    if state.filter.is_typing && !key.modifiers.contains(KeyModifiers::CONTROL) {
        type_filter(state, key.code);
        return None;
    }
    let action = keys::action(state, key)?;
    let wish = act(state, action);
    keep_in_range(state);
    wish
}

fn act(state: &mut State, action: Action) -> Option<Wish> {
    match action {
        Action::Quit => return Some(Wish::Quit),
        Action::Suspend => return Some(Wish::Suspend),
        Action::Help => state.help = if state.help.is_some() { None } else { Some(0) },
        Action::Back => go_back(state),
        Action::Open => open(state),
        Action::Show(view) => change_view(state, view),
        Action::NextView => change_view(state, state.view.next()),
        Action::PreviousView => change_view(state, state.view.previous()),
        Action::Pause => return Some(pause(state)),
        Action::Longer => return change_delay(state, true),
        Action::Shorter => return change_delay(state, false),
        Action::Earlier => return step(state, false),
        Action::Later => return step(state, true),
        Action::Forward => return Some(Wish::Seek { forward: true }),
        Action::Backward => return Some(Wish::Seek { forward: false }),
        Action::NextFinding => return Some(Wish::NextFinding),
        Action::Faster => return change_speed(state, 2.0),
        Action::Slower => return change_speed(state, 0.5),
        Action::Down => go(state, 1, true),
        Action::Up => go(state, 1, false),
        Action::PageDown => page(state, PAGE, true),
        Action::PageUp => page(state, PAGE, false),
        Action::First => page(state, usize::MAX, false),
        Action::Last => page(state, usize::MAX, true),
        Action::Left => state.column = state.column.saturating_sub(1),
        Action::Right => state.column = state.column.saturating_add(1),
        Action::Sort => sort(state),
        Action::Reverse => state.reversed = !state.reversed,
        Action::Filter => {
            state.filter.is_typing = true;
            state.filter.text.clear();
        }
        Action::Units => state.units = state.units.next(),
        Action::Group => group(state),
        Action::Span => state.drivers.span = state.drivers.span.next(),
        Action::Copy => return copy(state),
        Action::Explain => state.explains = !state.explains,
        Action::Mouse => {
            state.mouse = !state.mouse;
            let is = if state.mouse { MOUSE_ON } else { "mouse off" };
            state.notice = Some(is.to_owned());
        }
    }
    None
}

/// The filter takes effect with each letter.
fn type_filter(state: &mut State, code: KeyCode) {
    match code {
        KeyCode::Enter => state.filter.is_typing = false,
        KeyCode::Esc => {
            state.filter.is_typing = false;
            state.filter.text.clear();
        }
        KeyCode::Backspace => drop(state.filter.text.pop()),
        KeyCode::Char(letter) if !letter.is_control() => state.filter.text.push(letter),
        _ => {}
    }
}

/// The next grouping of CPUs that has more than one group.
fn group(state: &mut State) {
    let Some(frame) = state.shown().cloned() else { return };
    let at = Grouping::ALL.iter().position(|grouping| *grouping == state.grouping).unwrap_or(0);
    let others = Grouping::ALL.into_iter().cycle().skip(at + 1).take(Grouping::ALL.len() - 1);
    let is_possible = |other: &Grouping| lists::groups(state, &frame, *other).len() > 1;
    match others.into_iter().find(is_possible) {
        Some(grouping) => (state.grouping, state.column) = (grouping, 0),
        None => state.notice = Some("no second NUMA node and no second package is known".to_owned()),
    }
}

fn sort(state: &mut State) {
    match (state.view, state.cpu_order) {
        (View::Cpus, CpuOrder::Load) => state.cpu_order = CpuOrder::Number,
        (View::Cpus, CpuOrder::Number) => state.cpu_order = CpuOrder::Load,
        _ => state.sort = state.sort.next(),
    }
}

fn copy(state: &mut State) -> Option<Wish> {
    let frame = state.frame.clone()?;
    let finding = lists::finding(state, &frame)?;
    state.notice = Some("copied, if the terminal allows it".to_owned());
    Some(Wish::Copy(lists::as_text(&frame, finding)))
}

/// Moves the choice of a list, or scrolls text.
fn go(state: &mut State, rows: usize, down: bool) {
    let moved = |at: usize| if down { at.saturating_add(rows) } else { at.saturating_sub(rows) };
    if let Some(line) = &mut state.help {
        *line = moved(*line);
        return;
    }
    let Some(frame) = state.shown().cloned() else { return };
    match state.view {
        View::Overview => {
            let nics = lists::nics(state, &frame);
            state.nic = lists::nic_at(&nics, moved(lists::chosen_nic(state, &nics)));
        }
        View::Cpus => {
            let cpus = lists::cpus(state, &frame);
            let at = moved(lists::chosen_cpu(state, &cpus)).min(cpus.len().saturating_sub(1));
            state.cpu = cpus.get(at).map(|(cpu, _)| cpu.cpu);
        }
        View::Nic => {
            let Some(nic) = lists::nic(state, &frame) else { return };
            let queues = lists::queues(&frame, nic, lists::setup(state, nic));
            let at = moved(lists::chosen_queue(state, &queues)).min(queues.len().saturating_sub(1));
            let id = NicId::of(nic);
            (state.queue, state.nic) = (queues.get(at).copied(), Some(id));
        }
        View::Drivers => choose_driver(state, &frame, down),
        View::Findings => {
            let findings = lists::findings(state, &frame);
            let at = moved(lists::chosen_finding(state, &findings)).min(findings.len().saturating_sub(1));
            state.finding = findings.get(at).map(|finding| finding.key());
        }
        View::Own => state.line = moved(state.line),
    }
}

/// A page of the same. In the view of drivers, that scrolls the functions of the chosen one.
fn page(state: &mut State, rows: usize, down: bool) {
    if state.view == View::Drivers && state.help.is_none() {
        let at = &mut state.drivers.function;
        *at = if down { at.saturating_add(rows) } else { at.saturating_sub(rows) };
    } else {
        go(state, rows, down);
    }
}

fn choose_driver(state: &mut State, frame: &Frame, next: bool) {
    let drivers = &mut state.drivers;
    let rows = costs::rows(&drivers.window.until(frame, drivers.span));
    let at = costs::chosen(&rows, drivers.chosen.as_ref());
    let to = if next { at.saturating_add(1) } else { at.saturating_sub(1) };
    if let Some(row) = rows.get(to) {
        drivers.chosen = Some(row.subject.clone());
        drivers.function = 0;
    }
}

/// Adds up the last ten seconds if they were measured in windows, and if the view shows it.
fn add_up(state: &mut State) {
    let Some(frame) = state.frame.as_ref() else { return };
    if frame.window.is_none() || !state.adds_up() {
        state.sum = None;
        return;
    }
    // With short intervals, once per half a second is enough.
    let is_fresh = |sum: &Arc<Frame>| (0..FRESH_NS).contains(&frame.mono_ns.wrapping_sub(sum.mono_ns));
    if !state.sum.as_ref().is_some_and(is_fresh) {
        state.sum = state.history.sum(frame.mono_ns, SUM_NS).map(Arc::new);
    }
}

/// Keeps every position within its list.
fn keep_in_range(state: &mut State) {
    add_up(state);
    let Some(frame) = state.shown().cloned() else { return };
    state.column = state.column.min(frame.cpus.len().saturating_sub(1));
    if let Some(line) = state.help {
        state.help = Some(line.min(super::view::help_lines(state).saturating_sub(1)));
    }
    if state.view == View::Own && state.line > 0 {
        state.line = state.line.min(super::view::own_lines(&frame).saturating_sub(1));
    }
    // Adding up functions takes a moment and is only needed if the user scrolled them.
    if state.drivers.function > 0 {
        let functions = functions(&state.drivers, &frame);
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

/// Pauses, or goes on with the newest frame.
fn pause(state: &mut State) -> Wish {
    state.paused = !state.paused;
    if !state.paused && matches!(state.source, Source::Live { .. }) {
        let newest = state.history.newest().cloned();
        let is_another =
            |frame: &Arc<Frame>| state.frame.as_ref().is_none_or(|shown| !Arc::ptr_eq(shown, frame));
        if let Some(frame) = newest.filter(is_another) {
            show(state, frame);
        }
    }
    Wish::Paused(state.paused)
}

/// Takes a new frame in, and shows it unless a live screen is paused. The player of a replay knows about the
/// pause; what it sends while paused are single steps.
fn take(state: &mut State, frame: Arc<Frame>) {
    // If it is the last one, a message about that follows.
    if let Source::Replay { end, .. } = &mut state.source {
        *end = None;
    }
    state.history.add(&frame);
    if frame.topology.is_some() {
        state.setup = Some(Arc::clone(&frame));
    }
    if !(state.paused && matches!(state.source, Source::Live { .. })) {
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

/// One frame forward or back in time. A live screen takes it from what it remembers.
fn step(state: &mut State, forward: bool) -> Option<Wish> {
    if matches!(state.source, Source::Replay { .. }) {
        state.paused = true;
        return Some(Wish::Step { forward });
    }
    let beside = state.frame.as_ref().and_then(|shown| state.history.beside(shown.mono_ns, forward));
    match beside {
        Some(frame) => {
            let was_paused = std::mem::replace(&mut state.paused, true);
            show(state, frame);
            (!was_paused).then_some(Wish::Paused(true))
        }
        None if forward => None,
        None => {
            let seconds = state.history.frames_ns() / 1_000_000_000;
            state.notice = Some(format!("frames are kept for {seconds} s"));
            None
        }
    }
}
