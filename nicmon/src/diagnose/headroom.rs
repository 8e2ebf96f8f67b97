//! How many packets a NIC could receive before its busiest CPU is full.
//!
//! The lower bound takes that CPU's idle time only, at today's time per packet. The upper bound adds the time
//! of tasks, which the scheduler could run elsewhere, and takes the marginal time of a packet: at higher
//! rates a poll handles more packets, and its fixed time falls on more of them. The marginal time comes from
//! a fit of time = a * polls + b * packets over the last frames.

use std::collections::{HashMap, VecDeque};

use super::view::{BACKLOG, CpuView, Row, View};
use crate::frame::{Headroom, Nic};

/// Below these, chance decides.
const LEAST_PACKETS_PER_S: f64 = 1000.0;
const LEAST_LOAD_PCT: f64 = 2.0;
/// Frames that a fit takes.
const FRAMES: usize = 60;
/// Fewer do not make a fit.
const LEAST_FRAMES: usize = 5;
/// Packets get cheaper at higher rates, but never by more than this: memory and the stack above cost the
/// same.
const CHEAPEST: f64 = 0.5;
/// Today's time per packet is known to this part.
const UNSURE: f64 = 0.1;

/// What each NIC did on the CPU that it loads most, lately.
#[derive(Debug, Default)]
pub(super) struct Rates {
    past: HashMap<(u32, u32), VecDeque<Moment>>,
}

/// A NIC, and the CPU that its packets would fill first.
#[derive(Clone, Copy)]
struct Busiest<'a> {
    nic: &'a Nic,
    cpu: &'a CpuView<'a>,
    row: &'a Row<'a>,
}

impl Busiest<'_> {
    /// Idle time for each unit of load.
    fn left(&self) -> f64 {
        self.cpu.idle_pct.unwrap_or(100.0) / self.row.load_pct()
    }
}

#[derive(Debug, Clone, Copy)]
struct Moment {
    cpu: u32,
    polls: f64,
    packets: f64,
    ns: f64,
}

impl Rates {
    /// The headroom of each NIC that receives enough, the least first.
    pub(super) fn headroom(&mut self, view: &View<'_>) -> Vec<Headroom> {
        if view.unjudged().is_some() {
            self.past.clear();
            return Vec::new();
        }
        let mut busiest: HashMap<(u32, u32), Busiest<'_>> = HashMap::new();
        for cpu in &view.cpus {
            for row in &cpu.rows {
                // The backlog works for a NIC that RPS or the lack of a NAPI sends there.
                let nic = match (row.nic.netns, row.nic.name.as_str()) {
                    (Some(_), _) => Some(row.nic),
                    (None, BACKLOG) => view.owner_of_backlog(row),
                    _ => None,
                };
                let Some(nic) = nic.filter(|_| row.load_pct() >= LEAST_LOAD_PCT) else { continue };
                let next = Busiest { nic, cpu, row };
                let best = busiest.entry((nic.netns.unwrap_or(0), nic.ifindex));
                best.and_modify(|best| {
                    if next.left() < best.left() {
                        *best = next;
                    }
                })
                .or_insert(next);
            }
        }
        self.past.retain(|key, _| busiest.contains_key(key));
        let mut all: Vec<Headroom> =
            busiest.into_iter().filter_map(|(key, busiest)| self.of_nic(view, key, &busiest)).collect();
        all.sort_by(|a, b| {
            let (least, other) = (a.factor_ci[0], b.factor_ci[0]);
            least.total_cmp(&other).then_with(|| (&a.nic, a.netns).cmp(&(&b.nic, b.netns)))
        });
        all
    }

    fn of_nic(&mut self, view: &View<'_>, key: (u32, u32), busiest: &Busiest<'_>) -> Option<Headroom> {
        let Busiest { nic, cpu, row } = busiest;
        let packets = view.per_s(nic.counters.rx_packets?);
        let (load, idle) = (row.load_pct(), cpu.idle_pct?);
        if packets < LEAST_PACKETS_PER_S || cpu.is_stolen() {
            return None;
        }
        let now = Moment {
            cpu: cpu.cpu.cpu,
            polls: view.per_s(row.on.polls?),
            packets: view.per_s(row.on.work?),
            ns: load * 1e7,
        };
        let past = self.past.entry(key).or_default();
        past.retain(|moment| moment.cpu == now.cpu);
        past.push_back(now);
        if past.len() > FRAMES {
            past.pop_front();
        }
        let marginal = marginal(past.make_contiguous(), &now);
        let stat = cpu.cpu.stat?;
        // The kernel counts NAPI threads as tasks, but they cannot make room for receiving.
        let tasks = (stat.user_pct + stat.system_pct - view.pct(cpu.threaded_ns)).clamp(0.0, 100.0);
        let movable = if view.is_reserved(now.cpu) { idle } else { (idle + tasks).min(100.0) };
        let factor_ci = [1.0 + idle / (load * (1.0 + UNSURE)), 1.0 + movable / (load * marginal)];
        if factor_ci.iter().any(|factor| !factor.is_finite()) {
            return None;
        }
        Some(Headroom {
            nic: nic.name.clone(),
            netns: nic.netns,
            cpu: now.cpu,
            saturation_rx_packets_ci_per_s: factor_ci.map(|factor| packets * factor),
            factor_ci,
        })
    }
}

/// What one more packet costs, as a part of what a packet costs now.
fn marginal(past: &[Moment], now: &Moment) -> f64 {
    if past.len() < LEAST_FRAMES || now.packets <= 0.0 || now.ns <= 0.0 {
        return CHEAPEST;
    }
    let sum = |of: fn(&Moment) -> f64| past.iter().map(of).sum::<f64>();
    let (rr, pp, rp) =
        (sum(|m| m.polls * m.polls), sum(|m| m.packets * m.packets), sum(|m| m.polls * m.packets));
    let (rt, pt) = (sum(|m| m.polls * m.ns), sum(|m| m.packets * m.ns));
    let determinant = rr * pp - rp * rp;
    // Polls and packets that always go together cannot be told apart.
    if determinant <= 1e-3 * rr * pp {
        return CHEAPEST;
    }
    let per_packet = (pt * rr - rt * rp) / determinant;
    (per_packet / (now.ns / now.packets)).clamp(CHEAPEST, 1.0)
}
