//! nicmon while a ramp runs, and what it said about the headroom.

use std::{
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use testkit::process::Running;

use super::{figures::median, network::Network};

/// Packets per second at which nicmon expects the CPU to be full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A running nicmon.
pub(super) struct Watch {
    nicmon: Running,
    frames: PathBuf,
}

/// The cost must not change what is measured in the midst of a ramp.
const WATCH: [&str; 5] = ["--json", "-d", "1s", "--max-overhead", "off"];

/// Now, on the clock of frames.
pub(super) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

impl Watch {
    pub(super) fn start(nicmon: &Path, frames: &Path) -> Result<Self> {
        let file = File::create(frames).with_context(|| format!("cannot make {}", frames.display()))?;
        let nicmon = Running::start(Command::new(nicmon).args(WATCH).stdout(file))?;
        Ok(Self { nicmon, frames: frames.to_owned() })
    }

    /// Stops nicmon, and returns the median of what it said about the receiver at that time.
    pub(super) fn headroom(mut self, network: &Network, time: &Range<u64>) -> Result<Interval> {
        self.nicmon.stop()?;
        let text = fs::read_to_string(&self.frames).context("cannot read nicmon's frames")?;
        let frames = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
        let frames = frames.context("nicmon's frames are not JSON")?;
        interval(&frames, time, network.receiver()?)
    }
}

fn interval(frames: &[Value], time: &Range<u64>, receiver: (&str, u64, usize)) -> Result<Interval> {
    let (nic, netns, cpu) = receiver;
    let is_meant = |frame: &&Value| {
        let end = frame["mono_ns"].as_u64().unwrap_or(0);
        let start = end.saturating_sub(frame["interval_ns"].as_u64().unwrap_or(end));
        time.contains(&start) && time.contains(&end)
    };
    let meant: Vec<&Value> = frames.iter().filter(is_meant).collect();
    let is_ours = |headroom: &&Value| headroom["nic"] == nic && headroom["netns"] == netns;
    let ours: Vec<&Value> =
        meant.iter().filter_map(|frame| frame["headroom"].as_array()?.iter().find(is_ours)).collect();
    ensure!(
        ours.len() * 2 > meant.len(),
        "nicmon gave the headroom of {nic} in only {} of {} frames",
        ours.len(),
        meant.len()
    );
    let elsewhere = ours.iter().filter(|headroom| headroom["cpu"] != cpu).count();
    ensure!(elsewhere == 0, "in {elsewhere} of {} frames, nicmon named another CPU than {cpu}", ours.len());
    let bound = |at: usize| {
        median(ours.iter().filter_map(|ours| ours["saturation_rx_packets_ci_per_s"][at].as_f64()).collect())
    };
    let (low, high) = bound(0).zip(bound(1)).context("headroom without bounds")?;
    Ok(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(end_s: u64, low: f64, cpu: usize) -> Value {
        let other = json!({ "nic": "demo-rx", "netns": 8, "cpu": 0,
            "saturation_rx_packets_ci_per_s": [1.0, 2.0] });
        let ours = json!({ "nic": "demo-rx", "netns": 7, "cpu": cpu,
            "saturation_rx_packets_ci_per_s": [low, 2.0 * low] });
        json!({ "mono_ns": end_s * 1_000_000_000, "interval_ns": 1_000_000_000, "headroom": [other, ours] })
    }

    #[test]
    fn the_median_of_the_frames_of_that_time() {
        let frames = [frame(1, 900.0, 1), frame(3, 10.0, 1), frame(4, 30.0, 1), frame(5, 20.0, 1)];
        let time = 1_500_000_000..5_500_000_000;
        let found = interval(&frames, &time, ("demo-rx", 7, 1)).unwrap();
        assert_eq!(found, Interval { low: 20.0, high: 40.0 });
    }

    #[test]
    fn another_cpu_or_none_is_an_error() {
        let time = 0..9_000_000_000;
        let none = json!({ "mono_ns": 3_000_000_000_u64, "interval_ns": 1_000_000_000, "headroom": null });
        for frames in [vec![frame(2, 10.0, 0)], vec![frame(2, 10.0, 1), none], vec![]] {
            assert!(interval(&frames, &time, ("demo-rx", 7, 1)).is_err(), "{frames:?}");
        }
    }
}
