//! What frames say could not be read, told once.

use std::collections::HashSet;

use super::output::print_message;
use crate::frame::Host;

/// The problems that were told already, and those that have to wait.
#[derive(Debug, Default)]
pub(super) struct Problems {
    seen: HashSet<String>,
    kept: Vec<String>,
}

impl Problems {
    /// Prints what is new on standard error.
    pub(super) fn print(&mut self, host: &Host) {
        for problem in self.untold(host) {
            print_message(&problem);
        }
    }

    /// Keeps what is new until it can be told.
    pub(super) fn keep(&mut self, host: &Host) {
        let untold = self.untold(host);
        self.kept.extend(untold);
    }

    /// Prints what was kept.
    pub(super) fn print_kept(self) {
        self.kept.iter().for_each(|problem| print_message(problem));
    }

    /// The problems of a frame that no earlier frame had.
    fn untold(&mut self, host: &Host) -> Vec<String> {
        // With samples, the reason is about names: the figures are there.
        let unsampled = host.drivers_reason.as_ref().filter(|_| host.sampling.is_none());
        let unsampled = unsampled.map(|reason| format!("driver costs are unknown: {reason}"));
        let all = unsampled.into_iter().chain(host.problems.iter().cloned());
        all.filter(|problem| self.seen.insert(problem.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::Sampling, stream::Reader};

    #[test]
    fn each_problem_is_told_once() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-cpu1.ndjson");
        let mut frames = Reader::open(path.as_ref()).unwrap();
        let mut host = frames.next().unwrap().unwrap().host;
        host.drivers_reason = Some("kernel symbols are hidden".to_owned());
        host.sampling = Some(Sampling {
            busy_expected: None,
            frequency_per_s: Some(99),
            cpus: 2,
            samples: 0,
            idle: 0,
            user: 0,
            busy: 0,
            expected: None,
            lost: 0,
        });
        let mut problems = Problems::default();
        assert!(problems.untold(&host).is_empty());
        host.problems = vec!["cannot read a".to_owned()];
        assert_eq!(problems.untold(&host), ["cannot read a"]);
        host.problems.push("cannot read b".to_owned());
        host.sampling = None;
        let told = problems.untold(&host);
        assert_eq!(told, ["driver costs are unknown: kernel symbols are hidden", "cannot read b"]);
        assert!(problems.untold(&host).is_empty());
    }

    #[test]
    fn problems_of_all_frames_are_kept() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/demo-cpu1.ndjson");
        let mut host = Reader::open(path.as_ref()).unwrap().next().unwrap().unwrap().host;
        host.drivers_reason = None;
        let mut problems = Problems::default();
        for of_frame in [&["a"][..], &["a", "b"], &[]] {
            host.problems = of_frame.iter().map(|&problem| problem.to_owned()).collect();
            problems.keep(&host);
        }
        assert_eq!(problems.kept, ["a", "b"]);
    }
}
