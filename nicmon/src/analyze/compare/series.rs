//! What comparing needs from a recording: a few numbers per frame and driver.

use std::collections::BTreeMap;

use super::{
    cell::Cell,
    figures::Figure,
    interval::Part,
    model::{About, Setting},
};
use crate::frame::{Driver, Frame, Layers, Nic};

/// Most settings listed for a recording.
const SETTINGS: usize = 8;

fn period_ns(frequency: u32) -> u64 {
    1_000_000_000 / u64::from(frequency.max(1))
}

/// A driver over a recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    pub cells: Vec<Cell>,
    /// Why its code is unknown, according to the frames.
    pub unknown: Option<String>,
}

impl Series {
    /// Bytes in all frames that know them, without those that NICs below its own counted, too.
    pub(super) fn own_bytes(&self) -> u64 {
        self.cells.iter().filter_map(|cell| cell.own_bytes).fold(0, u64::saturating_add)
    }

    /// Whether a figure rests on estimates, which are samples and times of NAPI threads.
    pub(super) fn is_estimate(&self, figure: Figure) -> bool {
        let polls = || figure == Figure::PollNsPerPacket && self.cells.iter().any(|cell| cell.is_threaded);
        figure.is_sampled() || polls()
    }

    /// What each frame adds to a figure; frames that do not know it are left out.
    pub(super) fn parts(&self, figure: Figure) -> Vec<Part> {
        self.cells.iter().filter_map(|cell| part(cell, figure)).collect()
    }

    /// Samples in the frames that know a figure.
    pub(super) fn samples(&self, figure: Figure) -> u64 {
        let known = self.cells.iter().filter(|cell| figure.of(cell).is_some());
        known.filter_map(|cell| cell.samples).fold(0, u64::saturating_add)
    }
}

/// What one frame adds to a figure; `None` if the frame does not know it.
fn part(cell: &Cell, figure: Figure) -> Option<Part> {
    let (above, below) = figure.of(cell)?;
    Some(Part { above: above as f64, below: below as f64, chance: figure.chance(cell), run: cell.run })
}

/// What each frame of one recording adds to a figure of two drivers. An absent driver adds nothing. If a
/// driver is present but its figure is unknown, the frame is left out for both.
pub(super) fn aligned(a: &Series, b: &Series, figure: Figure) -> (Vec<Part>, Vec<Part>) {
    let mut frames: BTreeMap<u64, [Option<&Cell>; 2]> = BTreeMap::new();
    for (at, series) in [a, b].into_iter().enumerate() {
        for cell in &series.cells {
            frames.entry(cell.frame).or_default()[at] = Some(cell);
        }
    }
    let part_of = |cell: Option<&Cell>, run| match cell {
        Some(cell) => part(cell, figure),
        None => Some(Part { run, ..Part::default() }),
    };
    let parts = frames.into_values().filter_map(|[a, b]| {
        let run = a.or(b)?.run;
        part_of(a, run).zip(part_of(b, run))
    });
    parts.unzip()
}

/// A recording, reduced to what comparing needs.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its name, length and conditions.
    pub about: About,
    pub(super) drivers: BTreeMap<String, Series>,
    last: Option<(u64, Option<String>)>,
    /// From the last topology.
    layers: Layers,
}

