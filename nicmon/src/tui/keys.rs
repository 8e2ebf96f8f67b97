//! What the keys do. The screen acts on this table; its help and its last line are made from it.

use ratatui::crossterm::event::{
    KeyCode::{self, BackTab, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up},
    KeyEvent, KeyModifiers,
};

use super::{Source, State, View};

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Suspend,
    Help,
    Back,
    Open,
    Show(View),
    NextView,
    PreviousView,
    Pause,
    Longer,
    Shorter,
    Earlier,
    Later,
    Forward,
    Backward,
    NextFinding,
    Faster,
    Slower,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    Left,
    Right,
    Sort,
    Reverse,
    Filter,
    Units,
    Group,
    Span,
    Copy,
    Explain,
    Mouse,
}

/// A key, and what it does.
pub(super) struct Key {
    action: Action,
    codes: &'static [KeyCode],
    /// The keys as people read them.
    pub(super) shown: &'static str,
    /// For the help: one line.
    pub(super) does: &'static str,
    /// For the last line, where the most important come first; `None` if it is not there.
    pub(super) short: Option<fn(&State) -> String>,
    works: fn(&State) -> bool,
}

impl Key {
    /// Whether it does anything now.
    pub(super) fn works(&self, state: &State) -> bool {
        (self.works)(state)
    }
}

const ALWAYS: fn(&State) -> bool = |_| true;

const fn key(
    action: Action,
    codes: &'static [KeyCode],
    shown: &'static str,
    does: &'static str,
    short: Option<fn(&State) -> String>,
    works: fn(&State) -> bool,
) -> Key {
    Key { action, codes, shown, does, short, works }
}

fn is_live(state: &State) -> bool {
    matches!(state.source, Source::Live { .. })
}

fn is_replay(state: &State) -> bool {
    !is_live(state)
}

fn has_speed(state: &State) -> bool {
    matches!(state.source, Source::Replay { speed: Some(_), .. })
}

fn opens(state: &State) -> bool {
    match state.view {
        View::Overview | View::Cpus | View::Findings => true,
        View::Nic => !state.shows_queue,
        View::Drivers | View::Own => false,
    }
}

