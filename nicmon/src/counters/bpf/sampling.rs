//! Samples: a perf event on each CPU runs the program `sample`, which writes to the CPU's ring.

use std::{
    collections::HashMap,
    io,
    mem::offset_of,
    ops::Range,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

use aya::programs::Program;
use nicmon_common::{
    BACKLOG_SLOT, CpuState, NO_SLOT, NapiKey, SAMPLE_HARDIRQ, SAMPLE_IDLE, SAMPLE_SOFTIRQ, SAMPLE_TASK,
    SAMPLE_USER, SOCKET_RX, SOCKET_TX, SOCKET_UNKNOWN, STACK_DEPTH, Sample, SampleStack, SamplerContext,
    SocketCalls, UNFILED,
};

use super::{
    Probe, ProbeError, ProgramId, mapped::MappedArray, privileged, programs::patiently, reading::text,
    socket_calls::SocketMap,
};
use crate::{
    counters::{
        CpuActivity, HowToSample, NapiActivity, PollActivity, SampleEvent, SampleKind, SamplePoll, Samples,
        TakenSample,
    },
    frame::{Direction, cpu_list},
    host::{Roots, cpus},
    privileges::{Event, Privileges, Request},
};

/// Name of the program.
const PROGRAM: &str = ProgramId::Sample.name();
/// Memory that all rings together may use.
const RING_BYTES: usize = 64 << 20;
/// How many samples in a row a busy CPU may miss before its event is considered dead.
const DEAD_AFTER: u64 = 100;
/// The rings hold at least this many seconds, even if the interval is short, so that a late reader loses
/// no samples.
const LEAST_SECONDS: u64 = 5;

/// Elements of a CPU's ring: a power of two, as the program requires.
pub(super) fn slots(how: HowToSample, interval: std::time::Duration, cpus: u32) -> u32 {
    let bytes = size_of::<Sample>() + if how.stacks { size_of::<SampleStack>() } else { 0 };
    let seconds = interval.as_secs().saturating_add(1).max(LEAST_SECONDS);
    let wanted = u64::from(how.frequency).saturating_mul(seconds).next_power_of_two();
    let most = RING_BYTES / (cpus.max(1) as usize * bytes);
    // The largest power of two for which there is room.
    let most = (most as u64 / 2 + 1).next_power_of_two();
    u32::try_from(wanted.min(most)).unwrap_or(1)
}

/// How many events make one sample. The number is fixed, so every sample stands for the same amount and
/// shares are simple counts. With a frequency, the kernel would change the number on the fly, and a CPU
/// that wakes up would give many samples that each stand for little.
#[derive(Debug, Clone, Copy)]
pub(super) struct Periods {
    cycles: u64,
    clock_ns: u64,
}

/// Used if the speed of a CPU is unknown. A wrong guess makes samples more or less frequent than
/// requested, but no figure wrong.
const LIKELY_HZ: u64 = 2_500_000_000;

impl Periods {
    /// The periods for this many samples per second of a CPU that is busy and runs at full speed.
    pub(super) fn of(frequency: u32, cpu_hz: Option<u64>) -> Self {
        let frequency = u64::from(frequency.max(1));
        let cycles = (cpu_hz.unwrap_or(LIKELY_HZ) / frequency).max(1);
        Self { cycles, clock_ns: 1_000_000_000 / frequency }
    }
}

/// The maps of the program.
pub(super) struct Maps {
    pub(super) ring: MappedArray<Sample>,
    pub(super) stacks: Option<MappedArray<SampleStack>>,
    pub(super) sockets: MappedArray<SocketCalls>,
}

/// The perf events, and how far their rings were read.
pub(super) struct Sampler {
    frequency: u32,
    periods: Periods,
    event: SampleEvent,
    /// Why the event is not cycles.
    timer_reason: Option<String>,
    ring: MappedArray<Sample>,
    /// Call stacks, with the same index; `None` if they are not kept.
    stacks: Option<MappedArray<SampleStack>>,
    slots: u32,
    /// By CPU. A program stops with its event, which ends when this is dropped.
    events: HashMap<u32, OwnedFd>,
    /// By CPU: how many samples had been taken when its ring was last read.
    read: Vec<u32>,
    /// By CPU: how long it has been busy since its last sample.
    silent_ns: Vec<u64>,
    sockets: SocketMap,
}

impl Sampler {
    pub(super) fn new(frequency: u32, periods: Periods, maps: Maps, slots: u32, cpus: usize) -> Self {
        let Maps { ring, stacks, sockets } = maps;
        Self {
            frequency,
            periods,
            event: SampleEvent::Cycles,
            timer_reason: None,
            ring,
            stacks,
            slots,
            events: HashMap::new(),
            read: vec![0; cpus],
            silent_ns: vec![0; cpus],
            sockets: SocketMap::new(sockets),
        }
    }

    /// What was sampled since the last call; `None` if no CPU is sampled.
    pub(super) fn read(
        &mut self,
        cpus: &MappedArray<CpuState>,
        napi_of: &impl Fn(usize, u32) -> Option<NapiKey>,
    ) -> Option<Samples> {
        if self.events.is_empty() {
            return None;
        }
        let mut samples = Samples {
            event: self.event,
            frequency: self.frequency,
            cpus: self.events.keys().copied().collect(),
            taken: Vec::new(),
            lost: 0,
            has_sockets: self.sockets.looked(),
            timer_reason: self.timer_reason.clone(),
        };
        samples.cpus.sort_unstable();
        for (cpu, read) in self.read.iter_mut().enumerate() {
            let count = offset_of!(CpuState, sampler) + offset_of!(SamplerContext, samples);
            let taken = || cpus.load(cpu, count);
            let now = taken();
            let new = now.wrapping_sub(*read);
            let first = now.wrapping_sub(new.min(self.slots));
            *read = now;
            if new > 0 {
                self.silent_ns[cpu] = 0;
            }
            let begin = samples.taken.len();
            for back in 0..now.wrapping_sub(first) {
                let number = first.wrapping_add(back);
                let at = cpu * self.slots as usize + (number & (self.slots - 1)) as usize;
                if let Some(sample) = self.ring.get(at) {
                    let mut taken = taken_sample(cpu, &sample, napi_of);
                    samples.has_sockets &= sample.socket != SOCKET_UNKNOWN;
                    if let Some(stack) = self.stacks.as_ref().and_then(|stacks| stacks.get(at)) {
                        let length = STACK_DEPTH.min(sample.stack_len as usize);
                        taken.stack = stack.addresses[..length].to_vec();
                    }
                    samples.taken.push(taken);
                }
            }
            // What the sampler overwrote during the reading does not count.
            let over =
                usize::try_from(taken().wrapping_sub(first).saturating_sub(self.slots)).unwrap_or(usize::MAX);
            let kept = samples.taken.len() - begin;
            samples.taken.drain(begin..begin + over.min(kept));
            samples.lost += u64::from(new) - (kept - over.min(kept)) as u64;
        }
        Some(samples)
    }

    /// CPUs whose event is dead: they were busy for long enough that [`DEAD_AFTER`] samples were due, and
    /// none came. The event of a CPU that goes offline stays dead when the CPU comes back, which may
    /// happen before anybody looked.
    fn dead(&mut self, busy_ns: &[(u32, u64)]) -> Vec<u32> {
        let patience_ns = DEAD_AFTER * 1_000_000_000 / u64::from(self.frequency.max(1));
        let mut dead = Vec::new();
        for (cpu, busy_ns) in busy_ns {
            let Some(silent_ns) = self.silent_ns.get_mut(*cpu as usize) else { continue };
            *silent_ns = silent_ns.saturating_add(*busy_ns);
            if *silent_ns > patience_ns {
                *silent_ns = 0;
                dead.push(*cpu);
            }
        }
        dead
    }
}

fn taken_sample(
    cpu: usize,
    sample: &Sample,
    napi_of: &impl Fn(usize, u32) -> Option<NapiKey>,
) -> TakenSample {
    let kind = match sample.kind {
        SAMPLE_IDLE => SampleKind::Idle,
        SAMPLE_USER => SampleKind::User,
        SAMPLE_HARDIRQ => SampleKind::HardIrq,
        SAMPLE_TASK => SampleKind::Task,
        kind => SampleKind::Softirq(kind.saturating_sub(SAMPLE_SOFTIRQ)),
    };
    let poll = match sample.napi {
        UNFILED | NO_SLOT => None,
        BACKLOG_SLOT => Some(SamplePoll::Backlog),
        slot => napi_of(cpu, slot).map(SamplePoll::Napi),
    };
    TakenSample {
        cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
        address: sample.address,
        kind,
        poll,
        pid: sample.pid,
        comm: text(&sample.comm),
        stack: Vec::new(),
        socket: match sample.socket {
            SOCKET_RX => Some(Direction::Rx),
            SOCKET_TX => Some(Direction::Tx),
            _ => None,
        },
    }
}

impl Samples {
    /// Attributes the samples of threads that do nothing but poll to what they polled. No event marks the
    /// start of such a poll, so the kernel side cannot do this.
    pub(super) fn file_threads(&mut self, cpus: &[CpuActivity], napis: &[NapiActivity]) {
        // A thread that did not poll may have ended, and another thread may have its pid by now.
        let polled = |polls: &PollActivity| polls.thread_pid.filter(|_| polls.threaded.polls > 0);
        let backlogs = cpus.iter().filter_map(|cpu| Some((polled(&cpu.backlog)?, SamplePoll::Backlog)));
        let own = napis.iter().flat_map(|napi| {
            let poll = SamplePoll::Napi(napi.key);
            napi.cpus.iter().filter_map(move |(_, polls)| Some((polled(polls)?, poll)))
        });
        let threads: HashMap<u32, SamplePoll> = backlogs.chain(own).collect();
        if threads.is_empty() {
            return;
        }
        for sample in self.taken.iter_mut().filter(|sample| sample.kind == SampleKind::Task) {
            sample.poll = threads.get(&sample.pid).copied();
        }
    }
}

impl Probe {
    /// Samples these CPUs and no others, from now on. Leaves out CPUs that cannot be sampled, and returns
    /// why, unless they are offline. `busy_ns` is how long each CPU was busy since the last call, according
    /// to the kernel: if a CPU was busy and gave no sample, its event is attached again.
    ///
    /// # Errors
    /// No CPU can be sampled.
    pub fn sample_cpus(
        &mut self,
        wanted: &[u32],
        busy_ns: &[(u32, u64)],
    ) -> Result<Option<ProbeError>, ProbeError> {
        let Some(mut sampler) = self.sampler.take() else { return Ok(None) };
        let result = self.attach_samplers(&mut sampler, wanted, busy_ns);
        self.sampler = Some(sampler);
        result
    }

    /// Looks for these calls of sockets in the samples from now on.
    pub fn look_for_socket_calls(&mut self, calls: Vec<(Range<u64>, Option<Direction>)>) {
        if let Some(sampler) = &mut self.sampler {
            sampler.sockets.look_for(calls);
        }
    }

    fn attach_samplers(
        &mut self,
        sampler: &mut Sampler,
        wanted: &[u32],
        busy_ns: &[(u32, u64)],
    ) -> Result<Option<ProbeError>, ProbeError> {
        let Some(Program::PerfEvent(program)) = self.ebpf.program(PROGRAM) else {
            return Err(ProbeError::Object { what: PROGRAM });
        };
        let program = program.fd().map_err(|source| ProbeError::program("attach", PROGRAM, source))?.as_fd();
        let attach_each = |sampler: &mut Sampler| attach_each(&self.privileges, program, sampler, wanted);
        let dead = sampler.dead(busy_ns);
        let is_gone = |cpu: &&u32| !wanted.contains(cpu) || dead.contains(cpu);
        let gone: Vec<u32> = sampler.events.keys().filter(is_gone).copied().collect();
        for cpu in gone {
            sampler.events.remove(&cpu);
        }
        let is_first = sampler.events.is_empty();
        if is_first {
            (sampler.event, sampler.timer_reason) = (SampleEvent::Cycles, None);
        }
        let mut failed = attach_each(sampler);
        if is_first && !failed.is_empty() {
            // There is no PMU (ENOENT, ENXIO, ENODEV or EOPNOTSUPP, depending on the machine), or not on
            // every CPU. All CPUs must be sampled by the same event.
            sampler.timer_reason = timer_reason(&failed, sampler.events.is_empty());
            sampler.events.clear();
            sampler.event = SampleEvent::CpuClock;
            failed = attach_each(sampler);
        }
        if sampler.events.is_empty() {
            return failed.pop().map_or(Ok(None), |(_, source)| Err(ProbeError::Samples(Box::new(source))));
        }
        failed.retain(|(cpu, error)| !is_offline(*cpu, error));
        Ok(ProbeError::some_samples(failed))
    }
}

/// Whether a CPU cannot be sampled because it went offline after somebody looked (`find_get_context` in
/// `kernel/events/core.c`). A counter may give the same error for another reason.
fn is_offline(cpu: u32, error: &io::Error) -> bool {
    let online = || cpus::online(&Roots::default().sys);
    error.raw_os_error() == Some(libc::ENODEV) && online().is_ok_and(|online| !online.contains(&cpu))
}

/// Much longer than a timer's interrupt takes. At low frequencies nobody should wait for a whole period.
const MOST_APART: Duration = Duration::from_millis(1);

/// Attaches to the CPUs that are not sampled yet. Returns the CPUs that failed.
fn attach_each(
    privileges: &Privileges,
    program: BorrowedFd<'_>,
    sampler: &mut Sampler,
    wanted: &[u32],
) -> Vec<(u32, io::Error)> {
    let (mut opened, mut failed) = (Vec::new(), Vec::new());
    for cpu in wanted.iter().filter(|cpu| !sampler.events.contains_key(cpu)) {
        match open(privileges, program, sampler.event, sampler.periods, *cpu) {
            Ok(event) => opened.push((*cpu, event)),
            Err(source) => failed.push((*cpu, source)),
        }
    }
    // Timers of several CPUs that run out at the same moment sample what each other's interrupt does to the
    // load (docs/kernel-notes.md). So they start spread over a period, or over a part of a long one.
    let apart = Duration::from_nanos(sampler.periods.clock_ns / opened.len().max(1) as u64).min(MOST_APART);
    for (at, (cpu, event)) in opened.into_iter().enumerate() {
        if at > 0 {
            thread::sleep(apart);
        }
        match privileged::start(&event) {
            Ok(()) => drop(sampler.events.insert(cpu, event)),
            Err(source) => failed.push((cpu, source)),
        }
    }
    failed
}

/// Why cycles cannot trigger the samples: the CPUs that refused them, and the error of the first.
fn timer_reason<E: std::error::Error + 'static>(failed: &[(u32, E)], is_all: bool) -> Option<String> {
    let (_, error) = failed.first()?;
    // The innermost error is the kernel's.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if is_all {
        return Some(format!("no CPU counts cycles here: {cause}"));
    }
    let mut cpus: Vec<u32> = failed.iter().map(|(cpu, _)| *cpu).collect();
    cpus.sort_unstable();
    let (which, verb) = if cpus.len() == 1 { ("CPU", "does") } else { ("CPUs", "do") };
    Some(format!(
        "{which} {} {verb} not count cycles ({cause}), and all CPUs must be sampled by the same event",
        cpu_list(&cpus)
    ))
}

