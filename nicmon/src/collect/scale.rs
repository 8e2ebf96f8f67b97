//! What a frame costs on a large machine: 256 CPUs and 32 NICs with 64 queues each, all active.
//! The maps are those of the real programs, filled as these would fill them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    sync::Arc,
};

use nicmon_common::{NAME_LEN, NapiKey, NapiOwner};
use rustix::time::{ClockId, clock_gettime};

use super::{Filter, Observation, assemble, known::KnownNapi, observation::Moment};
use crate::{
    counters::bpf::Probe,
    host::{
        netns::{LinkFacts, NamespaceFacts},
        queues::{Direction, QueueNapi},
        stat::CpuTicks,
    },
};

const NICS: u32 = 32;
const QUEUES: u32 = 64;
const FRAMES: usize = 15;
/// How often it is measured. In one of ten runs, the allocator leaves 1 or 2 MiB more between what it keeps,
/// so the least counts.
const RUNS: usize = 4;
/// Most that a frame may cost, in ns of CPU time: reading the maps, assembling, and writing JSON.
const MOST_NS: u64 = 20_000_000;
/// Most memory that the process may have, together with that of its maps.
const MOST_BYTES: u64 = 64 << 20;
/// As large as the program may be (`.ci/run`).
const MOST_CODE_BYTES: u64 = 17 << 19;

/// Set in the process of its own in which the measurement runs, so that other tests neither cost it time nor
/// count as its memory.
const OWN_PROCESS: &str = "NICMON_TEST_SCALE";

#[test]
fn a_frame_of_a_large_machine_is_cheap() {
    if let Some(cpus) = std::env::var_os(OWN_PROCESS) {
        return measure(cpus.to_str().unwrap().parse().unwrap());
    }
    let cost_of = |cpus: u32| {
        let mut itself = Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "--nocapture", "collect::scale::a_frame_of_a_large_machine_is_cheap"]);
        let output = itself.env(OWN_PROCESS, cpus.to_string()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let figure = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.split(name).nth(1))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some((figure("frame_ns=")?, figure("memory_bytes=")?))
    };
    let least = |cpus: u32| {
        let costs: Option<Vec<(u64, u64)>> = (0..RUNS).map(|_| cost_of(cpus)).collect();
        let (ns, bytes): (Vec<_>, Vec<_>) = costs?.into_iter().unzip();
        ns.into_iter().min().zip(bytes.into_iter().min())
    };
    // The process says why, if it cannot load the programs.
    let Some((frame_ns, bytes)) = least(256) else {
        return testkit::not_run::say_of_this_thread("the programs cannot be loaded");
    };
    eprintln!("256 CPUs: {} us a frame, {} MiB", frame_ns / 1000, bytes >> 20);
    assert!(frame_ns <= MOST_NS, "{frame_ns} ns");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
    let Some((frame_ns_1024, bytes_1024)) = least(1024) else { panic!("256 CPUs, but not 1024") };
    eprintln!("1024 CPUs: {} us a frame, {} MiB", frame_ns_1024 / 1000, bytes_1024 >> 20);
    assert!(bytes_1024 < 3 * bytes, "four times the CPUs do not need four times the memory");
}

/// Prints what a frame costs with this many CPUs.
fn measure(cpus: u32) {
    let mut probe = match Probe::for_cpus(cpus) {
        Ok(probe) => probe,
        Err(error) => return println!("cannot load: {error}"),
    };
    super::give_back_memory();
    let napis = fill(&mut probe, cpus);
    let mut seen = large_machine(cpus, &probe);
    let mut costs = Vec::new();
    let mut bytes = 0;
    for _ in 0..FRAMES {
        for (cpu, slot) in &napis {
            probe.put_polls(*cpu, *slot, 100, 2_000);
        }
        let start = cpu_ns();
        seen.reading = probe.read().unwrap();
        let frame = assemble(&seen, &Filter::default());
        let json = serde_json::to_string(&frame).unwrap();
        costs.push(cpu_ns() - start);
        let polls: u64 = frame.nics.iter().flat_map(|nic| &nic.cpus).filter_map(|cpu| cpu.polls).sum();
        assert_eq!(polls, 100 * u64::from(NICS * QUEUES), "all of it is in the frame");
        bytes = bytes.max(memory());
        assert!(json.len() > 100_000);
    }
    // Other work on the machine makes a frame more expensive, never less.
    println!("frame_ns={} memory_bytes={bytes} frames={}", costs.iter().min().unwrap(), costs.len());
}

