//! How two recordings differ apart from what is compared, and what that means for the figures.

use std::collections::BTreeSet;

use super::model::{About, Setting};
use crate::frame::{SampleEvent, Source};

/// One sentence per difference.
pub(super) fn between(a: &About, b: &About) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, of: &dyn Fn(&Setting) -> String, so: &str| {
        let (a, b) = (all(a, of), all(b, of));
        if a != b || a.len() > 1 {
            found.push(format!("{what} differ ({} and {}){so}", join(&a), join(&b)));
        }
    };
    differ("host names", &|one| one.hostname.clone(), "");
    differ("kernels", &|one| one.kernel.clone(), "");
    differ(
        "numbers of CPUs",
        &|one| one.cpus_online.to_string(),
        ": the share of busy samples also depends on other work",
    );
    differ(
        "kinds of kernel",
        &|one| if one.preempt_rt { "PREEMPT_RT" } else { "without PREEMPT_RT" }.to_owned(),
        ": with PREEMPT_RT, poll times include preemption",
    );
    differ(
        "sampling events",
        &|one| event(one.sample_event).to_owned(),
        ": a timer cannot see code with interrupts off, so figures that rest on samples are not compared",
    );
    differ(
        "sources",
        &|one| match one.source {
            Source::Bpf => "eBPF programs".to_owned(),
            Source::Proc => "counts only".to_owned(),
        },
        ": without the eBPF programs, times are unknown",
    );
    for about in [a, b] {
        if about.lost_samples > 0 {
            found.push(format!(
                "{} lost {} samples: its shares are of the remaining samples",
                about.name, about.lost_samples
            ));
        }
    }
    found.dedup();
    found
}

/// Whether the same event triggered the samples of both.
pub(super) fn sampled_alike(a: &About, b: &About) -> bool {
    let event = |one: &Setting| event(one.sample_event).to_owned();
    let (a, b) = (all(a, &event), all(b, &event));
    a == b && a.len() == 1
}

fn all(about: &About, of: &dyn Fn(&Setting) -> String) -> BTreeSet<String> {
    about.settings.iter().map(of).collect()
}

fn join(all: &BTreeSet<String>) -> String {
    all.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn event(event: Option<SampleEvent>) -> &'static str {
    event.map_or("none", SampleEvent::label)
}
