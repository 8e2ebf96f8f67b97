//! Frames of real machines, and what nicmon must find in them.
//!
//! Each `tests/findings/NAME.toml` says what was wrong with the machine, how the frames in `NAME.ndjson` were
//! recorded, and what must be found in which time. A twin is the same recording with only that changed which
//! was wrong: there, it must not be found. A scenario may take the frames of another one, and change them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::{
    diagnose::{Answer, Diagnosis, Verdict, Window},
    frame::{Finding, Frame, Severity},
    tui::{Event, Source, State, Theme, draw_to_buffer, update},
};
use serde::Deserialize;
use serde_json::Value;

/// A scenario's TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What is wrong, in one line.
    title: String,
    /// Machine, kernel, load and day; with `set`, also what is made up.
    source: String,
    /// The scenario whose frames these are, if it is not this one.
    frames: Option<String>,
    /// Values to put into every frame, as in a twin, which is a twin of the result.
    #[serde(default)]
    set: Vec<(String, Value)>,
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
    comm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Twin {
    /// What is different, in one line.
    title: String,
    /// Values to put into every frame that has the place, or a parent of which the field was not known when
    /// it was recorded: JSON pointer and value.
    set: Vec<(String, Value)>,
    /// What must be found instead; nothing above `info` if it is absent.
    expect: Option<Expect>,
    /// What must not be found, although other things may be: an id, or a word in `contributing`.
    without: Option<String>,
    /// Nothing at all must be found.
    #[serde(default)]
    none: bool,
    /// Whether a CPU is saturated must be unknown.
    #[serde(default)]
    indeterminate: bool,
}

/// Puts a value into a frame.
fn put(frame: &mut Value, pointer: &str, value: &Value) {
    let Some((parent, field)) = pointer.rsplit_once('/') else { return };
    match frame.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.insert(field.to_owned(), value.clone())),
        _ => {
            if let Some(place) = frame.pointer_mut(pointer) {
                place.clone_from(value);
            }
        }
    }
}

/// What is found in these frames.
fn judge<'a>(text: &str, set: &(impl Iterator<Item = &'a (String, Value)> + Clone)) -> Result<Answer> {
    let mut window = Window::default();
    let mut places = vec![false; set.clone().count()];
    for line in text.lines() {
        let mut frame: Value = serde_json::from_str(line)?;
        set.clone().for_each(|(pointer, value)| put(&mut frame, pointer, value));
        let frame: Frame = serde_json::from_value(frame)?;
        // A misspelt field is lost here.
        let read = serde_json::to_value(&frame)?;
        for ((pointer, _), found) in set.clone().zip(&mut places) {
            *found |= read.pointer(pointer).is_some();
        }
        window.add(&frame);
    }
    if let Some(at) = places.iter().position(|found| !found) {
        bail!("no frame has {}", set.clone().nth(at).map_or("it", |(pointer, _)| pointer));
    }
    window.answer().context("there are no frames")
}

fn label(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_value(value)?.as_str().unwrap_or_default().to_owned())
}