impl Recording {
    /// A recording without frames.
    pub fn new(name: String) -> Self {
        let about = About {
            name,
            from: String::new(),
            to: String::new(),
            frames: 0,
            runs: 0,
            interval_ns: 0,
            lost_samples: 0,
            settings: Vec::new(),
        };
        Self { about, drivers: BTreeMap::new(), last: None, layers: Layers::default() }
    }

    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame) {
        // Recordings can be joined with cat. Each counts its frames from 0.
        let goes_on =
            self.last.as_ref().is_some_and(|(seq, boot)| frame.seq > *seq && frame.boot_id == *boot);
        self.about.runs += u32::from(!goes_on);
        self.last = Some((frame.seq, frame.boot_id.clone()));
        self.tell(frame);

        if let Some(topology) = &frame.topology {
            self.layers = Layers::of(topology);
        }
        let mut by_driver: BTreeMap<&str, Vec<(&Nic, Option<u64>)>> = BTreeMap::new();
        for (nic, own_bytes) in frame.nics.iter().zip(self.layers.own_bytes(&frame.nics)) {
            if let Some(driver) = &nic.driver {
                by_driver.entry(driver).or_default().push((nic, own_bytes));
            }
        }
        for (driver, nics) in by_driver {
            let (nics, own_bytes): (Vec<&Nic>, Vec<Option<u64>>) = nics.into_iter().unzip();
            let own_bytes = own_bytes.into_iter().try_fold(0_u64, |sum, own| sum.checked_add(own?));
            let mut cell = self.cell(frame, driver, &nics);
            cell.own_bytes = own_bytes.filter(|_| cell.bytes.is_some());
            if !self.drivers.contains_key(driver) {
                self.drivers.insert(driver.to_owned(), Series::default());
            }
            let Some(series) = self.drivers.get_mut(driver) else { continue };
            series.cells.push(cell);
            let cost = frame.drivers.iter().flatten().find(|cost| cost.driver == driver);
            if let Some(why) = cost.and_then(|cost| cost.unknown.as_ref()) {
                series.unknown = Some(why.clone());
            }
        }
    }

    fn tell(&mut self, frame: &Frame) {
        let about = &mut self.about;
        if about.frames == 0 {
            about.from.clone_from(&frame.time);
        }
        about.to.clone_from(&frame.time);
        about.frames += 1;
        about.interval_ns = about.interval_ns.saturating_add(frame.interval_ns);
        let lost = frame.host.sampling.map_or(0, |sampling| sampling.lost);
        about.lost_samples = about.lost_samples.saturating_add(lost);
        let setting = Setting {
            hostname: frame.host.hostname.clone(),
            kernel: frame.host.kernel.clone(),
            cpus_online: frame.host.cpus_online,
            preempt_rt: frame.host.preempt_rt,
            source: frame.host.source,
            sample_event: frame.host.sample_event,
        };
        if about.settings.len() < SETTINGS && !about.settings.contains(&setting) {
            about.settings.push(setting);
        }
    }

    fn cell(&self, frame: &Frame, driver: &str, nics: &[&Nic]) -> Cell {
        let sum = |part: &dyn Fn(&Nic) -> Option<u64>| {
            nics.iter().try_fold(0_u64, |sum, nic| sum.checked_add(part(nic)?))
        };
        let cost = frame.drivers.iter().flatten().find(|cost| cost.driver == driver);
        // Packets cover all CPUs, so samples must too.
        let online = frame.host.cpus_online as usize;
        let are_sampled = frame.host.sampling.is_some_and(|sampling| sampling.cpus as usize == online);
        // What the driver did is on all its NICs, also on those that no frame lists. Without samples, only
        // the listed ones are known; only these are polled.
        let all = |of_driver: fn(&Driver) -> Option<u64>, listed: &dyn Fn(&Nic) -> Option<u64>| {
            let cost = cost.filter(|cost| are_sampled && cost.cost_ns().is_some());
            cost.map_or_else(|| sum(listed), of_driver).filter(|_| frame.has_all_cpus())
        };
        Cell {
            frame: self.about.frames,
            run: self.about.runs,
            interval_ns: frame.interval_ns,
            samples: cost.and_then(|cost| cost.samples),
            busy: frame.host.sampling.map(|sampling| sampling.busy),
            period_ns: frame.host.sampling.and_then(|sampling| sampling.frequency_per_s).map(period_ns),
            hardirq_ns: sum(&Nic::hardirq_time_ns),
            sampled_ns: cost.and_then(|cost| cost.sampled_est_ns).filter(|_| are_sampled),
            poll_ns: sum(&|nic| nic.poll_time_ns().filter(|_| nic.is_timed())),
            is_threaded: nics.iter().any(|nic| nic.threaded_est_ns != Some(0)),
            packets: all(|driver| driver.packets, &|nic| nic.counters.packets()),
            bytes: all(|driver| driver.bytes, &|nic| nic.counters.bytes()),
            own_bytes: None,
        }
    }
}
