//! The file of a scenario, and the guest that it describes.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use testkit::filter::{Verdict, object_file};

use super::check::Expected;
use crate::{
    lab::{Args, device::Device, job, load::Load, plan::Plan},
    workspace,
};

/// How long a guest may take to boot and to start nicmon, and to stop.
const OVERHEAD: Duration = Duration::from_mins(2);

/// A guest, the load on it, and what nicmon should find.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What is wrong, or what is not, in one line.
    pub(super) title: String,
    /// The NIC.
    #[serde(default = "virtio")]
    device: Device,
    /// Queues that it could have, if it is a virtio NIC.
    queues: u32,
    /// CPUs of the guest.
    cpus: u32,
    /// More words for the kernel's command line.
    #[serde(default)]
    kernel: String,
    /// Kernel modules to load, besides the driver.
    #[serde(default)]
    modules: Vec<String>,
    /// Programs of this machine to copy into the guest, with their libraries.
    #[serde(default)]
    programs: Vec<String>,
    /// Files of this machine to copy to the same place in the guest.
    #[serde(default)]
    files: Vec<String>,
    /// If given, `/filter.o` in the guest is a BPF program that counts so far for each packet, before it lets
    /// it pass. Its sections are `tc` and `xdp`.
    filter_turns: Option<i32>,
    /// Shell lines to run in the guest before nicmon starts. Each must succeed. `$nic` is the interface,
    /// `$url` a large file on the host, and scripts/findings.sh has functions for its interrupts.
    #[serde(default)]
    setup: String,
    /// The load, if there is any. It starts when nicmon has seen the NIC at rest.
    pub(super) load: Option<Load>,
    /// Shell lines to run in the guest beside nicmon, from when it has seen the NIC at rest.
    #[serde(default)]
    beside: String,
    /// Frames of one second.
    #[serde(default = "fourteen")]
    seconds: u64,
    /// Nothing is wrong: there must be no finding of severity warning or critical.
    #[serde(default)]
    pub(super) healthy: bool,
    /// Something is wrong: each of these findings must appear.
    #[serde(default)]
    pub(super) expect: Vec<Expected>,
}

fn virtio() -> Device {
    Device::Virtio
}

fn fourteen() -> u64 {
    14
}

impl Scenario {
    fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        ensure!(scenario.healthy == scenario.expect.is_empty(), "give either `healthy = true` or [[expect]]");
        Ok(scenario)
    }

    /// Whether the guest itself makes all of the load.
    pub(super) fn has_load_of_its_own(&self) -> bool {
        self.load.is_none() && !self.beside.is_empty()
    }

    /// The guest for one run.
    pub(super) fn plan(&self, args: &Args) -> Result<Plan> {
        let mut plan = Plan::of(args, &[self.device]);
        plan.queues = self.queues;
        plan.smp = Some(self.cpus);
        plan.append.clone_from(&self.kernel);
        plan.modules.clone_from(&self.modules);
        plan.programs.clone_from(&self.programs);
        let to = |file: &String| (PathBuf::from(file), file.trim_start_matches('/').to_owned());
        plan.binaries.extend(self.files.iter().map(to));
        if let Some(turns) = self.filter_turns {
            plan.files.push(("filter.o".to_owned(), object_file(turns, Verdict::Pass)?));
        }
        plan.load = self.load;
        plan.limit = Some(OVERHEAD + Duration::from_secs(self.seconds));
        plan.script.push_str(include_str!("../scripts/findings.sh"));
        let _ = writeln!(plan.script, "url={}", job::url(0));
        // A function must not be empty.
        let _ = writeln!(plan.script, "setup() {{\n:\n{}\n}}", self.setup);
        let _ = writeln!(plan.script, "beside() {{\n:\n{}\n}}", self.beside);
        let _ = writeln!(plan.script, "findings {} {}", job::nic(0), self.seconds);
        Ok(plan)
    }
}

/// The scenarios by name, in order; only some of them if `only` names any.
pub(super) fn all(only: &[String]) -> Result<Vec<(String, Scenario)>> {
    let folder = workspace::root().join("xtask/src/lab/findings");
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut all = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path);
        let scenario = text.context("cannot read it").and_then(|text| Scenario::parse(&text));
        let scenario = scenario.with_context(|| path.display().to_string())?;
        all.push((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), scenario));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let names = || all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = only.iter().find(|only| all.iter().all(|(name, _)| name != *only)) {
        bail!("there is no scenario {unknown}, only {}", names());
    }
    all.retain(|(name, _)| only.is_empty() || only.contains(name));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_can_be_read() {
        let all = all(&[]).unwrap();
        assert!(all.iter().any(|(_, scenario)| scenario.healthy), "no scenario is healthy");
        let bad = all.iter().filter(|(_, scenario)| !scenario.healthy);
        assert!(bad.clone().count() > 0, "no scenario is bad");
        for (name, scenario) in bad {
            assert!(scenario.load.is_some() || scenario.has_load_of_its_own(), "{name} has no load");
        }
        let error = super::all(&["none".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("there is no scenario none, only "), "{error}");
    }

    #[test]
    fn a_scenario_is_either_healthy_or_not() {
        let machine = "title = 'x'\nqueues = 1\ncpus = 4\n";
        let parse = |rest: &str| Scenario::parse(&format!("{machine}{rest}"));
        assert!(parse("healthy = true").is_ok() && parse("[[expect]]\nid = 'x'").is_ok());
        assert!(parse("").is_err() && parse("healthy = true\n[[expect]]\nid = 'x'").is_err());
        assert!(parse("healthy = true\nlaod = 1").is_err());
    }
}