/// All keys. Those of the last line stand in the order in which they are left out last.
pub(super) const KEYS: &[Key] = &[
    key(Action::Quit, &[Char('q')], "q", "Quit; so does Ctrl-C", Some(|_| "q quit".to_owned()), ALWAYS),
    key(
        Action::Help,
        &[Char('?')],
        "?",
        "This help for the view; again, or Esc: back",
        Some(|_| "? help".to_owned()),
        ALWAYS,
    ),
    key(Action::Back, &[Esc], "Esc", "Back to where you came from; it never quits", Some(back), goes_back),
    key(
        Action::Open,
        &[Enter],
        "Enter",
        "Open what is chosen: a NIC, its queue, what a finding is about",
        Some(|_| "Enter open".to_owned()),
        opens,
    ),
    key(
        Action::NextView,
        &[Tab],
        "Tab",
        "The next view; Shift-Tab: the one before",
        Some(|state| format!("Tab {}", state.view.next().name())),
        ALWAYS,
    ),
    key(Action::PreviousView, &[BackTab], "", "", None, ALWAYS),
    key(Action::Show(View::Overview), &[Char('1')], "1", "Overview: NICs and CPUs", None, ALWAYS),
    key(Action::Show(View::Cpus), &[Char('2')], "2", "CPUs: what each one does, as a bar", None, ALWAYS),
    key(Action::Show(View::Nic), &[Char('3')], "3", "One NIC: packets, queues, CPUs, setup", None, ALWAYS),
    key(Action::Show(View::Drivers), &[Char('4')], "4", "Drivers: what they cost, by samples", None, ALWAYS),
    key(Action::Show(View::Findings), &[Char('5')], "5", "Findings: what is wrong, and why", None, ALWAYS),
    key(Action::Show(View::Own), &[Char('6')], "6", "nicmon itself: cost, losses, limits", None, ALWAYS),
    key(
        Action::Pause,
        &[Char('p'), Char(' ')],
        "p, space",
        "Pause: the screen stands still, nicmon goes on collecting",
        Some(|state| if state.paused { "p go on".to_owned() } else { "p pause".to_owned() }),
        ALWAYS,
    ),
    key(Action::Down, &[Down, Char('j')], "down, j", "Down, or the next one", None, ALWAYS),
    key(Action::Up, &[Up, Char('k')], "up, k", "Up, or the one before", None, ALWAYS),
    key(Action::PageDown, &[PageDown], "PgDn", "A page down", None, ALWAYS),
    key(Action::PageUp, &[PageUp], "PgUp", "A page up", None, ALWAYS),
    key(Action::First, &[Home], "Home", "The first", None, ALWAYS),
    key(Action::Last, &[End], "End", "The last", None, ALWAYS),
    key(Action::Left, &[Left, Char('h')], "left, h", "CPUs to the left, if they do not fit", None, |state| {
        state.view == View::Overview
    }),
    key(
        Action::Right,
        &[Right, Char('l')],
        "right, l",
        "CPUs to the right, if they do not fit",
        None,
        |state| state.view == View::Overview,
    ),
    key(
        Action::Sort,
        &[Char('s')],
        "s",
        "Next order: load, received, drops, name; of CPUs load, number",
        Some(|state| format!("s by {}", state.order_name())),
        |state| matches!(state.view, View::Overview | View::Cpus),
    ),
    key(Action::Reverse, &[Char('r')], "r", "The same order from the other end", None, |state| {
        matches!(state.view, View::Overview | View::Cpus)
    }),
    key(
        Action::Span,
        &[Char('w')],
        "w",
        "Cover the last 10 s, the last 30 s, or only one frame",
        Some(|state| format!("w over {}", state.drivers.span.name())),
        |state| state.view == View::Drivers,
    ),
    key(
        Action::Filter,
        &[Char('/')],
        "/",
        "Show only NICs or findings that contain a text; Enter ends it",
        Some(|_| "/ filter".to_owned()),
        |state| matches!(state.view, View::Overview | View::Findings),
    ),
    key(
        Action::Units,
        &[Char('m')],
        "m",
        "Cells of NICs: % of the CPU, ns per packet, packets per second",
        Some(|state| format!("m {}", state.units.name())),
        |state| state.view == View::Overview,
    ),
    key(
        Action::Group,
        &[Char('g')],
        "g",
        "Columns: CPUs, NUMA nodes, packages, if there are several",
        None,
        |state| state.view == View::Overview,
    ),
    key(
        Action::Explain,
        &[Char('i')],
        "i",
        "Where the figures come from, and whether they are exact",
        Some(|_| "i explain".to_owned()),
        |state| matches!(state.view, View::Overview | View::Cpus | View::Nic),
    ),
    key(
        Action::Copy,
        &[Char('y')],
        "y",
        "Copy the chosen finding, if the terminal allows it (OSC 52)",
        Some(|_| "y copy".to_owned()),
        |state| state.view == View::Findings,
    ),
    key(
        Action::Mouse,
        &[Char('M')],
        "M",
        "Mouse on or off; while on, terminals do not select text",
        None,
        ALWAYS,
    ),
    key(Action::Longer, &[Char('+'), Char('=')], "+", "Longer time between frames", Some(every), is_live),
    key(Action::Shorter, &[Char('-')], "-", "Shorter time between frames", None, is_live),
    key(
        Action::Earlier,
        &[Char('[')],
        "[",
        "One frame back in time; the screen pauses",
        Some(|_| "[ ] time".to_owned()),
        ALWAYS,
    ),
    key(Action::Later, &[Char(']')], "]", "One frame forward in time", None, ALWAYS),
    key(Action::Earlier, &[Char('b')], "b", "Replay: the same as [", None, is_replay),
    key(Action::Later, &[Char('n')], "n", "Replay: the same as ]", None, is_replay),
    key(
        Action::Forward,
        &[Char('}')],
        "}",
        "Replay: 30 s forward",
        Some(|_| "{ } 30 s".to_owned()),
        is_replay,
    ),
    key(Action::Backward, &[Char('{')], "{", "Replay: 30 s back", None, is_replay),
    key(
        Action::NextFinding,
        &[Char('f')],
        "f",
        "Replay: to where the next finding begins",
        Some(|_| "f finding".to_owned()),
        is_replay,
    ),
    key(
        Action::Faster,
        &[Char('>'), Char('.')],
        ">",
        "Replay: faster",
        Some(|_| "< > speed".to_owned()),
        has_speed,
    ),
    key(Action::Slower, &[Char('<'), Char(',')], "<", "Replay: slower", None, has_speed),
];

fn every(state: &State) -> String {
    let Source::Live { delay } = state.source else { return String::new() };
    format!("+ - every {}", humantime::format_duration(delay))
}

fn back(state: &State) -> String {
    match state.trail.last() {
        _ if state.help.is_some() || state.explains => "Esc back".to_owned(),
        _ if state.shows_queue => "Esc all queues".to_owned(),
        Some(view) => format!("Esc {}", view.name()),
        None => "Esc back".to_owned(),
    }
}

fn goes_back(state: &State) -> bool {
    state.help.is_some()
        || state.explains
        || state.shows_queue
        || !state.filter.text.is_empty()
        || !state.trail.is_empty()
}

/// What a key means now; `None` if nothing.
pub(super) fn action(state: &State, key: KeyEvent) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            Char('c') => Some(Action::Quit),
            Char('z') => Some(Action::Suspend),
            _ => None,
        };
    }
    let code = match key.code {
        Char(letter) => Char(state.keys.get(&letter).copied().unwrap_or(letter)),
        code => code,
    };
    KEYS.iter().find(|known| known.codes.contains(&code) && known.works(state)).map(|known| known.action)
}

/// Whether a letter does anything in any view.
pub fn is_key(letter: char) -> bool {
    KEYS.iter().any(|key| key.codes.contains(&Char(letter)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tui::Theme;

    #[test]
    fn no_key_means_two_things_at_once() {
        let sources =
            [Source::Live { delay: Duration::from_secs(1) }, Source::Replay { speed: Some(1.0), end: None }];
        for (source, view) in sources.iter().flat_map(|source| View::ALL.map(|view| (source, view))) {
            let mut state = State::new(source.clone(), Theme::PLAIN);
            state.view = view;
            let codes: Vec<KeyCode> =
                KEYS.iter().filter(|key| key.works(&state)).flat_map(|key| key.codes).copied().collect();
            for (at, code) in codes.iter().enumerate() {
                assert!(!codes[..at].contains(code), "{code:?} means two things in {view:?}");
            }
        }
    }
}
