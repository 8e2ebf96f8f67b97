//! Scenarios: observations of real machines, and what the frames made from them must say.
//!
//! Each `tests/scenarios/NAME.toml` says what was observed, where, and which values are expected. Each
//! value names the source it was taken from: the kernel's counters, perf or bpftrace beside nicmon, never
//! nicmon itself. The observations are in `NAME.ndjson`, one per line. docs/develop/testing.md explains
//! how to add a scenario.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use nicmon::collect::{Filter, Observation, assemble};
use serde::Deserialize;
use serde_json::Value;

/// A scenario's TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// A description in one line.
    title: String,
    /// Machine, kernel, load, day, and what counted beside nicmon.
    source: String,
    /// The values of `-i` and `-C`.
    #[serde(default)]
    interfaces: Vec<String>,
    #[serde(default)]
    cpus: Vec<u32>,
    expect: Vec<Expect>,
}

/// One expected value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Number of the observation, from 0.
    frame: usize,
    /// Where in the frame: field names, and array elements selected by one of their fields, as in
    /// `nics[name=eth0].cpus[cpu=0].polls`.
    at: String,
    #[serde(flatten)]
    what: Expected,
    /// The independent source of the value.
    from: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Expected {
    /// Equal.
    Is(Value),
    /// A number within these bounds: the counters beside nicmon were not read at the same moments.
    Between(f64, f64),
    /// Unknown.
    Null(bool),
    /// Not in the frame: a measured zero.
    Absent(bool),
}

impl Expected {
    fn check(&self, found: Option<&Value>) -> Result<()> {
        let number = || found.and_then(Value::as_f64).context("is not a number");
        match self {
            Self::Is(value) => ensure!(found == Some(value), "is not {value}"),
            Self::Between(least, most) => {
                ensure!((*least..=*most).contains(&number()?), "is not within {least} and {most}");
            }
            Self::Null(wanted) => ensure!(found.is_some_and(Value::is_null) == *wanted, "null: not {wanted}"),
            Self::Absent(wanted) => ensure!(found.is_none() == *wanted, "absent: not {wanted}"),
        }
        Ok(())
    }
}

/// The value at a path.
fn find<'a>(frame: &'a Value, path: &str) -> Result<Option<&'a Value>> {
    let mut at = Some(frame);
    let mut rest = path;
    while !rest.is_empty() {
        let (field, selector, after) = first_step(rest)?;
        rest = after;
        at = at.and_then(|value| value.get(field));
        if let Some(selector) = selector {
            let (key, wanted) = selector.split_once('=').context("[ ] needs key=value")?;
            let is_wanted = |element: &&Value| match &element[key] {
                Value::String(text) => text == wanted,
                other => wanted.parse() == Ok(other.as_f64().unwrap_or(f64::NAN)),
            };
            at = at.and_then(|array| array.as_array()?.iter().find(is_wanted));
        }
    }
    Ok(at)
}

/// The first field of a path, its selector if it has one, and the rest. A selector may contain dots.
fn first_step(path: &str) -> Result<(&str, Option<&str>, &str)> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (field, rest) = path.split_at(end);
    let Some(rest) = rest.strip_prefix('[') else {
        return Ok((field, None, rest.strip_prefix('.').unwrap_or(rest)));
    };
    let (selector, rest) = rest.split_once(']').context("a [ has no ]")?;
    Ok((field, Some(selector), rest.strip_prefix('.').unwrap_or(rest)))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// The frames made from a file of observations, as JSON.
fn frames(observations: &Path, filter: &Filter) -> Result<Vec<Value>> {
    let text = fs::read_to_string(observations)?;
    let frame = |line: &str| Ok(serde_json::to_value(assemble(&Observation::load(line)?, filter))?);
    text.lines().map(frame).collect()
}

/// Names of the files in a folder that have this ending, without the ending.
fn names(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(ending).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// All disagreements of a scenario, one per line.
fn disagreements(name: &str) -> Result<String> {
    let text = fs::read_to_string(folder().join(format!("{name}.toml")))?;
    let scenario: Scenario = toml::from_str(&text)?;
    ensure!(!scenario.title.is_empty() && !scenario.source.is_empty(), "title and source must not be empty");
    ensure!(!scenario.expect.is_empty(), "it expects nothing");
    let filter = Filter::new(&scenario.interfaces, &scenario.cpus)?;
    let frames = frames(&folder().join(format!("{name}.ndjson")), &filter)?;
    let mut said = String::new();
    for Expect { frame, at, what, from } in &scenario.expect {
        ensure!(!from.is_empty(), "{at}: `from` must name the source of the value");
        let found = find(frames.get(*frame).with_context(|| format!("no frame {frame}"))?, at)?;
        if let Err(why) = what.check(found) {
            let found = found.map_or("nothing".to_owned(), Value::to_string);
            writeln!(said, "  frame {frame}, {at}: {found} {why} (from {from})")?;
        }
    }
    Ok(said)
}

/// Where two values differ, leaf by leaf.
fn differences(path: &str, one: &Value, other: &Value, said: &mut String) -> Result<()> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            for (key, value) in one {
                differences(&format!("{path}.{key}"), value, &other[key], said)?;
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{at}]"), one, other, said)?;
            }
        }
        _ if one == other => {}
        _ => writeln!(said, "  {path}: {one}, frozen {other}")?,
    }
    Ok(())
}

