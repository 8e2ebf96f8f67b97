//! nicmon's side of the table: sums over its frames. Frames are read as plain JSON, so this also reads frames
//! of older versions that lack a field.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::share::Share;

use super::{device::Device, handler::Timing};

/// Path to the number of samples that were not idle.
const BUSY_SAMPLES: &str = "/host/sampling/busy";

/// Sums over the frames of one download for one NIC.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) work: u64,
    pub(super) rx_packets: u64,
    pub(super) tx_packets: u64,
    pub(super) poll_ns: u64,
    pub(super) hardirq_ns: u64,
    /// Interrupts of the NIC by line: number, count, and time in its handler.
    pub(super) irqs: Vec<Line>,
    pub(super) lost: u64,
    /// Runs of nicmon's programs.
    pub(super) events: u64,
    /// Samples of the frames that lie within the transfer.
    pub(super) sampled: Sampled,
}

/// One interrupt line of a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) irq: u64,
    pub(super) action: String,
    pub(super) count: u64,
    pub(super) ns: u64,
}

impl Sums {
    /// Sums up frames, one per line. Samples count only in frames within the time window.
    pub(super) fn read(frames: &str, nic: &str, device: Device, window_ns: (u64, u64)) -> Result<Self> {
        let mut sums = Self::default();
        for frame in parse(frames)? {
            sums.add(&frame, nic);
            let (begin, end) = self::window_ns(&frame);
            if begin >= window_ns.0 && end <= window_ns.1 {
                sums.sampled.add(&frame, device);
            }
        }
        Ok(sums)
    }

    /// All calls of the NIC's interrupt handlers.
    pub(super) fn handlers(&self) -> Timing {
        let add = |sum: Timing, line: &Line| Timing { calls: sum.calls + line.count, ns: sum.ns + line.ns };
        self.irqs.iter().fold(Timing { calls: 0, ns: 0 }, add)
    }

    /// Adds the figures of the NIC in one frame, except for samples.
    pub(super) fn add(&mut self, frame: &Value, nic: &str) {
        for entry in array(&frame["nics"]).filter(|entry| entry["name"] == nic) {
            self.rx_packets += number(&entry["rx_packets"]);
            self.tx_packets += number(&entry["tx_packets"]);
            self.poll_ns += number(&entry["poll_ns"]);
            self.hardirq_ns += number(&entry["hardirq_ns"]);
            self.work += array(&entry["cpus"]).map(|cpu| number(&cpu["work"])).sum::<u64>();
        }
        for entry in array(&frame["irqs"]).filter(|entry| entry["nic"] == nic) {
            let (irq, action) = (number(&entry["irq"]), entry["action"].as_str().unwrap_or_default());
            let count = array(&entry["cpus"]).map(|cpu| number(&cpu["count"])).sum::<u64>();
            let ns = array(&entry["cpus"]).map(|cpu| number(&cpu["ns"])).sum::<u64>();
            match self.irqs.iter_mut().find(|line| line.irq == irq && line.action == action) {
                Some(line) => {
                    line.count += count;
                    line.ns += ns;
                }
                None => self.irqs.push(Line { irq, action: action.to_owned(), count, ns }),
            }
        }
        self.lost += number(&frame["self"]["lost"]);
        self.events += number(&frame["self"]["bpf_runs"]);
    }
}

/// Samples of several frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sampled {
    /// The time that these samples cover. perf's samples must cover the same time.
    pub(super) window_ns: Option<(u64, u64)>,
    pub(super) busy: u64,
    pub(super) driver: u64,
    pub(super) companions: u64,
    /// Samples in the driver by function.
    pub(super) functions: BTreeMap<String, u64>,
}

impl Sampled {
    /// Adds a frame; frames must be added in order of time.
    pub(super) fn add(&mut self, frame: &Value, device: Device) {
        let (begin, end) = window_ns(frame);
        self.window_ns = Some((self.window_ns.map_or(begin, |(first, _)| first), end));
        self.busy += frame.pointer(BUSY_SAMPLES).map_or(0, number);
        for entry in array(&frame["drivers"]).filter(|entry| entry["driver"] == device.driver()) {
            self.driver += number(&entry["samples"]);
            for companion in array(&entry["companions"]) {
                let counted =
                    companion["name"].as_str().is_some_and(|name| device.companions().contains(&name));
                self.companions += if counted { number(&companion["samples"]) } else { 0 };
            }
            for function in array(&entry["functions"]) {
                let name = function["symbol"].as_str().unwrap_or_default();
                *self.functions.entry(name.to_owned()).or_default() += number(&function["samples"]);
            }
        }
    }

