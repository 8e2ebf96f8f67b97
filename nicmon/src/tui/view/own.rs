//! The view of nicmon itself: what it costs, what it loses, and what this kernel keeps from it.

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::{Frame, OwnCpu, OwnProgram, pct_of, per_s},
    present::text::{interval, known, pct, plain, printable, scaled, seconds},
    tui::{
        Canvas, State, Theme,
        paint::{lines as draw, wrapped},
    },
};

/// CPUs that are listed: those that pay most.
const CPUS: usize = 16;
/// Most characters of a percentage.
const PCT: usize = 6;

/// Draws the text from its first line on the screen.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let kept = format!("the screen keeps whole frames for {} s", seconds(state.history.frames_ns()));
    let mut text = text(frame);
    text.push((kept, Style::new()));
    let shown: Vec<(String, Style)> = text
        .iter()
        .skip(state.line)
        .flat_map(|(line, style)| {
            let lines = if line.starts_with(' ') { vec![line.clone()] } else { wrapped(line, area.width) };
            lines.into_iter().map(|line| (line, *style))
        })
        .collect();
    draw(canvas, area, &shown);
}

/// Number of lines that can be scrolled.
pub(in crate::tui) fn lines(frame: &Frame) -> usize {
    text(frame).len() + 1
}

fn text(frame: &Frame) -> Vec<(String, Style)> {
    let own = &frame.own;
    let cpu = |ns: Option<u64>| known(ns, |ns| format!("{} %", pct(pct_of(ns, frame.interval_ns), PCT)));
    let bounds = own.bpf_est_ci_ns.map_or_else(String::new, |bounds| {
        let bounds = bounds.map(|ns| pct_of(ns, frame.interval_ns));
        format!(", range {} %", interval(bounds, |value| pct(value, PCT)))
    });
    let mut text: Vec<String> = vec![
        format!(
            "all of it: {} of one CPU, estimated",
            known(own.overhead_pct, |all| format!("{} %", pct(all, PCT)))
        ),
        format!("eBPF programs: {}, estimated{bounds}", cpu(own.bpf_est_ns)),
        format!(
            "processes: {}; reading {}, making frames {}",
            cpu(Some(own.cpu_ns)),
            cpu(own.read_ns),
            cpu(own.make_ns)
        ),
        format!("memory: {:.1} MB", own.rss_bytes as f64 / 1e6),
        format!("events that were lost: {}", plain(own.lost)),
        sampling(frame),
    ];
    if let Some(window) = frame.window {
        text.push(format!(
            "measured for {} of {} s, in windows: {}",
            seconds(window.attached_ns),
            seconds(frame.interval_ns),
            window.count
        ));
    }
    let mut text: Vec<(String, Style)> = text.into_iter().map(|line| (line, Style::new())).collect();
    let host = &frame.host;
    let reasons = [&host.source_reason, &host.drivers_reason, &host.sampling_reason];
    let problems = reasons.into_iter().flatten().chain(&host.problems);
    text.extend(problems.map(|why| (printable(&format!("! {why}")), Theme::name())));
    text.extend(tables(frame).into_iter().map(|line| (line, Style::new())));
    text
}

fn sampling(frame: &Frame) -> String {
    frame.host.sampling.map_or_else(
        || "samples: none".to_owned(),
        |of| {
            format!("samples: {} taken, {} busy, {} lost, on {} CPUs", of.samples, of.busy, of.lost, of.cpus)
        },
    )
}

/// The programs, and the CPUs on which they ran.
fn tables(frame: &Frame) -> Vec<String> {
    let cost = |ns: Option<u64>| known(ns, |ns| pct(pct_of(ns, frame.interval_ns), PCT));
    let rate = |runs: u64| known(per_s(Some(runs), frame.interval_ns), |rate| scaled(rate, 6));
    let mut lines = Vec::new();
    if let Some(programs) = &frame.own.programs {
        lines.push(format!(" {:<20} {:>9} {:>9}", "eBPF PROGRAM", "RUNS/s", "~% CPU"));
        lines.extend(programs.iter().map(|OwnProgram { program, runs, est_ns, .. }| {
            format!(" {:<20} {:>9} {:>9}", printable(program), rate(*runs), cost(*est_ns))
        }));
    }
    let mut cpus: Vec<&OwnCpu> = frame.own.cpus.iter().flatten().collect();
    cpus.sort_by(|a, b| b.overhead_pct.unwrap_or(0.0).total_cmp(&a.overhead_pct.unwrap_or(0.0)));
    if !cpus.is_empty() {
        lines.push(format!(" {:<20} {:>9} {:>9}", "CPU", "RUNS/s", "~% OF IT"));
    }
    lines.extend(cpus.iter().take(CPUS).map(|on| {
        format!(" {:<20} {:>9} {:>9}", on.cpu, rate(on.bpf_runs), known(on.overhead_pct, |own| pct(own, PCT)))
    }));
    lines
}