#[test]
fn frames_agree_with_independent_sources() -> Result<()> {
    let names = names(&folder(), ".toml")?;
    ensure!(names.len() >= 11, "only {} scenarios were found", names.len());
    let mut failed = String::new();
    for name in &names {
        match disagreements(name) {
            Ok(said) if said.is_empty() => {}
            Ok(said) => write!(failed, "{name}.toml\n{said}")?,
            Err(why) => writeln!(failed, "{name}.toml: {why:#}")?,
        }
    }
    if !failed.is_empty() {
        bail!("scenarios disagree:\n{failed}");
    }
    Ok(())
}

/// Frames as nicmon 0.1.0 made them, before observing and assembling were separated. After a change that
/// is meant to change frames, run this with `NICMON_FREEZE=1` to write them again, and read the
/// difference before you commit it.
#[test]
fn frozen_frames_do_not_change() -> Result<()> {
    let folder = folder().join("frozen");
    let names = names(&folder, ".frames.ndjson")?;
    ensure!(names.len() >= 7, "only {} frozen files were found", names.len());
    let mut said = String::new();
    for name in names {
        // This one was captured with -C 1.
        let filter = if name == "stacks" { Filter::new(&[], &[1])? } else { Filter::default() };
        let frames = frames(&folder.join(format!("{name}.ndjson")), &filter)?;
        let path = folder.join(format!("{name}.frames.ndjson"));
        if std::env::var_os("NICMON_FREEZE").is_some() {
            let lines: Vec<String> = frames.iter().map(Value::to_string).collect();
            fs::write(&path, lines.join("\n") + "\n")?;
        }
        let frozen = fs::read_to_string(&path)?;
        let frozen: Vec<Value> = frozen.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(frozen.len() == frames.len(), "{name}: {} frames, {} frozen", frames.len(), frozen.len());
        for (at, (frame, frozen)) in frames.iter().zip(&frozen).enumerate() {
            differences(&format!("{name}, frame {at}"), frame, frozen, &mut said)?;
        }
    }
    ensure!(said.is_empty(), "frames differ from the frozen ones:\n{said}");
    Ok(())
}

#[test]
fn a_wrong_value_is_noticed() -> Result<()> {
    let frame = serde_json::json!({"nics": [{"name": "eth0", "polls": 5, "drops": null}]});
    let found = |path| find(&frame, path);
    assert!(Expected::Between(5.0, 6.0).check(found("nics[name=eth0].polls")?).is_ok());
    assert!(Expected::Between(5.1, 6.0).check(found("nics[name=eth0].polls")?).is_err());
    assert!(Expected::Is(6.into()).check(found("nics[name=eth0].polls")?).is_err());
    assert!(Expected::Null(true).check(found("nics[name=eth0].drops")?).is_ok());
    assert!(Expected::Null(true).check(found("nics[name=eth1].drops")?).is_err());
    assert!(Expected::Absent(true).check(found("nics[name=eth1]")?).is_ok());
    assert!(Expected::Absent(true).check(found("nics[name=eth0]")?).is_err());
    assert!(Expected::Between(0.0, 1.0).check(found("nics[name=eth0].drops")?).is_err());
    Ok(())
}

/// A kernel that takes a tenth of the samples changes how certain times are, and not the times. The real
/// samples are a tenth of what was asked for in one observation; in the other, each is there ten times.
#[test]
fn a_tenth_of_the_samples_gives_the_same_times() -> Result<()> {
    let path = folder().join("frozen/busy.ndjson");
    let line = fs::read_to_string(path)?.lines().nth(1).context("an observation")?.to_owned();
    let frame = |times: usize| -> Result<Value> {
        let mut seen: Value = serde_json::from_str(&line)?;
        seen["sample_limit_per_s"] = 100.into();
        let samples = &mut seen["reading"]["samples"];
        samples["frequency"] = (samples["frequency"].as_u64().context("a frequency")? * 10).into();
        let taken = samples["taken"].as_array_mut().context("samples")?;
        *taken = taken.iter().flat_map(|sample| std::iter::repeat_n(sample.clone(), times)).collect();
        let seen = Observation::load(&seen.to_string())?;
        Ok(serde_json::to_value(assemble(&seen, &Filter::default()))?)
    };
    let (whole, tenth) = (frame(10)?, frame(1)?);
    let number = |frame: &Value, at: &str| {
        find(frame, at)?.and_then(Value::as_f64).with_context(|| format!("{at} is no number"))
    };
    for at in [
        "drivers[driver=veth].sampled_est_ns",
        "drivers[driver=veth].cost_cpu_pct",
        "drivers[driver=veth].ns_per_packet",
        "drivers[driver=veth].busy_share_pct",
        "host.sampling.busy_expected",
    ] {
        let (whole, tenth) = (number(&whole, at)?, number(&tenth, at)?);
        ensure!(whole > 0.0 && (tenth / whole - 1.0).abs() < 0.03, "{at}: {tenth}, but {whole}");
    }
    ensure!(find(&whole, "host.sampling_reason")? == Some(&Value::Null), "nothing is missing");
    let reason = find(&tenth, "host.sampling_reason")?.and_then(Value::as_str).unwrap_or_default();
    ensure!(reason.contains("the kernel allows only 100 samples per second"), "{reason}");
    Ok(())
}
