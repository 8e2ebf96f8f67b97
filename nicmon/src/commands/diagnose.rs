//! `nicmon diagnose` and `nicmon brief`: what the next seconds, or a recording, mean.

use std::{path::Path, process::ExitCode, time::Duration};

use super::{
    Failure,
    output::{json_line, print, print_message},
    runtime,
    signals::EndSignals,
    split,
    watch::watch,
};
use crate::{
    analyze::{brief, findings},
    cli::{Brief, Diagnose},
    collect::Options,
    counters::HowToSample,
    diagnose::{Verdict, Window},
    frame::Merged,
    privileges::Privileges,
    stream::Reader,
};

/// Samples per CPU per second, as the live view takes by default.
const FREQUENCY: u32 = 99;

pub(super) fn run(args: &Diagnose) -> Result<ExitCode, Failure> {
    let Judged { window, .. } = judge(args.file.as_deref(), args.time, !args.no_flow_window)?;
    let Some(answer) = window.answer() else { return Err(Failure::NoFrames) };
    let text = if args.json { json_line(&answer)? } else { findings::text(&answer) };
    print(text.as_bytes())?;
    Ok(match answer.verdict {
        Verdict::Healthy => ExitCode::SUCCESS,
        Verdict::Findings => ExitCode::from(3),
        Verdict::Indeterminate => ExitCode::from(4),
    })
}

pub(super) fn brief(args: &Brief) -> Result<(), Failure> {
    let Judged { window, sum } = judge(args.file.as_deref(), args.time, !args.no_flow_window)?;
    let (Some(answer), Some(sum)) = (window.answer(), sum.frame()) else { return Err(Failure::NoFrames) };
    print(brief::text(&answer, &sum).as_bytes())
}

/// Frames, judged and summed up.
#[derive(Default)]
struct Judged {
    window: Window,
    sum: Merged,
}

fn judge(file: Option<&Path>, time: Duration, flow_window: bool) -> Result<Judged, Failure> {
    let mut judged = Judged::default();
    let Some(file) = file else {
        let privileges = split();
        runtime::block_on(judge_live(time, flow_window, privileges, &mut judged))?;
        return Ok(judged);
    };
    let mut reader = Reader::open(file)?;
    while let Some(frame) = reader.next()? {
        judged.window.add(&frame);
        judged.sum.add(&frame);
    }
    if let Some(warning) = reader.warning() {
        print_message(&warning);
    }
    Ok(judged)
}

/// A signal ends it early: what was seen until then is judged.
async fn judge_live(
    time: Duration,
    flow_window: bool,
    privileges: Privileges,
    judged: &mut Judged,
) -> Result<(), Failure> {
    let mut end = EndSignals::listen()?;
    let sampling = Some(HowToSample { frequency: FREQUENCY, stacks: false });
    let options = Options { flow_window, sampling, privileges: Some(privileges), ..Options::default() };
    watch(options, time.as_secs().max(1), &mut end, |collector, frame| {
        judged.window.add(frame);
        collector.look_closer(judged.window.wanted());
        judged.sum.add(frame);
    })
    .await
}
