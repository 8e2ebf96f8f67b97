//! What is kept of a recording: some numbers of each frame and driver.

use std::collections::BTreeMap;

use super::{
    figures::Figure,
    interval::Part,
    model::{About, Setting},
};
use crate::frame::{Frame, Nic};

/// Settings that are told of a recording at most.
const SETTINGS: usize = 8;

/// What a frame says of one driver, all its NICs together; `None` is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cell {
    /// Number of the frame in the whole.
    pub frame: u64,
    /// Which of the recordings on end it is of.
    pub run: u32,
    pub interval_ns: u64,
    pub samples: Option<u64>,
    pub busy: Option<u64>,
    /// What a sample stands for: recordings on end may differ in it.
    pub period_ns: Option<u64>,
    pub hardirq_ns: Option<u64>,
    pub sampled_ns: Option<u64>,
    pub poll_ns: Option<u64>,
    /// Whether `poll_ns` is estimated in part.
    pub is_threaded: bool,
    pub packets: Option<u64>,
    pub bytes: Option<u64>,
}

fn period_ns(frequency: u32) -> u64 {
    1_000_000_000 / u64::from(frequency.max(1))
}

/// A driver over a recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    pub cells: Vec<Cell>,
    /// Why its code is not known, as frames say.
    pub unknown: Option<String>,
}

impl Series {
    /// Bytes of all frames that know them.
    pub(super) fn bytes(&self) -> u64 {
        self.cells.iter().filter_map(|cell| cell.bytes).fold(0, u64::saturating_add)
    }

    /// Whether a figure rests on estimates: samples, or times of NAPI threads.
    pub(super) fn is_estimate(&self, figure: Figure) -> bool {
        let polls = || figure == Figure::PollNsPerPacket && self.cells.iter().any(|cell| cell.is_threaded);
        figure.is_sampled() || polls()
    }

    /// What frames add to a figure, without those that do not know it.
    pub(super) fn parts(&self, figure: Figure) -> Vec<Part> {
        self.cells.iter().filter_map(|cell| cell.part(figure)).collect()
    }

    /// Samples in frames that know a figure.
    pub(super) fn samples(&self, figure: Figure) -> u64 {
        let known = self.cells.iter().filter(|cell| figure.of(cell).is_some());
        known.filter_map(|cell| cell.samples).fold(0, u64::saturating_add)
    }
}

impl Cell {
    fn part(&self, figure: Figure) -> Option<Part> {
        let (above, below) = figure.of(self)?;
        Some(Part { above: above as f64, below: below as f64, run: self.run })
    }
}

/// What the frames of one recording add to a figure of two drivers, frame by frame. A driver that is not there adds
/// nothing; where one is there and its figure is not known, the frame is left out for both.
pub(super) fn aligned(a: &Series, b: &Series, figure: Figure) -> (Vec<Part>, Vec<Part>) {
    let mut frames: BTreeMap<u64, [Option<&Cell>; 2]> = BTreeMap::new();
    for (at, series) in [a, b].into_iter().enumerate() {
        for cell in &series.cells {
            frames.entry(cell.frame).or_default()[at] = Some(cell);
        }
    }
    let part = |cell: Option<&Cell>, run| match cell {
        Some(cell) => cell.part(figure),
        None => Some(Part { run, ..Part::default() }),
    };
    let parts = frames.into_values().filter_map(|[a, b]| {
        let run = a.or(b)?.run;
        part(a, run).zip(part(b, run))
    });
    parts.unzip()
}

/// A recording, as much of it as comparing needs.
#[derive(Debug, Clone)]
pub struct Recording {
    /// What it is.
    pub about: About,
    pub(super) drivers: BTreeMap<String, Series>,
    last: Option<(u64, Option<String>)>,
}

impl Recording {
    /// Without frames yet.
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
        Self { about, drivers: BTreeMap::new(), last: None }
    }

    /// Adds the next frame.
    pub fn add(&mut self, frame: &Frame) {
        // Recordings may be joined with cat: each counts its frames from 0.
        let goes_on =
            self.last.as_ref().is_some_and(|(seq, boot)| frame.seq > *seq && frame.boot_id == *boot);
        self.about.runs += u32::from(!goes_on);
        self.last = Some((frame.seq, frame.boot_id.clone()));
        self.tell(frame);

        let mut by_driver: BTreeMap<&str, Vec<&Nic>> = BTreeMap::new();
        for nic in &frame.nics {
            if let Some(driver) = &nic.driver {
                by_driver.entry(driver).or_default().push(nic);
            }
        }
        for (driver, nics) in by_driver {
            let cell = self.cell(frame, driver, &nics);
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
        // As packets are of all CPUs.
        let online = frame.host.cpus_online as usize;
        let are_sampled = frame.host.sampling.is_some_and(|sampling| sampling.cpus as usize == online);
        Cell {
            frame: self.about.frames,
            run: self.about.runs,
            interval_ns: frame.interval_ns,
            samples: cost.and_then(|cost| cost.samples),
            busy: frame.host.sampling.map(|sampling| sampling.busy),
            period_ns: frame.host.sampling.and_then(|sampling| sampling.frequency_per_s).map(period_ns),
            hardirq_ns: sum(&|nic| nic.hardirq_ns),
            sampled_ns: cost.and_then(|cost| cost.sampled_est_ns).filter(|_| are_sampled),
            poll_ns: sum(&|nic| nic.poll_ns.filter(|_| nic.is_timed())),
            is_threaded: nics.iter().any(|nic| nic.threaded_est_ns != Some(0)),
            packets: sum(&|nic| nic.counters.packets()).filter(|_| frame.has_all_cpus()),
            bytes: sum(&|nic| nic.counters.bytes()).filter(|_| frame.has_all_cpus()),
        }
    }
}
