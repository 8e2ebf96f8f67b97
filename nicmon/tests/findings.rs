//! Frames of real machines, and what nicmon must find in them.
//!
//! Each `tests/findings/NAME.toml` says what was wrong with the machine, how the frames in `NAME.ndjson` were
//! recorded, and what must be found in which time. A twin is the same recording with only that changed which
//! was wrong: there, it must not be found.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::{
    diagnose::{Answer, Verdict, Window},
    frame::{Finding, Frame, Severity},
};
use serde::Deserialize;
use serde_json::Value;

/// A scenario's TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What is wrong, in one line.
    title: String,
    /// Machine, kernel, load and day.
    source: String,
    /// What must be found; nothing above `info` if it is absent.
    expect: Option<Expect>,
    /// The same frames with a change.
    #[serde(default)]
    twin: Vec<Twin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    id: String,
    severity: Option<String>,
    cause: Option<String>,
    #[serde(default)]
    contributing: Vec<String>,
    cpu: Option<u32>,
    nic: Option<String>,
    queue: Option<u32>,
    irq: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Twin {
    /// What is different, in one line.
    title: String,
    /// Values to put into every frame that has the place: JSON pointer and value.
    set: Vec<(String, Value)>,
    /// What must be found instead; nothing above `info` if it is absent.
    expect: Option<Expect>,
    /// Nothing at all must be found.
    #[serde(default)]
    none: bool,
    /// Whether a CPU is saturated must be unknown.
    #[serde(default)]
    indeterminate: bool,
}

/// What is found in these frames.
fn judge(text: &str, set: &[(String, Value)]) -> Result<Answer> {
    let mut window = Window::default();
    let mut places = vec![false; set.len()];
    for line in text.lines() {
        let mut frame: Value = serde_json::from_str(line)?;
        for ((pointer, value), found) in set.iter().zip(&mut places) {
            if let Some(place) = frame.pointer_mut(pointer) {
                place.clone_from(value);
                *found = true;
            }
        }
        window.add(&serde_json::from_value::<Frame>(frame)?);
    }
    if let Some(at) = places.iter().position(|found| !found) {
        bail!("no frame has {}", set[at].0);
    }
    window.answer().context("there are no frames")
}

fn label(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}

fn is_it(finding: &Finding, expect: &Expect) -> Result<bool> {
    let Expect { id, severity, cause, contributing, cpu, nic, queue, irq } = expect;
    let subject = &finding.subject;
    let found: Vec<&str> = finding.contributing.iter().map(|what| what.label()).collect();
    Ok(label(&finding.id)? == *id
        && severity.as_ref().is_none_or(|severity| finding.severity.label() == severity)
        && cause.as_ref().is_none_or(|cause| finding.cause.is_some_and(|found| found.label() == cause))
        && contributing.iter().all(|what| found.contains(&what.as_str()))
        && cpu.is_none_or(|cpu| subject.cpu == Some(cpu))
        && nic.as_ref().is_none_or(|nic| subject.nic.as_ref() == Some(nic))
        && queue.is_none_or(|queue| subject.queue == Some(queue))
        && irq.is_none_or(|irq| subject.irq == Some(irq)))
}

fn find(answer: &Answer, expect: &Expect) -> Result<()> {
    for finding in &answer.findings {
        if is_it(finding, expect)? {
            return Ok(());
        }
    }
    bail!("{} was not found, but {:#?}", expect.id, answer.findings)
}

fn check(answer: &Answer, expect: Option<&Expect>) -> Result<()> {
    if let Some(expect) = expect {
        return find(answer, expect);
    }
    let loud = answer.findings.iter().find(|finding| finding.severity > Severity::Info);
    ensure!(loud.is_none(), "it is healthy, but there is {loud:#?}");
    ensure!(answer.not_judged.is_empty(), "not judged: {:?}", answer.not_judged);
    Ok(())
}

fn check_twin(text: &str, twin: &Twin) -> Result<()> {
    let answer = judge(text, &twin.set)?;
    if twin.indeterminate {
        ensure!(answer.verdict == Verdict::Indeterminate, "the verdict is {:?}", answer.verdict);
        return Ok(());
    }
    ensure!(!twin.none || answer.findings.is_empty(), "there is {:#?}", answer.findings);
    check(&answer, twin.expect.as_ref())
}

fn run(folder: &Path, name: &str) -> Result<()> {
    let scenario: Scenario = toml::from_str(&fs::read_to_string(folder.join(format!("{name}.toml")))?)?;
    ensure!(!scenario.title.is_empty() && !scenario.source.is_empty(), "title and source must not be empty");
    let text = fs::read_to_string(folder.join(format!("{name}.ndjson")))?;
    check(&judge(&text, &[])?, scenario.expect.as_ref())?;
    ensure!(scenario.expect.is_none() || !scenario.twin.is_empty(), "it has no twin");
    for twin in &scenario.twin {
        check_twin(&text, twin).with_context(|| format!("twin: {}", twin.title))?;
    }
    Ok(())
}

#[test]
fn every_scenario_is_found_and_no_twin() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of scenarios")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there are no scenarios");
    let failed: Vec<String> =
        names.iter().filter_map(|name| Some(format!("{name}: {:#}", run(&folder, name).err()?))).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
