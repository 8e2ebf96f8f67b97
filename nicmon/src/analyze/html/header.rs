//! The head of the page: which machine, when, and how it was measured.

use std::{collections::BTreeSet, fmt::Write as _};

use super::text::escape;
use crate::{
    frame::{Frame, SampleEvent, Source},
    present::text::{plural, seconds},
};

/// Most names listed. A recording has one machine, unless several recordings were joined.
const NAMES: usize = 8;

#[derive(Default)]
pub(super) struct Header {
    hosts: BTreeSet<String>,
    kernels: BTreeSet<String>,
    most_cpus: u32,
    from: Option<String>,
    to: String,
    frames: u64,
    interval_ns: u64,
    lost_samples: u64,
    events: BTreeSet<&'static str>,
    has_counts_only: bool,
}

impl Header {
    pub(super) fn add(&mut self, frame: &Frame) {
        let host = &frame.host;
        let add = |names: &mut BTreeSet<String>, name: &String| {
            if names.len() < NAMES && !names.contains(name) {
                names.insert(name.clone());
            }
        };
        add(&mut self.hosts, &host.hostname);
        add(&mut self.kernels, &host.kernel);
        self.most_cpus = self.most_cpus.max(host.cpus_online);
        self.from.get_or_insert_with(|| frame.time.clone());
        self.to.clone_from(&frame.time);
        self.frames += 1;
        self.interval_ns = self.interval_ns.saturating_add(frame.interval_ns);
        self.lost_samples =
            self.lost_samples.saturating_add(host.sampling.map_or(0, |sampling| sampling.lost));
        self.events.insert(match host.sample_event {
            Some(SampleEvent::Cycles) => "cycles",
            Some(SampleEvent::CpuClock) => "cpu-clock (a timer, which cannot see code with interrupts off)",
            None => "not sampled",
        });
        self.has_counts_only |= host.source == Source::Proc;
    }

    pub(super) fn title(&self) -> String {
        format!("nicmon: {}", escape(&list(&self.hosts)))
    }

    pub(super) fn section(&self) -> String {
        let events: Vec<&str> = self.events.iter().copied().collect();
        let facts = [
            ("Kernel", list(&self.kernels)),
            ("CPUs", self.most_cpus.to_string()),
            ("First frame", self.from.clone().unwrap_or_default()),
            ("Last frame", self.to.clone()),
            ("Measured", format!("{} s in {}", seconds(self.interval_ns), plural(self.frames, "frame"))),
            ("Sampled by", events.join(", ")),
        ];
        let mut html = format!("<h1>{}</h1>\n<dl>\n", escape(&list(&self.hosts)));
        for (name, value) in facts {
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&value));
        }
        html += "</dl>\n";
        if self.has_counts_only {
            html += "<p class=\"note\">Some frames have counts only. Their times are unknown.</p>\n";
        }
        if self.lost_samples > 0 {
            let _ = writeln!(
                html,
                "<p class=\"note\">{} samples were lost. Shares are of the remaining samples.</p>",
                self.lost_samples
            );
        }
        html
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
