//! The cost of a driver: estimates with their 95 % intervals.

use crate::frame::{Driver, Frame, Gap, pct_of};

/// An estimate, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) bounds: [f64; 2],
}

/// The cost of a driver; `None` is unknown.
pub(super) struct Cost {
    pub(super) cpu_pct: Option<Estimate>,
    pub(super) ns_per_packet: Option<Estimate>,
    pub(super) cpu_s_per_gb: Option<Estimate>,
}

/// The time and the busy samples that a driver's figures cover. Samples taken at different rates carry
/// different weights, so no share can be formed and `busy` is 0.
pub(super) fn known_time(frame: &Frame, driver: &Driver) -> Gap {
    let alike = frame.host.sampling.filter(|sampling| sampling.frequency_per_s.is_some());
    let busy = alike.map_or(0, |sampling| sampling.busy);
    let gaps = [frame.host.drivers_gap, driver.gap.filter(|_| driver.samples.is_some())];
    gaps.into_iter().flatten().fold(Gap { ns: frame.interval_ns, busy }, |left, gap| Gap {
        ns: left.ns.saturating_sub(gap.ns),
        busy: left.busy.saturating_sub(gap.busy),
    })
}

/// Only the sampled part is uncertain: the interval of its share gives the interval of its time.
pub(super) fn cost(frame: &Frame, driver: &Driver) -> Cost {
    let bounds_ns = bounds_ns(frame, driver);
    let known_ns = known_time(frame, driver).ns;
    let cpu_pct = driver
        .cost_cpu_pct
        .zip(bounds_ns)
        .map(|(value, bounds)| Estimate { value, bounds: bounds.map(|ns| ns * pct_of(1, known_ns)) });
    // Packets may be known for only a part of the time. Samples of that part are as uncertain as the others.
    let part = driver
        .counted_est_ns
        .zip(driver.cost_ns())
        .map(|(counted, all)| if all > 0 { counted as f64 / all as f64 } else { 1.0 });
    let per = |value: Option<f64>, count: Option<u64>| {
        let ((value, count), (bounds, part)) = value.zip(count).zip(bounds_ns.zip(part))?;
        Some(Estimate { value, bounds: bounds.map(|ns| ns * part / count as f64) })
    };
    Cost {
        cpu_pct,
        ns_per_packet: per(driver.ns_per_packet, driver.packets),
        cpu_s_per_gb: per(driver.cpu_s_per_gb, driver.bytes),
    }
}

/// The interval of exact and sampled time together, in nanoseconds.
fn bounds_ns(frame: &Frame, driver: &Driver) -> Option<[f64; 2]> {
    let exact = driver.hardirq_ns? as f64;
    let share = driver.busy_share_ci_pct?;
    let frequency = frame.host.sampling?.frequency_per_s?.max(1);
    // With `cycles`, the time that a sample stands for follows from the estimate.
    let ns_per_sample = match driver.samples.zip(driver.sampled_est_ns) {
        Some((samples, ns)) if samples > 0 => ns as f64 / samples as f64,
        _ => 1e9 / f64::from(frequency),
    };
    let busy_ns = known_time(frame, driver).busy as f64 * ns_per_sample;
    Some(share.map(|pct| exact + pct / 100.0 * busy_ns))
}
