//! Repeated recordings of the same download: `nicmon compare` should find a difference in hardly any pair.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::process::output;

use super::{Args, Done, device::Device, job, plan::Plan, results::Results, table::Verdicts};

/// Number of pairs over all NICs. Each recording is in only one pair.
const PAIRS: usize = 20;
/// Most pairs that may give a verdict. At 95 % confidence, one is expected.
const MOST: usize = 2;
/// Most pairs that may have no interval. Frames that differ too much, as in an interrupt storm, give none.
const MOST_UNKNOWN: usize = 2;
/// How long the guest may take per 100 MB of a transfer: three times as long as it takes on two CPUs.
const LIMIT: Duration = Duration::from_mins(18);

/// Downloads per recording. This many over virtio take about as long as one over the 8139.
fn downloads(device: Device) -> u64 {
    if device == Device::Virtio { 4 } else { 1 }
}

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Rtl8139, Device::Virtio]);
    plan.script.push_str(include_str!("scripts/pairs.sh"));
    plan.limit = Some(LIMIT.mul_f64((plan.bytes as f64 / 1e8).max(1.0)));
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        let (folder, nic, url, downloads) =
            (job::folder(index), job::nic(index), job::url(index), downloads(device));
        let (seconds, recordings) = (plan.transfer_s() * downloads, 2 * pairs(&plan));
        let _ = writeln!(plan.script, "recordings {folder} {nic} {url} {seconds} {downloads} {recordings}");
    }
    plan
}

/// Number of pairs per NIC.
fn pairs(plan: &Plan) -> usize {
    (PAIRS / plan.devices.len()).max(1)
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    println!(
        "{:<8} {:<11} {:>8} {:>8}  {:<22} {:<22} VERDICT",
        "PAIR", "DRIVER", "A, s/GB", "B, s/GB", "RATIO PER GB", "RATIO PER PACKET"
    );
    let mut all = Vec::new();
    for (index, device) in done.plan.numbered() {
        let results = Results::open(&done.out.join(job::folder(index)));
        let results = results.with_context(|| format!("the recordings over {}", device.model()))?;
        let recording = |number: usize| results.path(&format!("{number}.rec"));
        for first in (1..=2 * pairs(done.plan)).step_by(2) {
            let compared = Compared::of(done.nicmon, &recording(first), &recording(first + 1))?;
            println!("{:<8} {compared}", format!("{first}, {}", first + 1));
            all.push((device, compared));
        }
    }
    println!();
    for (_, device) in done.plan.numbered() {
        print_deviation(device, all.iter().filter(|(of, _)| *of == device).map(|(_, compared)| compared));
    }
    let of_all =
        |apart: &dyn Fn(&Compared) -> bool| all.iter().filter(|(_, compared)| apart(compared)).count();
    let (apart, frames_alone) = (
        of_all(&|compared| !compared.verdicts.is_empty()),
        of_all(&|compared| compared.per_gb.frames_differ()),
    );
    println!("  -       without the allowance for --run-to-run, {frames_alone} pairs would give a verdict");
    let unknown = of_all(&|compared| compared.per_gb.interval.is_none());
    verdicts.check(
        unknown <= MOST_UNKNOWN,
        &format!("{unknown} of {} pairs have no interval (at most {MOST_UNKNOWN})", all.len()),
    );
    verdicts.check(apart <= MOST, &format!("{apart} of {} pairs give a verdict (at most {MOST})", all.len()));
    across(done, verdicts)
}

/// Two drivers that differ must give a verdict: that is what comparing is for.
fn across(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    let of = |device: Device| -> Option<PathBuf> {
        let (index, _) = done.plan.numbered().find(|(_, there)| *there == device)?;
        Some(done.out.join(job::folder(index)).join("1.rec"))
    };
    let (Some(cheap), Some(expensive)) = (of(Device::Virtio), of(Device::Rtl8139)) else { return Ok(()) };
    let compared = Compared::of(done.nicmon, &cheap, &expensive)?;
    verdicts.check(!compared.verdicts.is_empty(), &format!("two different drivers: {}", compared.summary));
    Ok(())
}

/// Prints how much recordings of one download differ, from which the default of `--run-to-run` follows.
fn print_deviation<'a>(device: Device, pairs: impl Iterator<Item = &'a Compared>) {
    let figures: Vec<f64> = pairs.flat_map(|pair| [pair.per_gb.a, pair.per_gb.b]).flatten().collect();
    if let Some(pct) = deviation_pct(&figures) {
        println!("  -       {} recordings over {} differ by {pct:.1} %", figures.len(), device.driver());
    }
}

/// The standard deviation in percent of the mean; `None` for fewer than two values.
fn deviation_pct(figures: &[f64]) -> Option<f64> {
    let count = figures.len() as f64;
    let mean = figures.iter().sum::<f64>() / count;
    let squares = figures.iter().map(|figure| (figure - mean).powi(2)).sum::<f64>();
    (figures.len() > 1 && mean > 0.0).then(|| 100.0 * (squares / (count - 1.0)).sqrt() / mean)
}

/// The result of `nicmon compare` for two recordings.
#[derive(Debug, PartialEq)]
struct Compared {
    drivers: String,
    per_gb: Ratio,
    per_packet: Ratio,
    /// The figures that have a verdict.
    verdicts: Vec<String>,
    summary: String,
}

