//! Why a packet costs as much as it does.

use crate::{
    diagnose::{
        case::compared,
        view::{CpuView, View},
    },
    frame::{
        Contributing, Evidence, Nic, Stage, Unit,
        topology::{self, XdpMode},
    },
};

/// Firewall rules and other tools' BPF programs count from this part of the polls' samples on, with 97.5 %
/// certainty.
const MUCH_PCT: f64 = 20.0;
/// A packet socket copies each packet, which is a waste from the start.
const TAP_PCT: f64 = 5.0;
/// From this part of TCP on, GRO would matter. Where TCP without GRO filled a CPU of a guest, 3 to 14 % were
/// certainly in TCP's own functions.
const TCP_PCT: f64 = 3.0;
/// Packets that GRO makes one of. At 1, it merges nothing.
const MERGES: f64 = 1.1;
/// A hardware thread that is this busy takes time from the other one.
const BUSY_PCT: f64 = 50.0;
/// A CPU below this part of its highest frequency is slow.
const SLOW_PCT: f64 = 80.0;

pub(super) fn of(view: &View<'_>, cpu: &CpuView<'_>, nic: Option<&Nic>) -> Vec<Contributing> {
    // Packets that RPS or a virtual NIC passed on are handled in the backlog, whose stages they are.
    let top = cpu.rows.iter().find(|row| !row.nic.is_softirq());
    let stages = top.and_then(|row| row.nic.stages.as_deref()).unwrap_or_default();
    let part = |stage: Stage| {
        stages.iter().filter(|found| found.stage == stage).map(|found| found.ci_pct[0]).sum::<f64>()
    };
    let setup = nic.and_then(|nic| view.setup(nic));
    let mut found = Vec::new();
    let mut add = |is: bool, what: Contributing| found.extend(is.then_some(what));
    add(part(Stage::Netfilter) + part(Stage::Conntrack) >= MUCH_PCT, Contributing::NetfilterRules);
    add(part(Stage::Tap) >= TAP_PCT, Contributing::PacketTap);
    let has_generic = setup
        .and_then(|setup| setup.xdp.as_ref())
        .is_some_and(|xdp| xdp.iter().any(|xdp| xdp.mode == XdpMode::Generic));
    add(has_generic, Contributing::GenericXdp);
    add(part(Stage::Bpf) >= MUCH_PCT && !has_generic, Contributing::OtherBpf);
    let merges = nic.and_then(|nic| view.frame.netns.iter().find(|netns| Some(netns.inum) == nic.netns));
    let merges_nothing = merges.and_then(|netns| netns.gro_ratio).is_some_and(|ratio| ratio < MERGES);
    add(part(Stage::Tcp) >= TCP_PCT && merges_nothing, Contributing::GroIneffective);
    add(setup.is_some_and(|setup| is_remote(view, cpu, setup)), Contributing::RemoteNuma);
    add(has_busy_sibling(view, cpu), Contributing::SmtBusy);
    add(speed(cpu).is_some_and(|speed| speed.value < SLOW_PCT), Contributing::CpuSlow);
    found
}

/// How fast a CPU runs; `None` if that is unknown.
pub(super) fn speed(cpu: &CpuView<'_>) -> Option<Evidence> {
    let freq = cpu.cpu.freq.filter(|freq| freq.max_khz > 0)?;
    let pct = freq.now_khz as f64 / freq.max_khz as f64 * 100.0;
    let mhz = |khz: u64| khz / 1000;
    let (now, most) = (mhz(freq.now_khz), mhz(freq.max_khz));
    let what = format!("frequency of CPU {}, {now} of at most {most} MHz", cpu.cpu.cpu);
    Some(compared(what, cpu.field("freq/now_khz"), pct, Unit::Pct, SLOW_PCT))
}

fn is_remote(view: &View<'_>, cpu: &CpuView<'_>, setup: &topology::Nic) -> bool {
    let here = view.place(cpu.cpu.cpu).and_then(|place| place.numa_node);
    matches!((here, setup.numa_node), (Some(here), Some(there)) if here != there)
}

fn has_busy_sibling(view: &View<'_>, cpu: &CpuView<'_>) -> bool {
    let number = cpu.cpu.cpu;
    let siblings = view.place(number).and_then(|place| place.siblings.as_deref()).unwrap_or_default();
    let is_busy = |other: &&CpuView<'_>| {
        let other_number = other.cpu.cpu;
        other_number != number
            && siblings.contains(&other_number)
            && other.idle_pct.is_some_and(|idle| idle <= 100.0 - BUSY_PCT)
    };
    view.cpus.iter().any(|other| is_busy(&other))
}
