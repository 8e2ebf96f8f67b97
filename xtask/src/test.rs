//! `cargo xtask test`: runs all tests of the workspace and lists those that did not run.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read, Write},
    process::{Command, ExitCode, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use testkit::{not_run, process};

use crate::workspace::{self, Profile};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test -- --package nicmon --test kernel -- conservation")]
pub(crate) struct Args {
    /// Arguments for cargo test; with --package or -p only that package is tested
    #[arg(last = true, value_name = "CARGO TEST ARGS")]
    cargo_args: Vec<OsString>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(["test", "--profile", Profile::Quick.name()]);
    command.arg("--no-fail-fast");
    let one_package =
        args.cargo_args.iter().any(|a| a == "-p" || a.to_string_lossy().starts_with("--package"));
    if !one_package {
        command.arg("--workspace");
    }
    command.args(&args.cargo_args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo test")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // A test that cannot run reports that on either stream.
    let (stdout, stderr) = thread::scope(|scope| {
        let stderr = scope.spawn(|| stderr.map(|s| read_through(s, &mut io::stderr())));
        let stdout = stdout.map(|s| read_through(s, &mut io::stdout()));
        (stdout, stderr.join())
    });
    let stderr = stderr.map_err(|_| anyhow!("reading cargo's output panicked"))?;
    let status = child.wait().context("cannot wait for cargo test")?;

    let mut tally = Tally::default();
    tally.add(&stdout.context("cargo test has no output")??);
    tally.add(&stderr.context("cargo test has no output")??);
    let outcome = tally.outcome();
    if !outcome.not_run.is_empty() {
        println!("\n======== {} TESTS DID NOT RUN ========", outcome.not_run.len());
        for (name, reason) in &outcome.not_run {
            println!("{name}: {reason}");
        }
        println!("======================================");
    }
    if !process::is_root() {
        println!("Not root: the tests that need root (they load kernel programs) did not run.");
    }
    let mut good = status.success();
    if outcome.passed + outcome.failed == 0 {
        good = false;
        println!("No test ran, which counts as a failure.");
    } else if !good && outcome.failed == 0 {
        println!(
            "cargo test failed ({status}), but no test did: something does not build, or a test crashed."
        );
    }
    println!("{} passed, {} failed, {} skipped", outcome.passed, outcome.failed, outcome.not_run.len());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Copies a stream line by line and returns all of it.
fn read_through(stream: impl Read, to: &mut impl Write) -> Result<String> {
    let mut all = Vec::new();
    let mut reader = BufReader::new(stream);
    loop {
        let start = all.len();
        if reader.read_until(b'\n', &mut all).context("cannot read cargo's output")? == 0 {
            return Ok(String::from_utf8_lossy(&all).into_owned());
        }
        to.write_all(&all[start..]).context("cannot pass on cargo's output")?;
    }
}

/// Results collected from the output of a test run.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    /// Names of `test NAME ... ok`.
    ok: BTreeSet<String>,
    /// Names and reasons of `test NAME ... ignored`.
    ignored: Vec<(String, String)>,
    /// Name and reason of each test that reported that it did not run.
    reported: BTreeMap<String, String>,
}

struct Outcome {
    passed: u64,
    failed: u64,
    not_run: Vec<(String, String)>,
}

impl Tally {
    fn add(&mut self, output: &str) {
        for line in output.lines().map(str::trim) {
            if let Some((name, reason)) = not_run::read(line) {
                self.reported.insert(name.to_owned(), reason.to_owned());
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                self.passed += count(counts, "passed");
                self.failed += count(counts, "failed");
            } else if let Some((name, result)) =
                line.strip_prefix("test ").and_then(|l| l.rsplit_once(" ... "))
            {
                let name = name.trim_end();
                if result == "ok" {
                    self.ok.insert(name.to_owned());
                } else if let Some(reason) = result.strip_prefix("ignored") {
                    let reason = reason.trim_start_matches([',', ' ']);
                    let reason = if reason.is_empty() { "ignored" } else { reason };
                    self.ignored.push((name.to_owned(), reason.to_owned()));
                }
            }
        }
    }

    /// A test that only passed because it did not run does not count as passed.
    fn outcome(self) -> Outcome {
        let Self { passed, failed, ok, ignored, reported: mut not_run_reasons } = self;
        let not_passed = not_run_reasons.keys().filter(|name| ok.contains(*name)).count() as u64;
        let mut not_run = Vec::new();
        for (name, reason) in ignored {
            let reason = not_run_reasons.remove(&name).unwrap_or(reason);
            not_run.push((name, reason));
        }
        not_run.extend(not_run_reasons);
        Outcome { passed: passed.saturating_sub(not_passed), failed, not_run }
    }
}

/// `N` of `N what` in a result line.
fn count(counts: &str, what: &str) -> u64 {
    counts.split([';', '.']).find_map(|part| part.strip_suffix(what)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn what_did_not_run_is_not_passed() {
        let mut tally = Tally::default();
        tally.add(
            "running 3 tests\ntest a::one ... ok\ntest two ... ignored, too slow\ntest three ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
             DID NOT RUN: four: bpftrace is not installed\ntest four ... ok\ntest five ... ignored\n\
             test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n",
        );
        tally.add("DID NOT RUN: five: needs root\n");
        let outcome = tally.outcome();
        assert_eq!((outcome.passed, outcome.failed), (1, 1));
        let not_run: Vec<_> = outcome.not_run.iter().map(|(n, r)| format!("{n}: {r}")).collect();
        assert_eq!(not_run, ["two: too slow", "five: needs root", "four: bpftrace is not installed"]);
    }
}