impl Compared {
    fn of(nicmon: &Path, a: &Path, b: &Path) -> Result<Self> {
        let printed = output(Command::new(nicmon).args(["compare", "--json"]).arg(a).arg(b))?;
        let compared = Self::parse(&printed);
        compared.with_context(|| format!("cannot parse the output of nicmon compare: {printed}"))
    }

    /// Parses a comparison with one pair of drivers.
    fn parse(printed: &str) -> Option<Self> {
        let comparison: Value = serde_json::from_str(printed).ok()?;
        let [pair] = comparison["drivers"].as_array()?.as_slice() else { return None };
        let (a, b) = (pair["a"].as_str()?, pair["b"].as_str()?);
        let figures = pair["figures"].as_array()?;
        let ratio = |name: &str| figures.iter().find(|figure| figure["figure"] == name).map(Ratio::read);
        let verdicts = pair["verdicts"].as_array()?.iter();
        Some(Self {
            drivers: if a == b { a.to_owned() } else { format!("{a}, {b}") },
            per_gb: ratio("cost_per_gb")?,
            per_packet: ratio("cost_per_packet")?,
            verdicts: verdicts.map(|one| one["figure"].as_str().map(str::to_owned)).collect::<Option<_>>()?,
            summary: pair["summary"].as_str()?.to_owned(),
        })
    }
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { drivers, per_gb, per_packet, verdicts, summary: _ } = self;
        let figure =
            |figure: Option<f64>| figure.map_or_else(|| "?".to_owned(), |figure| format!("{figure:.2}"));
        let verdict = match (verdicts.as_slice(), per_gb.interval) {
            ([], Some(_)) => "none".to_owned(),
            ([], None) => "none: no interval".to_owned(),
            (some, _) => some.join(", "),
        };
        write!(
            f,
            "{drivers:<11} {:>8} {:>8}  {:<22} {:<22} {verdict}",
            figure(per_gb.a),
            figure(per_gb.b),
            per_gb.to_string(),
            per_packet.to_string()
        )
    }
}

/// A figure of both recordings, and their ratio.
#[derive(Debug, PartialEq)]
struct Ratio {
    a: Option<f64>,
    b: Option<f64>,
    /// `b` divided by `a`.
    times: Option<f64>,
    /// Its 95 % interval.
    interval: Option<(f64, f64)>,
    /// The interval without the allowance for how much recordings of the same work differ.
    of_frames: Option<(f64, f64)>,
}

impl Ratio {
    fn read(figure: &Value) -> Self {
        let bounds = |name: &str| figure[name][0].as_f64().zip(figure[name][1].as_f64());
        Self {
            a: figure["a"].as_f64(),
            b: figure["b"].as_f64(),
            times: figure["ratio"].as_f64(),
            interval: bounds("ratio_ci"),
            of_frames: bounds("frames_ci"),
        }
    }

    /// Whether the frames alone would give a verdict.
    fn frames_differ(&self) -> bool {
        self.of_frames.is_some_and(|(low, high)| low > 1.0 || high < 1.0)
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.times, self.interval) {
            // Frames with hardly any information give bounds with a great many digits.
            (Some(times), Some((low, high))) if high >= 1e3 => {
                write!(f, "{times:.3} [{low:.0e}, {high:.0e}]")
            }
            (Some(times), Some((low, high))) => write!(f, "{times:.3} [{low:.3}, {high:.3}]"),
            (Some(times), None) => write!(f, "{times:.3} [?]"),
            _ => f.write_str("?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of `nicmon compare --json`, without the fields that are not read here.
    const PRINTED: &str = r#"{"schema":"nicmon.compare/1","drivers":[{"a":"8139cp","b":"8139cp","figures":[
        {"figure":"cost_per_gb","a":6.0,"b":7.5,"ratio":1.25,"ratio_ci":[0.8,1.9],"frames_ci":[1.1,1.4],"unknown":null},
        {"figure":"cost_per_packet","a":9000.0,"b":9000.0,"ratio":1.0,"ratio_ci":null,"frames_ci":null}],
        "verdicts":[],"summary":"no difference that 95 % confidence supports"}]}"#;

    #[test]
    fn a_pair_without_a_verdict() {
        let compared = Compared::parse(PRINTED).unwrap();
        assert_eq!(
            compared.to_string(),
            "8139cp          6.00     7.50  1.250 [0.800, 1.900]   1.000 [?]              none"
        );
        assert!(compared.per_gb.frames_differ() && !compared.per_packet.frames_differ());
    }

    #[test]
    fn a_pair_with_a_verdict_and_one_without_an_interval() {
        let apart =
            PRINTED.replace(r#""verdicts":[]"#, r#""verdicts":[{"figure":"cost_per_gb","dearer":"b"}]"#);
        assert_eq!(Compared::parse(&apart).unwrap().verdicts, ["cost_per_gb"]);
        let unknown = PRINTED.replace("[0.8,1.9]", "null");
        assert!(Compared::parse(&unknown).unwrap().to_string().ends_with("none: no interval"));
        assert_eq!(Compared::parse("{}"), None);
    }

    #[test]
    fn deviations() {
        assert!((deviation_pct(&[9.0, 11.0]).unwrap() - 14.142).abs() < 0.001);
        assert_eq!(deviation_pct(&[1.0]), None);
        assert_eq!(deviation_pct(&[]), None);
    }
}