/// Gives each queue a slot on one CPU, and a few more on idle ones.
fn fill(probe: &mut Probe, cpus: u32) -> Vec<(usize, u32)> {
    let mut active = Vec::new();
    for nic in 0..NICS {
        for queue in 0..QUEUES {
            let number = nic * QUEUES + queue;
            let key = NapiKey {
                napi: 0xffff_8880_0000_0000 + u64::from(number) * 0x400,
                napi_id: 8000 + number,
                ifindex: 100 + nic,
                netns: 1,
                pad: 0,
            };
            let mut name = [0; NAME_LEN];
            name[..4].copy_from_slice(b"eth0");
            let owner = NapiOwner { key, poll_fn: 1, ops: [1; 4], name };
            let cpu = (number % cpus) as usize;
            active.push((cpu, probe.put_napi(cpu, owner)));
            // The interrupt has been on other CPUs before.
            for away in 1..4 {
                probe.put_napi(((number + away) % cpus) as usize, owner);
            }
        }
    }
    probe.read().unwrap();
    active
}

/// A machine with these CPUs and NICs, made from a small one.
fn large_machine(cpus: u32, probe: &Probe) -> Observation {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/virtio-4-queues.ndjson");
    let text = fs::read_to_string(path).unwrap();
    let mut seen = Observation::load(text.lines().next().unwrap()).unwrap();
    let small = Arc::clone(&seen.facts.now);
    let own: &NamespaceFacts = &small.links[&seen.facts.own_netns];
    let eth = own.links.iter().find(|link| link.link.name == "eth0").unwrap();
    let links = (0..NICS).map(|nic| {
        let mut link: LinkFacts = eth.clone();
        link.link.ifindex = 100 + nic;
        link.link.name = format!("eth{nic}").into();
        link
    });
    let queue = |nic: u32, queue: u32, direction| QueueNapi {
        ifindex: 100 + nic,
        queue,
        direction,
        napi_id: 8000 + nic * QUEUES + queue,
    };
    let queues = (0..NICS).flat_map(|nic| {
        let both =
            move |number| [Direction::Rx, Direction::Tx].map(|direction| queue(nic, number, direction));
        (0..QUEUES).flat_map(both)
    });
    let facts = NamespaceFacts { links: links.collect(), queues: Some(queues.collect()), ..own.clone() };
    let moment = |ticks: u64| Moment {
        stat: (0..cpus).map(|cpu| CpuTicks { cpu, idle: ticks, softirq: ticks, ..small.stat[0] }).collect(),
        softnet: (0..cpus)
            .map(|cpu| crate::host::softnet::SoftnetRow { cpu: Some(cpu), ..small.softnet[0] })
            .collect(),
        ksoftirqd_ns: (0..cpus).map(|cpu| (cpu, ticks)).collect(),
        links: BTreeMap::from([(1, facts.clone())]),
        online: (0..cpus).collect(),
        problems: BTreeSet::new(),
    };
    seen.facts.before = Arc::new(moment(1_000));
    seen.facts.now = Arc::new(moment(1_100));
    seen.facts.own_netns = 1;
    seen.reading.samples = None;
    let napi = |(key, name, functions)| KnownNapi { key, name, functions };
    seen.known_napis = Arc::new(probe.known_napis().into_iter().map(napi).collect());
    seen
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// Resident memory of this process and the kernel's memory for its maps, in bytes. A map that is mapped
/// counts as resident, too: it counts once here. Tests are a larger program than nicmon.
fn memory() -> u64 {
    let kib = |line: &str| -> Option<u64> { line.split_whitespace().nth(1)?.parse().ok() };
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = |what: &str| status.lines().find(|line| line.starts_with(what)).and_then(kib).unwrap();
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mapped: u64 = (smaps.split("anon_inode:bpf-map").skip(1))
        .filter_map(|mapping| mapping.lines().find(|line| line.starts_with("Rss:")).and_then(kib))
        .sum();
    let code = ((resident("RssFile:") - mapped) * 1024).min(MOST_CODE_BYTES);
    let maps = fs::read_dir("/proc/self/fdinfo").unwrap().filter_map(|entry| {
        let text = fs::read_to_string(entry.ok()?.path()).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("memlock:"))?;
        line.trim().parse::<u64>().ok().filter(|_| text.contains("map_type:"))
    });
    resident("RssAnon:") * 1024 + code + maps.sum::<u64>()
}