/// Opens an event that has the program run, and does not count yet.
fn open(
    privileges: &Privileges,
    program: BorrowedFd<'_>,
    event: SampleEvent,
    periods: Periods,
    cpu: u32,
) -> io::Result<OwnedFd> {
    let (event, period) = match event {
        SampleEvent::Cycles => (Event::Cycles, periods.cycles),
        SampleEvent::CpuClock => (Event::CpuClock, periods.clock_ns),
    };
    let ((), mut opened) = privileges.ask(Request::OpenEvent { event, period, cpu })?;
    let event = opened.pop().ok_or(io::ErrorKind::NotFound)?;
    privileged::run_at(&event, program)?;
    Ok(event)
}

/// Loads the program.
pub(super) fn load(ebpf: &mut aya::Ebpf) -> Result<(), ProbeError> {
    match ebpf.program_mut(PROGRAM) {
        Some(Program::PerfEvent(program)) => {
            patiently(|| program.load()).map_err(|source| ProbeError::program("load", PROGRAM, source))
        }
        _ => Err(ProbeError::Object { what: PROGRAM }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nicmon_common::PollStats;

    use super::*;

    #[test]
    fn samples_of_polling_threads_belong_to_what_they_polled() {
        let sample = |pid, kind| TakenSample {
            cpu: 0,
            address: 0,
            kind,
            poll: None,
            pid,
            comm: String::new(),
            stack: Vec::new(),
            socket: None,
        };
        let polls = |pid, polls| PollActivity {
            threaded: PollStats { polls, ..PollStats::default() },
            thread_pid: Some(pid),
            ..PollActivity::default()
        };
        let napi = |id, activity| NapiActivity {
            key: NapiKey { napi_id: id, ..NapiKey::default() },
            name: String::new(),
            poll_fn: 0,
            cpus: vec![(0, activity)],
        };
        let mut samples = Samples {
            event: SampleEvent::CpuClock,
            frequency: 99,
            cpus: vec![0],
            // A NAPI's thread, a softirq in that thread, a thread that is no longer a NAPI's, a backlog's
            // thread, and another.
            taken: [(7, SampleKind::Task), (7, SampleKind::Softirq(3)), (8, SampleKind::Task)]
                .into_iter()
                .chain([(9, SampleKind::Task), (1, SampleKind::Task)])
                .map(|(pid, kind)| sample(pid, kind))
                .collect(),
            lost: 0,
            has_sockets: false,
            timer_reason: None,
        };
        let cpu = CpuActivity { backlog: polls(9, 1), ..CpuActivity::default() };
        let napis = [napi(1, polls(7, 3)), napi(2, polls(8, 0))];
        samples.file_threads(&[cpu], &napis);
        let filed: Vec<_> = samples.taken.iter().map(|sample| sample.poll).collect();
        let own = Some(SamplePoll::Napi(napis[0].key));
        assert_eq!(filed, [own, None, None, Some(SamplePoll::Backlog), None]);
    }

    #[test]
    fn the_cpu_that_refuses_cycles_is_named() {
        const ERROR: &str = "No such file or directory (os error 2)";
        let refused = |cpus: &[u32]| -> Vec<(u32, std::io::Error)> {
            cpus.iter().map(|cpu| (*cpu, std::io::Error::from_raw_os_error(2))).collect()
        };
        assert_eq!(timer_reason(&refused(&[]), true), None);
        assert_eq!(
            timer_reason(&refused(&[0, 1]), true),
            Some(format!("no CPU counts cycles here: {ERROR}"))
        );
        assert_eq!(
            timer_reason(&refused(&[4]), false),
            Some(format!(
                "CPU 4 does not count cycles ({ERROR}), and all CPUs must be sampled by the same event"
            ))
        );
        let several = timer_reason(&refused(&[5, 4, 9]), false).expect("a reason");
        assert!(several.starts_with("CPUs 4-5,9 do not count cycles"), "{several}");
    }

    #[test]
    fn only_a_cpu_that_is_online_fails() {
        let refused = |errno| io::Error::from_raw_os_error(errno);
        let online = cpus::online(&Roots::default().sys).expect("CPUs")[0];
        assert!(is_offline(8191, &refused(libc::ENODEV)));
        assert!(!is_offline(online, &refused(libc::ENODEV)) && !is_offline(8191, &refused(libc::EMFILE)));
    }

    #[test]
    fn rings_hold_an_interval_and_stay_small() {
        let how = |frequency, stacks| HowToSample { frequency, stacks };
        assert_eq!(slots(how(99, true), Duration::from_secs(1), 2), 512);
        assert_eq!(slots(how(4999, false), Duration::from_secs(10), 2), 65_536);
        for (frequency, seconds, cpus) in [(1, 0, 1), (4999, 86_400, 8192), (4999, 60, 256), (99, 1, 8192)] {
            for (stacks, bytes) in [(false, 48), (true, 48 + 127 * 8)] {
                let slots = slots(how(frequency, stacks), Duration::from_secs(seconds), cpus);
                assert!(slots.is_power_of_two());
                assert!(slots as usize * cpus as usize * bytes <= RING_BYTES, "{slots}");
            }
        }
    }
}
