//! What the screen looks like: the pictures of the documents, and each view at the sizes that people have.
//! The pictures are compared or, if `NICMON_DRAW` is set, drawn (`cargo xtask screenshots`).

mod mouse;
mod report;
mod svg;
mod views;

use std::{env, fs, path::Path};

use nicmon::tui::{View, draw_to_buffer};

/// A NIC of four queues, whose interrupts all go to one CPU.
const INCIDENT: &str = include_str!("../findings/irqs-share-cpu.ndjson");

#[test]
fn the_screen() {
    let frames = include_str!("../fixtures/frames/one-hot-cpu.ndjson");
    compare("overview.svg", View::Overview, frames);
}

#[test]
fn what_drivers_cost() {
    let frames = include_str!("../fixtures/frames/drivers.ndjson");
    compare("drivers.svg", View::Drivers, frames);
}

#[test]
fn an_incident() {
    for (name, view) in [
        ("incident.svg", View::Overview),
        ("cpus.svg", View::Cpus),
        ("nic.svg", View::Nic),
        ("findings.svg", View::Findings),
        ("nicmon.svg", View::Own),
    ] {
        compare(name, view, INCIDENT);
    }
}

fn compare(name: &str, view: View, frames: &str) {
    let mut state = views::after(frames);
    state.view = view;
    let drawn = svg::picture(&draw_to_buffer(&state, 80, 24));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images").join(name);
    if env::var_os("NICMON_DRAW").is_some() {
        fs::write(&path, drawn).expect("docs can be written");
        return;
    }
    let committed = fs::read_to_string(&path).expect("the picture is committed");
    assert!(
        committed == drawn,
        "docs/images/{name} no longer matches the screen: run cargo xtask screenshots"
    );
}
