//! Cells as bytes for a terminal.
//!
//! crossterm writes every colour as `38;5;N`, which is for terminals with 256 colours; others skip it, or
//! take the 5 for blinking. Here the usual 16 colours have their short codes, as in ECMA-48 and its usual
//! extension. Only a theme for terminals with more colours has others.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use ratatui::{
    buffer::Cell,
    style::{Color, Modifier},
};

/// Draws these cells: their columns, rows and contents. Ends with the terminal's own style.
pub(super) fn draw<'a>(
    out: &mut impl Write,
    cells: impl Iterator<Item = (u16, u16, &'a Cell)>,
) -> io::Result<()> {
    let mut at = None;
    let mut style = None;
    for (x, y, cell) in cells {
        if at != Some((x, y)) {
            write!(out, "\x1b[{};{}H", u32::from(y) + 1, u32::from(x) + 1)?;
        }
        let wanted = (cell.fg, cell.bg, cell.modifier);
        if style != Some(wanted) {
            out.write_all(select(wanted).as_bytes())?;
            style = Some(wanted);
        }
        out.write_all(cell.symbol().as_bytes())?;
        // After anything wider, the position is given anew.
        at = cell.symbol().is_ascii().then_some((x + 1, y));
    }
    out.write_all(b"\x1b[0m")
}

/// The sequence that selects a style, whatever was selected before.
fn select((fg, bg, modifier): (Color, Color, Modifier)) -> String {
    let mut codes = "0".to_owned();
    let modifiers = [(Modifier::BOLD, 1), (Modifier::UNDERLINED, 4), (Modifier::REVERSED, 7)];
    let modifiers =
        modifiers.into_iter().filter(|(known, _)| modifier.contains(*known)).map(|(_, code)| code);
    for code in modifiers.chain(colour(30, fg)).chain(colour(40, bg)) {
        // Writing to a String cannot fail.
        let _ = write!(codes, ";{code}");
    }
    format!("\x1b[{codes}m")
}

/// The codes of a colour: from 30 on for text, from 40 on for what is behind it.
fn colour(from: u8, color: Color) -> Vec<u8> {
    match color {
        Color::Indexed(number) => vec![from + 8, 5, number],
        Color::Rgb(red, green, blue) => vec![from + 8, 2, red, green, blue],
        usual => usual_code(usual).map(|code| from + code).into_iter().collect(),
    }
}

/// The code of a usual colour, less the first. `None` is the terminal's own.
fn usual_code(color: Color) -> Option<u8> {
    Some(match color {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Reset | Color::Rgb(..) | Color::Indexed(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        frame::Frame,
        tui::{Event, Source, State, Theme, draw_to_buffer, update},
    };

    const RECORDINGS: [&str; 2] = [
        include_str!("../../tests/fixtures/frames/demo-rps.ndjson"),
        include_str!("../../tests/fixtures/frames/drivers.ndjson"),
    ];

    /// The bytes of all these frames on a terminal of this environment.
    fn written(term: Option<&str>, colorterm: Option<&str>, no_color: Option<&str>) -> String {
        let theme = Theme::of(term, colorterm, no_color);
        let mut out = Vec::new();
        for line in RECORDINGS.into_iter().flat_map(str::lines) {
            let frame: Frame = serde_json::from_str(line).expect("a frame");
            let mut state = State::new(Source::Replay { speed: None, end: None }, theme);
            update(&mut state, Event::Frame(Arc::new(frame)));
            let buffer = draw_to_buffer(&state, 120, 40);
            let all = ratatui::buffer::Buffer::empty(buffer.area).diff(&buffer);
            draw(&mut out, all.into_iter()).expect("memory");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    /// The codes of all selected styles.
    fn codes(text: &str) -> Vec<u32> {
        let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
            rest[end..].starts_with('m').then_some(&rest[..end])
        });
        sequences.flat_map(|codes| codes.split(';')).map(|code| code.parse().expect("a code")).collect()
    }

    #[test]
    fn no_terminal_gets_codes_that_it_may_not_know() {
        let none = [
            "vt52",
            "vt100",
            "vt102",
            "vt220",
            "vt320",
            "xterm-vt220",
            "xterm-mono",
            "linux-m",
            "screen.vt100",
            "dumb",
        ];
        let eight =
            ["linux", "xterm", "screen", "tmux", "rxvt", "ansi", "cygwin", "putty", "xterm-color", "vte"];
        let sixteen = ["xterm-16color", "rxvt-88color", "xterm-direct"];
        for (terms, highest) in [(&none[..], 7), (&eight[..], 47), (&sixteen[..], 107)] {
            for term in terms {
                let text = written(Some(term), None, None);
                assert!(!["38;5", "38;2", "48;5", "48;2"].iter().any(|code| text.contains(code)), "{term}");
                let codes = codes(&text);
                assert!(codes.iter().all(|code| *code <= highest), "{term}: {codes:?}");
                assert_eq!(codes.iter().any(|code| *code >= 30), highest > 7, "{term}");
            }
        }
        for (term, colorterm, no_color, highest) in [
            (Some("xterm"), Some("yes"), None, 107),
            (Some("xterm"), Some(""), None, 47),
            (Some("vt100"), Some("truecolor"), None, 7),
            (Some("xterm-256color"), Some("truecolor"), Some("1"), 7),
            (Some("xterm"), None, Some(""), 47),
            (None, None, None, 7),
        ] {
            let codes = codes(&written(term, colorterm, no_color));
            assert!(codes.iter().all(|code| *code <= highest), "{term:?} {colorterm:?} {no_color:?}");
            assert_eq!(codes.iter().any(|code| *code >= 30), highest > 7);
            assert_eq!(codes.iter().any(|code| *code >= 90), highest == 107);
        }
    }

    #[test]
    fn shades_are_for_terminals_that_have_them() {
        let codes_of = |term: &str, colorterm: &str| {
            let text = written(Some(term), Some(colorterm), None);
            ["48;5;", "48;2;", "38;5;", "38;2;"].map(|code| text.contains(code))
        };
        for term in ["xterm-256color", "tmux-256color", "vte-256color", "screen-256color"] {
            assert_eq!(codes_of(term, ""), [true, false, false, false], "{term}");
            assert_eq!(codes_of(term, "truecolor"), [false, true, false, false], "{term}");
        }
        assert_eq!(codes_of("xterm", "24bit"), [false, true, false, false]);
        assert_eq!(codes_of("xterm", "yes"), [false; 4]);
    }

    #[test]
    fn a_cell_is_written_where_it_belongs() {
        let cell = |symbol: &'static str, fg, bg| {
            let mut cell = Cell::new(symbol);
            (cell.fg, cell.bg) = (fg, bg);
            cell
        };
        let plain = |symbol| cell(symbol, Color::Reset, Color::Reset);
        let (a, b, c) = (plain("a"), cell("b", Color::White, Color::Red), plain("\u{5b57}"));
        let mut out = Vec::new();
        let cells = [(0, 0, &a), (1, 0, &b), (2, 0, &c), (4, 0, &a), (0, 2, &a)];
        draw(&mut out, cells.into_iter()).expect("memory");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text, "\x1b[1;1H\x1b[0ma\x1b[0;97;41mb\x1b[0m\u{5b57}\x1b[1;5Ha\x1b[3;1Ha\x1b[0m");
    }
}
