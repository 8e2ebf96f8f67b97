//! `nics[]`: interfaces with their counters and their cost, by CPU and by NAPI.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    super::observation::NicKey,
    Filter, Observation,
    dummies::{Dummies, Home},
    histograms::PollHistograms,
    napis::{self, NapiFacts, ThreadTimes},
};
use crate::{
    counters::{NapiActivity, PollActivity},
    frame::{
        Flows, Irq, Napi, NapiCpu, NapiKind, NapiMode, Nic, NicCounters, NicCpu, NicDrops, gained, pct_of,
    },
    host::links::LinkStats,
};

/// The per-CPU backlog's name in the list of interfaces.
pub(in crate::collect) const BACKLOG: &str = "(backlog)";

/// Its key in that list; no namespace has inode 0.
const BACKLOG_KEY: NicKey = (0, 0);

/// All interfaces in nicmon's own namespace, those in others that have a NAPI, and the backlog if it was
/// polled. The highest load comes first. Estimates from samples are not included yet.
pub(super) fn nics(seen: &Observation, filter: &Filter, irqs: &[Irq], dummies: &Dummies) -> Vec<Nic> {
    Assembly { seen, filter, irqs, dummies, histograms: PollHistograms::of(seen, filter) }.nics()
}

struct Assembly<'a> {
    seen: &'a Observation,
    filter: &'a Filter,
    irqs: &'a [Irq],
    dummies: &'a Dummies,
    histograms: PollHistograms<'a>,
}

