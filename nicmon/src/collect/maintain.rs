//! What is to do between two frames. It changes what the next observation can see, never the frame that was made.

use std::collections::HashSet;

use nicmon_common::NapiKey;

use super::{CollectError, Collector, assemble::busy_ns, observation::Observation};

impl Collector {
    /// Forgets NAPIs that are gone, follows kernel modules, and samples the CPUs that are there now.
    pub(super) fn maintain(&mut self, seen: &Observation) {
        let gone = gone_napis(seen);
        self.source.tidy(&gone, seen.reading.mono_ns);
        if !gone.is_empty() {
            give_back_memory();
        }
        self.symbols.follow_modules();
        if has_unnamed(seen) {
            self.symbols.read_in_background();
        }
        let wanted = self.facts.cpus_to_sample(&self.filter);
        let attached = self.source.sample_cpus(&wanted, &busy_ns(seen, &self.filter));
        self.sampling_problem = attached.err().map(|error| first_line(&error));
    }
}

/// NAPIs whose device is gone for sure, or that were silent in a namespace that cannot be entered, where it may be gone. A
/// NAPI that lives on only gets another slot when it is polled next.
fn gone_napis(seen: &Observation) -> Vec<NapiKey> {
    let polled: HashSet<&NapiKey> = seen.reading.napis.iter().flatten().map(|napi| &napi.key).collect();
    let known = seen.known_napis.iter();
    known
        // Devices of index 0 are drivers' own dummies, in no namespace's list.
        .filter(|napi| napi.key.ifindex != 0 && !polled.contains(&napi.key))
        .filter(|napi| seen.facts.link(napi.nic()).is_none())
        .map(|napi| napi.key)
        .collect()
}

/// True if a function has no name though modules did not change: symbols may be older than its code.
fn has_unnamed(seen: &Observation) -> bool {
    let polls = seen.reading.napis.iter().flatten().map(|napi| napi.poll_fn);
    let drops = seen.reading.drops.iter().flatten().map(|drop| drop.location);
    !seen.code.symbols.is_stale && polls.chain(drops).any(|address| seen.code.symbols.name(address).is_none())
}

/// `nicmon doctor` shows what errors say beyond their first line.
pub(super) fn first_line(error: &CollectError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Gives freed memory back to the kernel. Reading BTF takes some 30 MB for a moment, and a large topology some: glibc
/// would keep much of it.
#[expect(unsafe_code, reason = "the one way to tell the allocator")]
pub(super) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
