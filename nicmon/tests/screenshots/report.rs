//! The screen of a frame beside that of its report: the same figures.

use std::{process::Command, sync::Arc, time::Duration};

use nicmon::{
    frame::Frame,
    tui::{Event, Source, Span, State, Theme, View, update},
};

use super::views::{HEALTHY, INCIDENT, screen};

const DRIVERS: &str = include_str!("../fixtures/frames/drivers.ndjson");

/// What `nicmon report --json` makes of these frames.
fn report(frames: &str) -> Frame {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("frames.ndjson");
    std::fs::write(&path, frames).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nicmon"));
    let output = command.args(["report", "--json"]).arg(path).output().expect("nicmon runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a frame")
}

fn parse(frames: &str) -> Vec<Frame> {
    frames.lines().map(|line| serde_json::from_str(line).expect("a frame")).collect()
}

/// A view of these frames, without the lines that have the headline, the time and the keys.
fn body(frames: &[Frame], view: View) -> String {
    let mut state = State::new(Source::Live { delay: Duration::from_secs(1) }, Theme::PLAIN);
    for frame in frames {
        update(&mut state, Event::Frame(Arc::new(frame.clone())));
    }
    state.view = view;
    state.drivers.span = Span::Long;
    let all = screen(&state, 130, 60);
    let lines = all.lines().skip_while(|line| !line.starts_with(&view.name().to_uppercase()));
    let lines: Vec<&str> = lines.skip(1).filter(|line| !line.contains("q quit")).collect();
    assert!(lines.iter().any(|line| line.chars().any(|c| c.is_ascii_digit())), "there are no figures: {all}");
    lines.join("\n")
}

#[test]
fn of_one_frame() {
    for recording in [INCIDENT, HEALTHY, DRIVERS] {
        for line in recording.lines() {
            let (frame, report) = (parse(line), [report(line)]);
            for view in [View::Overview, View::Cpus, View::Nic, View::Drivers] {
                // It is older than the counts that a report makes the GRO ratio from.
                if view == View::Nic && recording == DRIVERS {
                    continue;
                }
                assert_eq!(body(&frame, view), body(&report, view), "{}", view.name());
            }
        }
    }
}

/// The view of drivers adds up frames, at most of 30 s, as the report does.
#[test]
fn of_the_drivers_in_several() {
    for recording in [INCIDENT, HEALTHY, DRIVERS] {
        assert_eq!(body(&parse(recording), View::Drivers), body(&[report(recording)], View::Drivers));
    }
}
