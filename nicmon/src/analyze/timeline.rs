//! When in a recording a finding stood.

use std::{ops::Range, time::SystemTime};

use crate::{frame::Finding, stream::since_1970};

/// The time from the start of a recording to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeline {
    start_ns: u64,
    end_ns: u64,
}

impl Timeline {
    /// From the start in nanoseconds since 1970 to the end as a frame writes it; `None` if either is unknown,
    /// or the clock was set back.
    pub(super) fn new(start_ns: Option<u64>, end: &str) -> Option<Self> {
        let end_ns = read(end)?;
        start_ns.filter(|start_ns| *start_ns < end_ns).map(|start_ns| Self { start_ns, end_ns })
    }

    /// Start and end of a finding, from 0 to 1; `None` if it was at another time, as in a joined recording
    /// of another machine.
    pub(super) fn place(self, finding: &Finding) -> Option<Range<f64>> {
        let since_ns = read(&finding.since)?;
        let until_ns = since_ns.saturating_add(finding.stood_ns.unwrap_or(0));
        let all_ns = self.end_ns - self.start_ns;
        let at = |ns: u64| (ns.saturating_sub(self.start_ns) as f64 / all_ns as f64).min(1.0);
        (since_ns >= self.start_ns && since_ns <= self.end_ns).then(|| at(since_ns)..at(until_ns))
    }
}

fn read(time: &str) -> Option<u64> {
    humantime::parse_rfc3339(time).ok().and_then(|time: SystemTime| since_1970(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FindingId, Severity, Subject};

    fn finding(since: &str, stood_s: u64) -> Finding {
        Finding {
            id: FindingId::CpuShared,
            severity: Severity::Info,
            cause: None,
            contributing: Vec::new(),
            subject: Subject::default(),
            since: since.to_owned(),
            stood_ns: Some(stood_s * 1_000_000_000),
            fades: false,
            evidence: Vec::new(),
            why: String::new(),
            caveats: Vec::new(),
        }
    }

    #[test]
    fn a_finding_has_its_place() {
        let start_ns = read("2026-11-27T12:00:00Z");
        let timeline = Timeline::new(start_ns, "2026-11-27T12:01:40Z").unwrap();
        let place = |since: &str, stood_s| timeline.place(&finding(since, stood_s));
        assert_eq!(place("2026-11-27T12:00:10Z", 20), Some(0.1..0.3));
        assert_eq!(place("2026-11-27T12:01:30Z", 600), Some(0.9..1.0));
        assert_eq!(place("2026-11-27T11:00:00Z", 20), None);
        assert_eq!(place("yesterday", 20), None);
    }

    #[test]
    fn a_clock_that_was_set_back_gives_none() {
        let start_ns = read("2026-11-27T12:00:00Z");
        assert!(Timeline::new(start_ns, "2026-11-27T12:00:00Z").is_none());
        assert!(Timeline::new(start_ns, "2026-11-27T11:00:00Z").is_none());
        assert!(Timeline::new(None, "2026-11-27T12:00:00Z").is_none());
    }
}