    /// The driver's share of the busy samples; `None` if the frames have no samples.
    pub(super) fn driver_share(&self) -> Option<Share> {
        Share::of(self.driver, self.busy)
    }

    /// The same, including its companions.
    pub(super) fn joint_share(&self) -> Option<Share> {
        Share::of(self.driver + self.companions, self.busy)
    }
}

/// Parses frames, one per line.
pub(super) fn parse(text: &str) -> Result<Vec<Value>> {
    // nicmon stops only between frames, so a truncated line is an error.
    let parse = |line| serde_json::from_str(line).context("cannot parse a frame of the guest's nicmon");
    text.lines().map(parse).collect()
}

/// Start and end of a frame's interval.
pub(super) fn window_ns(frame: &Value) -> (u64, u64) {
    let end = number(&frame["mono_ns"]);
    (end.saturating_sub(number(&frame["interval_ns"])), end)
}

/// Missing and `null` values add nothing. Fields that must exist are checked by their sums, which must not be
/// zero.
pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The elements of an array; none if the value is `null`.
pub(super) fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: &str = concat!(
        r#"{"mono_ns":2000,"interval_ns":1000,"nics":[{"name":"eth0","rx_packets":10,"tx_packets":null,"poll_ns":7,"#,
        r#""hardirq_ns":3,"cpus":[{"cpu":0,"work":6},{"cpu":1,"work":4}]},{"name":"eth1","rx_packets":99,"cpus":[]}],"#,
        r#""irqs":[{"irq":11,"action":"eth0","nic":"eth0","cpus":[{"cpu":0,"count":5,"ns":3}]}],"self":{"lost":0},"#,
        r#""host":{"sampling":{"busy":50}},"drivers":[{"driver":"virtio_net","samples":10,"functions":[{"symbol":"start_xmit","samples":9},{"symbol":"start_xmit","samples":1}],"companions":[{"name":"virtio_ring","samples":5},{"name":"mii","samples":1}]}]}"#,
        "\n",
        r#"{"mono_ns":3000,"interval_ns":1000,"nics":[],"irqs":[{"irq":11,"action":"eth0","nic":"eth0","#,
        r#""cpus":[{"cpu":1,"count":2,"ns":1}]}],"self":{"lost":0},"host":{"sampling":{"busy":50}},"drivers":[]}"#,
        "\n"
    );

    #[test]
    fn frames_add_up() {
        let sums = Sums::read(FRAMES, "eth0", Device::Virtio, (0, u64::MAX)).unwrap();
        assert_eq!((sums.work, sums.rx_packets, sums.poll_ns, sums.hardirq_ns), (10, 10, 7, 3));
        assert_eq!(sums.irqs, [Line { irq: 11, action: "eth0".into(), count: 7, ns: 4 }]);
        assert_eq!(sums.sampled.driver_share(), Share::of(10, 100));
        assert_eq!(sums.sampled.joint_share(), Share::of(15, 100));
        assert_eq!(sums.sampled.window_ns, Some((1000, 3000)));
        assert_eq!(sums.sampled.functions, BTreeMap::from([("start_xmit".to_owned(), 10)]));
    }

    #[test]
    fn samples_outside_the_transfer_do_not_count() {
        let sampled = |window| Sums::read(FRAMES, "eth0", Device::Virtio, window).unwrap().sampled;
        assert_eq!(sampled((900, 2900)).driver_share(), Share::of(10, 50));
        assert_eq!(sampled((900, 2900)).window_ns, Some((1000, 2000)));
        assert_eq!(sampled((5000, 6000)), Sampled::default());
        assert_eq!(sampled((5000, 6000)).driver_share(), None);
    }

    #[test]
    fn a_torn_frame_is_an_error() {
        assert!(Sums::read("{\"mono_ns\":", "eth0", Device::Virtio, (0, 1)).is_err());
    }
}