fn is_it(finding: &Finding, expect: &Expect) -> Result<bool> {
    let Expect { id, severity, cause, contributing, cpu, nic, queue, irq, comm } = expect;
    let subject = &finding.subject;
    let found: Vec<&str> = finding.contributing.iter().map(|what| what.label()).collect();
    Ok(label(&finding.id)? == *id
        && severity.as_ref().is_none_or(|severity| finding.severity.label() == severity)
        && cause.as_ref().is_none_or(|cause| finding.cause.is_some_and(|found| found.label() == cause))
        && contributing.iter().all(|what| found.contains(&what.as_str()))
        && cpu.is_none_or(|cpu| subject.cpu == Some(cpu))
        && nic.as_ref().is_none_or(|nic| subject.nic.as_ref() == Some(nic))
        && comm.as_ref().is_none_or(|comm| subject.comm.as_ref() == Some(comm))
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

fn check_twin(text: &str, set: &[(String, Value)], twin: &Twin) -> Result<()> {
    let answer = judge(text, &set.iter().chain(&twin.set))?;
    if twin.indeterminate {
        ensure!(answer.verdict == Verdict::Indeterminate, "the verdict is {:?}", answer.verdict);
        return Ok(());
    }
    ensure!(!twin.none || answer.findings.is_empty(), "there is {:#?}", answer.findings);
    if let Some(without) = &twin.without {
        let is_it = |finding: &&Finding| {
            finding.id.label() == without || finding.contributing.iter().any(|what| what.label() == without)
        };
        let found = answer.findings.iter().find(is_it);
        ensure!(found.is_none(), "there is {found:#?}");
        return twin.expect.as_ref().map_or(Ok(()), |expect| find(&answer, expect));
    }
    check(&answer, twin.expect.as_ref())
}

fn run(folder: &Path, name: &str) -> Result<()> {
    let scenario: Scenario = toml::from_str(&fs::read_to_string(folder.join(format!("{name}.toml")))?)?;
    ensure!(!scenario.title.is_empty() && !scenario.source.is_empty(), "title and source must not be empty");
    let frames = scenario.frames.as_deref().unwrap_or(name);
    let text = fs::read_to_string(folder.join(format!("{frames}.ndjson")))?;
    check(&judge(&text, &scenario.set.iter())?, scenario.expect.as_ref())?;
    ensure!(scenario.expect.is_none() || !scenario.twin.is_empty(), "it has no twin");
    for twin in &scenario.twin {
        check_twin(&text, &scenario.set, twin).with_context(|| format!("twin: {}", twin.title))?;
    }
    Ok(())
}

/// The names of the scenarios.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of scenarios")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there are no scenarios");
    names
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings")
}

#[test]
fn every_scenario_is_found_and_no_twin() {
    let folder = folder();
    let failed: Vec<String> = names(&folder)
        .iter()
        .filter_map(|name| Some(format!("{name}: {:#}", run(&folder, name).err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// At 80x24, the first two lines say what is wrong with each recorded machine, or that nothing is.
#[test]
fn the_screen_says_it_in_two_lines() {
    let mut told = 0;
    for name in names(&folder()) {
        // Scenarios without a file change the frames of others.
        let Ok(text) = fs::read_to_string(folder().join(format!("{name}.ndjson"))) else { continue };
        let (lines, frame) = first_lines(&text);
        let worst = frame.findings.iter().flatten().next().filter(|found| found.severity > Severity::Info);
        match worst {
            Some(worst) => {
                let why: String = worst.why.chars().take(120).collect();
                assert!(lines.contains(&why), "{name}: {lines:?} has not {why:?}");
            }
            None => assert!(lines.contains("no bottleneck: busiest CPU "), "{name}: {lines:?}"),
        }
        told += usize::from(worst.is_some());
    }
    assert!(told > 15, "only {told} recordings have something to say");
}

/// The first two lines of the screen after these frames, as one, and the last frame.
fn first_lines(text: &str) -> (String, Frame) {
    let mut state = State::new(Source::Replay { speed: Some(1.0), end: None }, Theme::PLAIN);
    let mut diagnosis = Diagnosis::default();
    for line in text.lines() {
        let mut frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        diagnosis.complete(&mut frame);
        update(&mut state, Event::Frame(Arc::new(frame)));
    }
    let buffer = draw_to_buffer(&state, 80, 24);
    let row = |y| (0..80).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect::<String>();
    let lines = format!("{} {}", row(0).trim(), row(1).trim());
    (lines, Frame::clone(state.frame.as_ref().expect("there are frames")))
}

#[test]
fn every_id_and_every_cause_has_a_scenario() {
    let folder = folder();
    let mut shown = Vec::new();
    for name in names(&folder) {
        let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let scenario: Scenario = toml::from_str(&text).unwrap();
        let of_twins = scenario.twin.into_iter().filter_map(|twin| twin.expect);
        for expect in scenario.expect.into_iter().chain(of_twins) {
            shown.push(expect.id);
            shown.extend(expect.cause);
            shown.extend(expect.contributing);
        }
    }
    let schema = nicmon::frame::schema();
    for kind in ["FindingId", "Cause", "Contributing"] {
        let words = schema["$defs"][kind]["oneOf"].as_array().expect(kind);
        assert!(words.len() > 5, "{kind} has only {} words", words.len());
        for word in words.iter().filter_map(|word| word["const"].as_str()) {
            assert!(shown.iter().any(|shown| shown == word), "no scenario has the {kind} {word}");
        }
    }
}
