//! What happens between two frames. It changes what the next observation can see, never the frame that
//! was made.

use std::collections::HashSet;

use nicmon_common::NapiKey;

use super::{
    CollectError, Collector,
    assemble::busy_ns,
    observation::Observation,
    reason::{first_line, reason},
};
use crate::host::{Roots, refusals::Refusers};

/// The least time between two rounds of tidying: a little less than a second, because clocks wake a little
/// early or late.
const TIDY_AGAIN_NS: u64 = 900_000_000;

impl Collector {
    /// Samples the CPUs that are online now, with what is newly known of the kernel's functions, and, at
    /// most once per second, forgets NAPIs that no longer exist and follows kernel modules.
    pub(super) fn maintain(&mut self, seen: &Observation) {
        if seen.reading.mono_ns.saturating_sub(self.last_tidied_ns) >= TIDY_AGAIN_NS {
            self.last_tidied_ns = seen.reading.mono_ns;
            self.tidy(seen);
        }
        self.source.follow_symbols(&seen.code.symbols);
        let wanted = self.facts.cpus_to_sample(&self.filter);
        self.sample(&wanted, &busy_ns(seen, &self.filter));
    }

    /// Samples these CPUs and no others.
    pub(super) fn sample(&mut self, wanted: &[u32], busy_ns: &[(u32, u64)]) {
        let sampled = self.source.sample_cpus(wanted, busy_ns, &self.facts.roots);
        self.sampling_problems.follow(sampled);
    }

    fn tidy(&mut self, seen: &Observation) {
        let gone = gone_napis(seen);
        self.source.tidy(&gone, seen.reading.mono_ns);
        if !gone.is_empty() {
            give_back_memory();
        }
        self.symbols.follow_modules();
        if has_unnamed(seen) {
            self.symbols.read_in_background();
        }
    }
}

/// Why CPUs are not sampled.
#[derive(Debug)]
pub(super) struct SamplingProblems {
    /// What might refuse it, as of the start: by now this process has given up what it takes.
    refusers: Refusers,
    /// All of them.
    pub(super) all: Option<String>,
    /// Some of them.
    pub(super) some: Option<String>,
}

impl SamplingProblems {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { refusers: Refusers::read(roots), all: None, some: None }
    }

    /// Takes in the last attempt.
    pub(super) fn follow(&mut self, sampled: Result<Option<CollectError>, CollectError>) {
        let (all, some) = match sampled {
            Ok(some) => (None, some),
            Err(error) => (Some(error), None),
        };
        for (problem, error) in [(&mut self.all, all), (&mut self.some, some)] {
            let is_known = |error: &CollectError| {
                problem.as_deref().is_some_and(|known| known.starts_with(&first_line(error)))
            };
            match error {
                // Looking for the remedy again would cost time in each frame.
                Some(error) if is_known(&error) => {}
                error => *problem = error.map(|error| reason(&error, &self.refusers)),
            }
        }
    }
}

/// NAPIs whose device is certainly gone, and silent NAPIs in a namespace that cannot be entered, whose
/// device may be gone. If such a NAPI still exists, it only gets another slot when it is polled next.
fn gone_napis(seen: &Observation) -> Vec<NapiKey> {
    let polled: HashSet<&NapiKey> = seen.reading.napis.iter().flatten().map(|napi| &napi.key).collect();
    (seen.known_napis.iter())
        // Devices with index 0 are drivers' own dummies, which no namespace lists.
        .filter(|(key, _)| key.1 != 0 && seen.facts.link(**key).is_none())
        .flat_map(|(_, nic)| nic.napis())
        .filter(|key| !polled.contains(key))
        .copied()
        .collect()
}

/// True if a function has no name although modules did not change: the symbols may be older than its
/// code.
fn has_unnamed(seen: &Observation) -> bool {
    let polls = seen.reading.napis.iter().flatten().map(|napi| napi.poll_fn);
    let drops = seen.reading.drops.iter().flatten().map(|drop| drop.location);
    !seen.code.symbols.is_stale && polls.chain(drops).any(|address| seen.code.symbols.name(address).is_none())
}

/// Gives freed memory back to the kernel. Reading BTF takes some 30 MB for a moment, and so may a large
/// topology; glibc would keep much of it.
#[expect(unsafe_code, reason = "malloc_trim is the only way to ask glibc for this")]
pub(super) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, feature = "bpf"))]
mod tests {
    use super::*;
    use crate::counters::bpf::ProbeError;

    #[test]
    fn what_is_not_sampled_is_said_until_it_is() {
        let source = || Box::new(std::io::Error::from_raw_os_error(libc::EMFILE));
        let some = || ProbeError::SomeSamples { cpus: "CPUs 3-5 are".to_owned(), source: source() }.into();
        let mut problems = SamplingProblems::new(&Roots::default());
        for _ in 0..2 {
            problems.follow(Ok(Some(some())));
            let text = problems.some.clone().expect("a problem");
            assert!(
                text.starts_with("CPUs 3-5 are not sampled: Too many open files (os error 24); "),
                "{text}"
            );
            assert!(text.ends_with("ulimit -n 65536") && problems.all.is_none(), "{text}");
        }
        problems.follow(Err(ProbeError::Samples(source()).into()));
        let text = problems.all.clone().expect("a problem");
        assert!(text.starts_with("cannot sample the CPUs: ") && text.ends_with("ulimit -n 65536"), "{text}");
        assert!(problems.some.is_none());
        problems.follow(Ok(None));
        assert!(problems.all.is_none() && problems.some.is_none());
    }
}
