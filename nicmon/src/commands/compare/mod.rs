//! `nicmon compare`: two recordings side by side.

pub(super) mod text;

use std::{path::Path, process::ExitCode};

use super::{
    Failure,
    failure::shown,
    output::{json_line, print, print_message},
};
use crate::{
    analyze::compare::{Judgement, Recording, compare},
    cli::Compare,
    stream::Reader,
};

/// Exit code if a claim of `--fail-if` holds.
const CLAIM_HOLDS: u8 = 3;

pub(super) fn run(args: &Compare) -> Result<ExitCode, Failure> {
    let is_stdin = |path: &Path| path.as_os_str() == "-";
    if is_stdin(&args.a) && args.b.as_deref().is_some_and(is_stdin) {
        return Err(Failure::StandardInputTwice);
    }
    let a = read(&args.a)?;
    let b = args.b.as_deref().map(read).transpose()?;
    let comparison = compare(&a, b.as_ref(), &args.drivers, args.run_to_run / 100.0)?;
    if args.json {
        print(json_line(&comparison)?.as_bytes())?;
    } else {
        print(text::render(&comparison, b.is_none()).as_bytes())?;
    }

    let mut code = ExitCode::SUCCESS;
    let mut unknown = None;
    for claim in &args.fail_if {
        match claim.judge(&comparison) {
            Judgement::Holds(how) => {
                print_message(&how);
                code = ExitCode::from(CLAIM_HOLDS);
            }
            Judgement::No => {}
            Judgement::Unknown(why) => unknown = Some((claim.text().to_owned(), why)),
        }
    }
    match unknown {
        Some((claim, why)) if code == ExitCode::SUCCESS => Err(Failure::Claim { claim, why }),
        _ => Ok(code),
    }
}

/// Reads a recording; of each frame, only what comparing needs is kept.
fn read(path: &Path) -> Result<Recording, Failure> {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { shown(path) };
    let mut recording = Recording::new(name);
    let mut reader = Reader::open(path)?;
    while let Some(frame) = reader.next()? {
        recording.add(&frame);
    }
    if let Some(warning) = reader.warning() {
        print_message(&warning);
    }
    Ok(recording)
}
