//! `nics[]`: interfaces with their counters and what they cost, by CPU and by NAPI.

use std::collections::{BTreeMap, HashMap};

use super::{
    facts::{Facts, NicKey},
    filter::Filter,
    napis::{self, NapiFacts},
    source::Source,
};
use crate::{
    counters::{NapiActivity, PollActivity, Reading},
    frame::{Irq, Napi, NapiCpu, NapiKind, NapiMode, Nic, NicCounters, NicCpu, NicDrops, gained, pct_of},
    host::links::LinkStats,
    symbols::Symbols,
};

/// How the per-CPU backlog is called where interfaces have their names.
pub(super) const BACKLOG: &str = "(backlog)";

/// Its place among interfaces; no namespace has inode 0.
const BACKLOG_KEY: NicKey = (0, 0);

/// What a frame's NICs are made of.
pub(super) struct Nics<'a> {
    pub(super) reading: &'a Reading,
    pub(super) facts: &'a Facts,
    /// CPU time of NAPI threads by pid.
    pub(super) thread_ns: &'a HashMap<u32, u64>,
    pub(super) filter: &'a Filter,
    pub(super) interval_ns: u64,
}

impl Nics<'_> {
    /// All interfaces of the own namespace, those of others that have a NAPI, and the backlog if it was polled; worst
    /// load first.
    pub(super) fn assemble(&self, source: &Source, irqs: &[Irq], symbols: &mut Symbols) -> Vec<Nic> {
        // The name that the kernel program saw stands in where the interface cannot be looked up.
        let mut names: BTreeMap<NicKey, String> = BTreeMap::new();
        for (key, name) in source.known_napis() {
            names.insert((key.netns, key.ifindex), name);
        }
        let mut napis: HashMap<NicKey, Vec<&NapiActivity>> = HashMap::new();
        for napi in self.reading.napis.iter().flatten() {
            let key = (napi.key.netns, napi.key.ifindex);
            napis.entry(key).or_default().push(napi);
            names.entry(key).or_insert_with(|| napi.name.clone());
        }
        let own = self.facts.own_netns();
        for link in self.facts.links.now.get(&own).iter().flat_map(|namespace| &namespace.links) {
            names.entry((own, link.link.ifindex)).or_default();
        }

        let mut nics: Vec<Nic> = names
            .into_iter()
            .filter_map(|(key, kernel_name)| {
                let link = self.facts.link(key);
                let polled = napis.get(&key).map(Vec::as_slice).unwrap_or_default();
                // A device that is gone is shown once more if it was polled until then.
                if link.is_none() && polled.is_empty() {
                    return None;
                }
                let name = link.map_or(kernel_name, |link| link.link.name.to_string_lossy().into_owned());
                let counted = self.reading.napis.is_some();
                let napis =
                    counted.then(|| polled.iter().flat_map(|napi| self.napi(napi, symbols)).collect());
                // What is virtual has none, whatever an interrupt's name may look like.
                let has_irqs = key.0 == own && link.is_some_and(|link| link.link.kind.is_none());
                let irqs = if has_irqs { irqs } else { &[] };
                Some(self.nic(key, name, napis, irqs))
            })
            .collect();
        nics.extend(self.backlog());
        nics.sort_by_cached_key(|nic| {
            let ns = nic.poll_ns.unwrap_or(0) + nic.hardirq_ns.unwrap_or(0);
            (std::cmp::Reverse(ns), nic.netns != Some(own), nic.name.clone(), nic.ifindex)
        });
        nics
    }

    fn napi(&self, napi: &NapiActivity, symbols: &mut Symbols) -> Vec<Napi> {
        let poll_fn = symbols.name(napi.poll_fn).map(|name| name.to_string());
        let queues =
            self.facts.links.now.get(&napi.key.netns).and_then(|namespace| namespace.queues.as_deref());
        let (queue, kind) = napis::queue_and_kind(
            napi.key.napi_id,
            napi.key.ifindex,
            queues.unwrap_or_default(),
            poll_fn.as_deref(),
        );
        let facts = NapiFacts { napi_id: napi.key.napi_id, poll_fn, queue, kind };
        napis::by_mode(&facts, &napi.cpus, self.thread_ns, self.filter)
    }

    /// The per-CPU backlog as a NIC; absent where it was not polled.
    fn backlog(&self) -> Option<Nic> {
        let cpus: Vec<(u32, PollActivity)> = self
            .reading
            .cpus
            .iter()
            .enumerate()
            .filter(|(_, cpu)| {
                cpu.backlog != PollActivity { thread_pid: cpu.backlog.thread_pid, ..Default::default() }
            })
            .filter_map(|(number, cpu)| Some((u32::try_from(number).ok()?, cpu.backlog)))
            .collect();
        let facts = NapiFacts {
            napi_id: 0,
            poll_fn: Some("process_backlog".to_owned()),
            queue: None,
            kind: Some(NapiKind::Backlog),
        };
        let napis = napis::by_mode(&facts, &cpus, self.thread_ns, self.filter);
        (!napis.is_empty())
            .then(|| Nic { netns: None, ..self.nic(BACKLOG_KEY, BACKLOG.to_owned(), Some(napis), &[]) })
    }

    fn nic(&self, key: NicKey, name: String, napis: Option<Vec<Napi>>, irqs: &[Irq]) -> Nic {
        let cpus = match &napis {
            Some(napis) => self.cpus(key, &name, napis, irqs),
            None => self.unknown_cpus(),
        };
        let threaded = |napis: &[Napi]| -> Option<u64> {
            let threaded = napis.iter().filter(|napi| napi.mode == NapiMode::Threaded);
            threaded.flat_map(|napi| &napi.cpus).map(|cpu| cpu.poll_ns).sum()
        };
        let timed = napis.is_some();
        Nic {
            name,
            ifindex: key.1,
            netns: Some(key.0),
            driver: self.facts.link(key).and_then(|link| link.driver.as_deref().map(str::to_owned)),
            counters: self.counters(key),
            counters_gap_ns: None,
            poll_ns: napis.as_deref().and_then(|napis| poll_ns(napis, |_| true)),
            threaded_est_ns: napis.as_deref().and_then(threaded),
            hardirq_ns: (timed && self.knows_irqs(key))
                .then(|| cpus.iter().filter_map(|cpu| cpu.hardirq_ns).sum()),
            driver_est_ns: None,
            driver_est_split: false,
            stack_est_ns: None,
            stages: None,
            sampled_gap_ns: None,
            cpus,
            napis,
        }
    }

    /// Every online CPU that is shown, where polls are not counted.
    fn unknown_cpus(&self) -> Vec<NicCpu> {
        let shown =
            self.facts.stat.now.iter().map(|ticks| ticks.cpu).filter(|cpu| self.filter.shows_cpu(*cpu));
        let unknown = |cpu| NicCpu {
            cpu,
            poll_ns: None,
            hardirq_ns: None,
            polls: None,
            work: None,
            repolls: None,
            load_pct: None,
        };
        shown.map(unknown).collect()
    }

    /// What the NIC did on each CPU where it did anything.
    fn cpus(&self, key: NicKey, name: &str, napis: &[Napi], irqs: &[Irq]) -> Vec<NicCpu> {
        let mut cpus: BTreeMap<u32, NicCpu> = BTreeMap::new();
        let hardirq_ns = self.knows_irqs(key).then_some(0);
        let entry = |cpu: u32| NicCpu {
            cpu,
            poll_ns: Some(0),
            hardirq_ns,
            polls: Some(0),
            work: Some(0),
            repolls: Some(0),
            load_pct: None,
        };
        for napi in napis {
            for row in &napi.cpus {
                let cpu = cpus.entry(row.cpu).or_insert_with(|| entry(row.cpu));
                for (sum, more) in
                    [(&mut cpu.polls, row.polls), (&mut cpu.work, row.work), (&mut cpu.repolls, row.repolls)]
                {
                    *sum = sum.map(|sum| sum + more);
                }
            }
        }
        for cpu in cpus.values_mut() {
            cpu.poll_ns = poll_ns(napis, |row| row.cpu == cpu.cpu);
        }
        for irq in irqs.iter().filter(|irq| irq.nic.as_deref() == Some(name)) {
            for row in &irq.cpus {
                let sum = &mut cpus.entry(row.cpu).or_insert_with(|| entry(row.cpu)).hardirq_ns;
                *sum = sum.zip(row.ns).map(|(sum, ns)| sum + ns);
            }
        }
        let mut cpus: Vec<NicCpu> = cpus.into_values().collect();
        for cpu in &mut cpus {
            let known_ns = |poll_ns| poll_ns + cpu.hardirq_ns.unwrap_or(0);
            cpu.load_pct = cpu.poll_ns.map(|poll_ns| pct_of(known_ns(poll_ns), self.interval_ns));
        }
        cpus
    }

    /// True if all interrupts of the NIC are known: sysfs shows those of the own namespace, and virtual devices have
    /// none.
    fn knows_irqs(&self, key: NicKey) -> bool {
        let is_told = || key.0 == self.facts.own_netns() && self.facts.nic_irqs.tells_all_of(key.1);
        key == BACKLOG_KEY || self.facts.link(key).is_some_and(|link| link.link.kind.is_some()) || is_told()
    }

    fn counters(&self, key: NicKey) -> NicCounters {
        let now = self.facts.link(key).and_then(|link| link.link.stats);
        let before = self.facts.link_before(key).and_then(|link| link.link.stats);
        let Some((now, before)) = now.zip(before) else { return NicCounters::default() };
        let since = |field: fn(&LinkStats) -> u64| gained(field(&now), field(&before));
        NicCounters {
            rx_packets: since(|stats| stats.rx_packets),
            rx_bytes: since(|stats| stats.rx_bytes),
            tx_packets: since(|stats| stats.tx_packets),
            tx_bytes: since(|stats| stats.tx_bytes),
            drops: nic_drops(since),
        }
    }
}

/// Time of the polls on the chosen CPUs. Busy polls have no time: where there were no others it is unknown.
fn poll_ns(napis: &[Napi], chosen: impl Fn(&NapiCpu) -> bool) -> Option<u64> {
    let rows = || {
        let rows = napis.iter().flat_map(|napi| napi.cpus.iter().map(|row| (napi.mode, row)));
        rows.filter(|(_, row)| chosen(row))
    };
    let timed = || rows().filter(|(mode, _)| *mode != NapiMode::Busy);
    if timed().next().is_none() && rows().next().is_some() {
        return None;
    }
    timed().map(|(_, row)| row.poll_ns).sum()
}

fn nic_drops(since: impl Fn(fn(&LinkStats) -> u64) -> Option<u64>) -> Option<NicDrops> {
    Some(NicDrops {
        rx_dropped: since(|stats| stats.rx_dropped)?,
        rx_missed: since(|stats| stats.rx_missed)?,
        rx_fifo: since(|stats| stats.rx_fifo)?,
        rx_crc: since(|stats| stats.rx_crc)?,
        rx_nohandler: since(|stats| stats.rx_nohandler)?,
        tx_dropped: since(|stats| stats.tx_dropped)?,
    })
}
