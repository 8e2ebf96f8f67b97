//! Whatever a recording holds as text, no terminal gets to obey it: frames with every text replaced, shown in
//! every way that nicmon has.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{compare, output, table, topology};
use crate::{
    analyze::{
        self,
        html::Page,
        report::{Report, csv},
    },
    frame::{Frame, Merged},
    stream::Reader,
    tui::{Event, Source, State, Theme, View, draw_to_buffer, update},
};

/// A colour, a title by C1, the other direction, nothing, DEL, two kinds of line ends, a tag, markup.
const EVIL: &str = "\u{1b}[31m\u{9d}0;x\u{9c}\u{202e}\u{200b}\u{7f}\r\n\u{2028}\u{e0041}\u{feff}<b>\"";
const RECORDINGS: [&str; 3] = [
    include_str!("../../tests/fixtures/frames/sampled.ndjson"),
    include_str!("../../tests/fixtures/frames/drivers.ndjson"),
    include_str!("../../tests/fixtures/frames/counts.ndjson"),
];

/// Each text of a frame, with its path in the schema.
fn texts(value: &mut Value, path: &str, act: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => act(path, text),
        Value::Array(elements) => elements.iter_mut().for_each(|element| texts(element, path, act)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| texts(value, &format!("{path}.{name}"), act));
        }
        _ => {}
    }
}

/// The frame with every text that may be anything made hostile, and how many kinds of texts these are.
fn hostile(line: &str) -> (Frame, usize) {
    let mut value: Value = serde_json::from_str(line).expect("JSON");
    let mut paths = BTreeSet::new();
    texts(&mut value, "", &mut |path, _| {
        paths.insert(path.to_owned());
    });
    paths.remove(".schema");
    let mut kinds = 0;
    for wanted in paths {
        let mut changed = value.clone();
        texts(&mut changed, "", &mut |path, text| {
            if path == wanted {
                text.insert_str(text.len().min(2), EVIL);
            }
        });
        // Words of a set, such as stages, can be nothing else.
        if serde_json::from_value::<Frame>(changed.clone()).is_ok() {
            value = changed;
            kinds += 1;
        }
    }
    (serde_json::from_value(value).expect("a frame"), kinds)
}

fn assert_harmless(text: &str, what: &str) {
    let bad = |c: char| {
        let is_line_end = c == '\n' || (c == '\r' && what == "CSV");
        let is_format = matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        );
        !is_line_end && (c.is_control() || is_format)
    };
    if let Some(at) = text.find(bad) {
        let shown: String = text[at..].chars().take(40).collect();
        panic!("{what} has {shown:?}");
    }
}

#[test]
fn names_from_recordings_are_harmless_everywhere() {
    for recording in RECORDINGS {
        let frames: Vec<(Frame, usize)> = recording.lines().map(hostile).collect();
        // At least host name, kernel, time, boot, names and drivers of NICs, and why times are unknown.
        assert!(frames.iter().all(|(_, kinds)| *kinds >= 6), "too few texts were changed");
        let mut merged = Merged::default();
        let (mut page, mut compared) = (Page::default(), analyze::compare::Recording::new("a".to_owned()));
        let mut states = View::ALL.map(|view| {
            let mut state =
                State::new(Source::Replay { speed: None, end: Some(EVIL.to_owned()) }, Theme::COLOUR);
            state.view = view;
            state
        });
        for (frame, _) in &frames {
            assert_harmless(&table::render(frame), "the table");
            assert_same(frame);
            merged.add(frame);
            page.add(frame);
            compared.add(frame);
            if let Some(topology) = &frame.topology {
                assert_harmless(&topology::render(topology), "the topology");
            }
            for state in &mut states {
                update(state, Event::Frame(Arc::new(frame.clone())));
                for (width, height) in [(200, 60), (80, 24), (30, 8)] {
                    let buffer = draw_to_buffer(state, width, height);
                    buffer.content.iter().for_each(|cell| assert_harmless(cell.symbol(), "the screen"));
                }
            }
        }
        let frame = merged.frame().expect("frames");
        let report = Report {
            name: EVIL,
            frame: &frame,
            frames: 3,
            start_ns: None,
            machines: merged.machines(),
            top: 99,
        };
        assert_harmless(&report.text(), "the report");
        assert_harmless(&csv(&frame).expect("CSV"), "CSV");
        assert_harmless(&page.render(), "the page");
        match analyze::compare::compare(&compared, None, &[], 0.0) {
            Ok(comparison) => {
                assert_harmless(&compare::text::render(&comparison, true), "the comparison");
                assert_harmless(&output::json_line(&comparison).expect("JSON"), "its JSON");
            }
            Err(why) => assert_harmless(&output::message(&why.to_string()), "the error"),
        }
    }
}

/// JSON keeps the names.
fn assert_same(frame: &Frame) {
    let line = output::json_line(frame).expect("JSON");
    assert_harmless(&line, "JSON");
    assert_eq!(&serde_json::from_str::<Frame>(&line).expect("a frame"), frame);
}

/// A message is one line, whatever it quotes.
#[test]
fn messages_about_recordings_are_harmless() {
    let schema = |name: &str| format!("{{\"schema\":{}}}\n", serde_json::to_string(name).expect("JSON"));
    let inputs = [
        schema(EVIL),
        schema(&format!("nicmon.frame/{EVIL}")),
        schema(&"x".repeat(100_000)),
        format!("{EVIL}\n"),
        RECORDINGS[0].replacen("\"cycles\"", &serde_json::to_string(EVIL).expect("JSON"), 1),
        RECORDINGS[0].lines().next().expect("a line").replacen("\"tick\"", "\"\\u001b[31m\\n\"", 1),
    ];
    for input in inputs {
        let mut reader = Reader::from_read(Box::new(std::io::Cursor::new(input.into_bytes())));
        if let Err(error) = reader.next() {
            let message = output::message(&error.to_string());
            assert_harmless(&message, "the message");
            assert!(message.lines().count() == 1 && message.len() < 2000, "{message}");
        }
    }
}
