//! Reads everything that a frame needs, in the order that its figures depend on.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use super::{
    CollectError, Collector, idle_task,
    known::KnownNics,
    observation::{Code, DriverCode, HostFacts, Observation, OwnUse, nic_keys},
    own_parts::Parts,
};
use crate::{
    counters::{Reading, SeenInWindows},
    frame::{CpuFreq, topology::Topology},
    host::{
        self,
        cpu_freq::cpu_freq,
        own::{anonymous_bytes, thread_cpu_ns},
    },
    symbols::Snapshot,
};

impl Collector {
    /// Reads what happened since the previous observation.
    ///
    /// 1. Requeues, and interfaces with their counters, together with all other facts. They need RTNL,
    ///    which others may hold for long. Because they are read first, such a wait makes this interval
    ///    longer, and its rates stay right.
    /// 2. The time, nicmon's own CPU time, and the counters. The interval ends here; what this frame
    ///    still costs belongs to the next one.
    /// 3. What depends on the counters: which interrupts belong to which NIC, and the CPU time of threads
    ///    that polled.
    /// 4. Names, as far as they are known by now, and the setup of the network if it is due.
    pub(super) fn observe(&mut self) -> Result<Observation, CollectError> {
        self.own_parts.start(thread_cpu_ns());
        let tx_requeues = self.tx_requeues();

        self.source.look_for_napis();
        self.facts.read(&self.source.known_napis())?;

        let time = SystemTime::now();
        let own_cpu_ns = host::own::cpu_ns() + self.privileges.broker_cpu_ns();
        let own_parts = self.own_parts.end_of_interval(thread_cpu_ns());
        let mut reading = self.source.read(&self.facts)?;
        let known_napis = self.source.known_napis();
        let cpu_ns = own_cpu_ns.saturating_sub(std::mem::replace(&mut self.last_own_cpu_ns, own_cpu_ns));
        let last_mono_ns = std::mem::replace(&mut self.last_mono_ns, reading.mono_ns);

        self.facts.follow_irqs(&reading);
        let thread_ns = self.threads.read(&self.facts.roots.proc, &reading);
        let facts = self.facts.host_facts();

        let have_changed = self.facts.links_changed();
        let dummies = &mut self.dummy_drivers;
        let driver_modules =
            dummies.find(&self.facts.roots, &known_napis, &facts.now, facts.own_netns, have_changed);

        let symbols = self.symbols.snapshot();
        let drivers = self.find_drivers(&symbols, &mut reading, &facts, &known_napis);
        let udp_readers = self.udp_readers.find(&self.privileges, &self.facts.roots.proc, &facts.now.links);
        let seen = Observation {
            seq: self.next_seq(),
            time: humantime::format_rfc3339_micros(time).to_string(),
            interval_ns: reading.mono_ns.saturating_sub(last_mono_ns),
            asked: self.asked,
            source: self.source.kind(),
            source_reason: self.source_reason.clone(),
            sampling_problem: self.sampling_problems.all.clone(),
            unsampled: self.sampling_problems.some.clone(),
            sample_limit_per_s: self.sample_limit_per_s(),
            accounting: self.accounting,
            reading,
            facts,
            thread_ns,
            known_napis,
            driver_modules,
            code: Code { symbols, drivers },
            cpu_freq: self.freq_of_saturated_cpus(),
            tx_requeues,
            flows: self.flow_windows.follow(&self.wanted.flows_of),
            flow_problem: self.flow_windows.problem(),
            udp_readers,
            topology: self.due_topology(),
            own: self.own_use(cpu_ns, own_parts),
        };
        self.own_parts.end_of_reading(thread_cpu_ns());
        Ok(seen)
    }

    /// The code of drivers, if anything is sampled and the symbols are known. Samples get the context that
    /// the symbols tell.
    fn find_drivers(
        &mut self,
        symbols: &Snapshot,
        reading: &mut Reading,
        facts: &HostFacts,
        known_napis: &KnownNics,
    ) -> Option<Arc<DriverCode>> {
        let kallsyms = symbols.current()?;
        let nics = nic_keys(reading, facts, known_napis);
        let samples = reading.samples.as_mut()?;
        self.softirq_loop.find(kallsyms, samples);
        let code = self.driver_code.find(kallsyms, &facts.now, &nics, known_napis);
        if reading.windows.as_ref().is_some_and(SeenInWindows::counts_only) {
            idle_task::has_no_network_code(kallsyms, &code.text, samples);
        }
        Some(code)
    }

    fn due_topology(&mut self) -> Option<Topology> {
        let have_changed = self.facts.links_changed();
        self.topology.next(have_changed, || self.facts.namespaces(), &self.filter)
    }

    fn next_seq(&mut self) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        seq
    }

    fn own_use(&mut self, cpu_ns: u64, parts: Parts) -> OwnUse {
        let proc = &self.facts.roots.proc;
        let broker = self.privileges.broker_pid().and_then(|pid| anonymous_bytes(proc, pid).ok());
        let rss_bytes = host::own::resident_bytes(proc).unwrap_or(0) + broker.unwrap_or(0);
        OwnUse {
            cpu_ns,
            read_ns: Some(parts.read_ns),
            make_ns: Some(parts.make_ns),
            rss_bytes,
            nr_throttled: self.own_quota.used_up(proc),
        }
    }

    fn freq_of_saturated_cpus(&self) -> BTreeMap<u32, CpuFreq> {
        let sys = &self.facts.roots.sys;
        self.wanted.freq_of.iter().filter_map(|cpu| Some((*cpu, cpu_freq(sys, *cpu)?))).collect()
    }

    /// Of NICs in nicmon's own namespace.
    fn tx_requeues(&mut self) -> BTreeMap<u32, u64> {
        let own = self.facts.own_netns();
        let nics = self.wanted.requeues_of.iter().filter(|(netns, _)| *netns == own);
        self.requeues.since_last(nics.map(|(_, ifindex)| *ifindex))
    }

    /// The kernel's limit, if the CPUs are to be sampled.
    fn sample_limit_per_s(&self) -> Option<u32> {
        let roots = &self.facts.roots;
        self.asked.sampling.then(|| host::sysctls::sample_limit_per_s(&roots.proc)).flatten()
    }
}
