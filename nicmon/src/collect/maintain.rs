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

/// The least time between two rounds of tidying: a little less than a second, because clocks wake a little
/// early or late.
const TIDY_AGAIN_NS: u64 = 900_000_000;

impl Collector {
    /// Samples the CPUs that are online now and, at most once per second, forgets NAPIs that no longer exist
    /// and follows kernel modules.
    pub(super) fn maintain(&mut self, seen: &Observation) {
        if seen.reading.mono_ns.saturating_sub(self.last_tidied_ns) >= TIDY_AGAIN_NS {
            self.last_tidied_ns = seen.reading.mono_ns;
            self.tidy(seen);
        }
        let wanted = self.facts.cpus_to_sample(&self.filter);
        self.sample(&wanted, &busy_ns(seen, &self.filter));
    }

    /// Samples these CPUs and no others.
    pub(super) fn sample(&mut self, wanted: &[u32], busy_ns: &[(u32, u64)]) {
        let roots = &self.facts.roots;
        let is_known = |error: &CollectError| {
            let known = self.sampling_problem.as_deref();
            known.is_some_and(|known| known.ends_with(&first_line(error)))
        };
        match self.source.sample_cpus(wanted, busy_ns, roots) {
            Ok(()) => self.sampling_problem = None,
            // Looking for the cause again would cost time in each frame.
            Err(error) if is_known(&error) => {}
            Err(error) => self.sampling_problem = Some(reason(&error, roots)),
        }
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