impl Assembly<'_> {
    fn nics(&self) -> Vec<Nic> {
        let Observation { facts, reading, .. } = self.seen;
        let mut napis: HashMap<Home, Vec<&NapiActivity>> = HashMap::new();
        for napi in reading.napis.iter().flatten() {
            if let Some(home) = self.dummies.home(&napi.key) {
                napis.entry(home).or_default().push(napi);
            }
        }
        let mut nics: Vec<Nic> = (self.seen.nic_keys().into_iter())
            .filter_map(|key| {
                let link = facts.link(key);
                let polled = napis.get(&Home::Nic(key)).map(Vec::as_slice).unwrap_or_default();
                // A device that no longer exists is shown once more if it was polled until then.
                if link.is_none() && polled.is_empty() {
                    return None;
                }
                let first_name = || self.first_name(key, polled);
                let name = link.map_or_else(first_name, |link| link.link.name.to_string_lossy().into_owned());
                let is_counted = reading.napis.is_some() && !self.misses_polls(key);
                let napis = is_counted.then(|| polled.iter().flat_map(|napi| self.napi(napi)).collect());
                // A virtual device has no interrupts, whatever the name of one looks like.
                let has_irqs = key.0 == facts.own_netns && link.is_some_and(|link| link.link.kind.is_none());
                let mut nic = self.nic(key, name, napis, if has_irqs { self.irqs } else { &[] });
                if is_counted {
                    self.histograms.write_to(&mut nic, polled.iter().map(|napi| Some(napi.key)));
                }
                Some(nic)
            })
            .collect();
        nics.extend(self.backlog());
        nics.extend(self.dummies.rows().iter().enumerate().map(|(number, name)| {
            let polled = napis.get(&Home::Row(number)).map(Vec::as_slice).unwrap_or_default();
            let napis = Some(polled.iter().flat_map(|napi| self.napi(napi)).collect());
            let unknown_nic = (0, u32::MAX);
            let mut nic = self.nic(unknown_nic, name.clone(), napis, &[]);
            self.histograms.write_to(&mut nic, polled.iter().map(|napi| Some(napi.key)));
            Nic { netns: None, ifindex: 0, ..nic }
        }));
        nics.sort_by_cached_key(|nic| {
            let ns = nic.poll_ns.unwrap_or(0) + nic.hardirq_ns.unwrap_or(0);
            (Reverse(ns), nic.netns != Some(facts.own_netns), nic.name.clone(), nic.ifindex)
        });
        nics
    }

    /// True if some polls of the NIC found no slot, or may have been among those that found none, or if it
    /// shares NAPIs with other NICs. What was counted is then too little, so all of it is unknown.
    fn misses_polls(&self, key: NicKey) -> bool {
        let unfiled = &self.seen.reading.unfiled;
        unfiled.other_nics || unfiled.nics.contains(&key) || self.dummies.is_shared(key)
    }

    /// The name of a device when one of its NAPIs was first polled; used if the interface cannot be looked
    /// up.
    fn first_name(&self, key: NicKey, polled: &[&NapiActivity]) -> String {
        let known = self.seen.known_napis.get(key).map(|nic| &nic.name);
        known.or_else(|| polled.first().map(|napi| &napi.name)).cloned().unwrap_or_default()
    }

    fn napi(&self, napi: &NapiActivity) -> Vec<Napi> {
        let poll_fn = self.seen.code.symbols.name(napi.poll_fn).map(str::to_owned);
        let namespace = self.seen.facts.now.links.get(&napi.key.netns);
        let queues = namespace.and_then(|namespace| namespace.queues.as_deref());
        let (queue, kind) = napis::queue_and_kind(
            napi.key.napi_id,
            napi.key.ifindex,
            queues.unwrap_or_default(),
            poll_fn.as_deref(),
        );
        let facts = NapiFacts { napi_id: napi.key.napi_id, poll_fn, queue, kind };
        napis::by_mode(&facts, &napi.cpus, ThreadTimes::of(self.seen), self.filter)
    }

    /// The per-CPU backlog as a NIC; `None` if it was not polled.
    fn backlog(&self) -> Option<Nic> {
        let cpus: Vec<(u32, PollActivity)> = self
            .seen
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
        let napis = napis::by_mode(&facts, &cpus, ThreadTimes::of(self.seen), self.filter);
        if napis.is_empty() {
            return None;
        }
        let mut nic = Nic { netns: None, ..self.nic(BACKLOG_KEY, BACKLOG.to_owned(), Some(napis), &[]) };
        self.histograms.write_to(&mut nic, std::iter::once(None));
        Some(nic)
    }

    fn tx_requeues(&self, (netns, ifindex): NicKey) -> Option<u64> {
        let is_own = netns == self.seen.facts.own_netns;
        is_own.then(|| self.seen.tx_requeues.get(&ifindex).copied()).flatten()
    }

    fn flows(&self, key: NicKey) -> Option<Flows> {
        self.seen.flows.iter().find(|(of, _)| *of == key).map(|(_, flows)| *flows)
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
            driver: self.seen.facts.link(key).and_then(|link| link.driver.as_deref().map(str::to_owned)),
            counters: self.counters(key),
            tx_requeues: self.tx_requeues(key),
            flows: self.flows(key),
            counters_gap_ns: None,
            poll_ns: napis.as_deref().and_then(|napis| poll_ns(napis, |_| true)),
            poll_est_ns: None,
            poll_est_ci_ns: None,
            poll_ns_histogram: None,
            poll_work_histogram: None,
            threaded_est_ns: napis.as_deref().and_then(threaded),
            hardirq_ns: (timed && self.knows_irqs(key))
                .then(|| cpus.iter().map(|cpu| cpu.hardirq_ns).sum())
                .flatten(),
            hardirq_est_ns: None,
            driver_est_ns: None,
            driver_est_split: false,
            stack_est_ns: None,
            stages: None,
            sampled_gap_ns: None,
            cpus,
            napis,
        }
    }

    /// All online CPUs that are shown, for when polls are not counted.
    fn unknown_cpus(&self) -> Vec<NicCpu> {
        let shown = self.seen.facts.now.cpus().into_iter().filter(|cpu| self.filter.shows_cpu(*cpu));
        shown.map(NicCpu::unknown).collect()
    }

    /// What the NIC did on each CPU on which it did anything.
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
            ..NicCpu::default()
        };
        for napi in napis {
            for row in &napi.cpus {
                let cpu = cpus.entry(row.cpu).or_insert_with(|| entry(row.cpu));
                for (sum, more) in
                    [(&mut cpu.polls, row.polls), (&mut cpu.work, row.work), (&mut cpu.repolls, row.repolls)]
                {
                    *sum = sum.zip(more).map(|(sum, more)| sum + more);
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
            cpu.load_pct = cpu.poll_ns.map(|poll_ns| pct_of(known_ns(poll_ns), self.seen.interval_ns));
        }
        cpus
    }

    /// True if all interrupts of the NIC are known. sysfs shows those in nicmon's own namespace, and
    /// virtual devices have none.
    fn knows_irqs(&self, key: NicKey) -> bool {
        if self.seen.reading.unfiled.irqs {
            return false;
        }
        let is_told = || key.0 == self.seen.facts.own_netns && self.seen.facts.nic_irqs.tells_all_of(key.1);
        key == BACKLOG_KEY
            || self.seen.facts.link(key).is_some_and(|link| link.link.kind.is_some())
            || is_told()
    }

    fn counters(&self, key: NicKey) -> NicCounters {
        let now = self.seen.facts.link(key).and_then(|link| link.link.stats);
        let before = self.seen.facts.link_before(key).and_then(|link| link.link.stats);
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

/// A row for work that no NIC is known for, with everything unknown.
pub(super) fn nameless(name: String) -> Nic {
    Nic {
        name,
        ifindex: 0,
        netns: None,
        driver: None,
        counters: NicCounters::default(),
        tx_requeues: None,
        flows: None,
        counters_gap_ns: None,
        poll_ns: None,
        poll_est_ns: None,
        poll_est_ci_ns: None,
        poll_ns_histogram: None,
        poll_work_histogram: None,
        threaded_est_ns: None,
        hardirq_ns: None,
        hardirq_est_ns: None,
        driver_est_ns: None,
        driver_est_split: false,
        stack_est_ns: None,
        stages: None,
        sampled_gap_ns: None,
        cpus: Vec::new(),
        napis: None,
    }
}

/// Time of the polls on the selected CPUs. Busy polls have no time: if there were no others, it is
/// unknown.
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
