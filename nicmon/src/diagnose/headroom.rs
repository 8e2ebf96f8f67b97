//! How many packets a NIC could receive before its busiest CPU is full.
//!
//! The lower bound takes that CPU's idle time only, down to where rules call a CPU full, at today's time per
//! packet. The upper bound adds the time
//! of tasks, which the scheduler could run elsewhere, and takes the marginal time of a packet: at higher
//! rates a poll handles more packets, and its fixed time falls on more of them. The marginal time comes from
//! a fit of time = a * polls + b * packets over the last frames.

use std::collections::{HashMap, VecDeque};

use super::{
    saturation::FULL_PCT,
    view::{BACKLOG, CpuView, Row, View},
};
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
/// The fixed time of a poll (interrupt, waking up, cold caches) is at most that of so many packets. So
/// packets that share polls already cannot get much cheaper.
const POLL_IN_PACKETS: f64 = 10.0;
/// A fit needs polls and packets that do not always go together: this is the square of the sine of the angle
/// between the two. At a steady rate it is 0.0003, and a fit follows chance: what delays polls makes them
/// fewer and longer, so that polls seem to save time.
const LEAST_ANGLE: f64 = 1e-3;
/// Today's time per packet, which varies from second to second, is known to this part.
const UNSURE: f64 = 0.1;
/// A fit is believed to this many standard errors.
const SURE: f64 = 2.0;

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
    /// Whether this CPU fills before the other one: it has less idle time for each unit of load. Of two that
    /// are full already, of tasks perhaps, it is the one that receives more.
    fn is_fuller(&self, other: &Self) -> bool {
        let left = |of: &Self| of.cpu.idle_pct.unwrap_or(100.0) / of.row.load_pct();
        let load = self.row.load_pct().total_cmp(&other.row.load_pct());
        left(self).total_cmp(&left(other)).then(load.reverse()).is_lt()
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
        if view.unjudged().or_else(|| view.lacks_samples()).is_some() {
            self.past.clear();
            return Vec::new();
        }
        let mut backlogs = view.cpus.iter().flat_map(|cpu| &cpu.rows).filter(|row| row.nic.name == BACKLOG);
        if view.is_estimated() && backlogs.any(|row| row.load_pct() >= LEAST_LOAD_PCT) {
            // Whose packets these are is unknown, and so is which CPU is full first.
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
                    if next.is_fuller(best) {
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
            polls: view.per_s(row.on.polls.unwrap_or(0)),
            packets: view.per_s(row.on.work.unwrap_or(0)),
            ns: load * 1e7,
        };
        let past = self.past.entry(key).or_default();
        past.retain(|moment| moment.cpu == now.cpu);
        // Windows do not count packets, so how much cheaper one more would be is unknown.
        if !view.is_estimated() {
            past.push_back(now);
        }
        if past.len() > FRAMES {
            past.pop_front();
        }
        let marginal = marginal(past.make_contiguous(), &now);
        let stat = cpu.cpu.stat?;
        // The kernel counts NAPI threads as tasks, but they cannot make room for receiving.
        let tasks = (stat.user_pct + stat.system_pct - view.pct(cpu.threaded_ns)).clamp(0.0, 100.0);
        let movable = if view.is_reserved(now.cpu) { idle } else { (idle + tasks).min(100.0) };
        let surely_free = (idle - FULL_PCT).max(0.0);
        let factor_ci = [1.0 + surely_free / (load * (1.0 + UNSURE)), 1.0 + movable / (load * marginal)];
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

/// What one more packet costs at least, as a part of what a packet costs now.
fn marginal(past: &[Moment], now: &Moment) -> f64 {
    if now.packets <= 0.0 || now.ns <= 0.0 {
        return CHEAPEST;
    }
    let batched = now.packets / (now.packets + POLL_IN_PACKETS * now.polls);
    let fit = Fit::of(past).map_or(0.0, |fit| (fit.per_packet - SURE * fit.error) * now.packets / now.ns);
    (fit.max(batched) * (1.0 - UNSURE)).clamp(CHEAPEST, 1.0)
}

/// The marginal time of a packet, and its standard error.
#[derive(Debug, Clone, Copy)]
struct Fit {
    per_packet: f64,
    error: f64,
}

impl Fit {
    /// Least squares of time = a * polls + b * packets. `None` if polls and packets cannot be told apart, or
    /// if polls seem to save time.
    fn of(past: &[Moment]) -> Option<Self> {
        if past.len() < LEAST_FRAMES {
            return None;
        }
        let sum = |of: fn(&Moment) -> f64| past.iter().map(of).sum::<f64>();
        let (rr, pp, rp) =
            (sum(|m| m.polls * m.polls), sum(|m| m.packets * m.packets), sum(|m| m.polls * m.packets));
        let (rt, pt) = (sum(|m| m.polls * m.ns), sum(|m| m.packets * m.ns));
        let determinant = rr * pp - rp * rp;
        if determinant <= LEAST_ANGLE * rr * pp {
            return None;
        }
        let per_poll = (rt * pp - pt * rp) / determinant;
        let per_packet = (pt * rr - rt * rp) / determinant;
        let rest = |m: &Moment| (m.ns - per_poll * m.polls - per_packet * m.packets).powi(2);
        let variance = past.iter().map(rest).sum::<f64>() / (past.len() as f64 - 2.0);
        let (error, poll_error) =
            ((variance * rr / determinant).sqrt(), (variance * pp / determinant).sqrt());
        let is_possible = per_poll + SURE * poll_error >= 0.0;
        (is_possible && per_packet.is_finite() && error.is_finite()).then_some(Self { per_packet, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet takes 4,000 ns and a poll 10,000 ns; `noise` moves the time of every other frame up and of
    /// those between down.
    fn past(polls: impl Fn(f64) -> f64, noise: f64) -> Vec<Moment> {
        let moment = |number: u32| {
            let packets = 10_000.0 + 1000.0 * f64::from(number);
            let polls = polls(packets);
            let sign = if number.is_multiple_of(2) { 1.0 } else { -1.0 };
            let ns = (4000.0 * packets + 10_000.0 * polls) * (1.0 + sign * noise);
            Moment { cpu: 1, polls, packets, ns }
        };
        (0..20).map(moment).collect()
    }

    #[test]
    fn a_fit_tells_polls_from_packets() {
        let past = past(|_| 2000.0, 0.0);
        let fit = Fit::of(&past).unwrap();
        assert!((fit.per_packet - 4000.0).abs() < 0.1 && fit.error < 0.1, "{fit:?}");
        // Now a packet takes 6,000 ns: 4,000 ns, and a fifth of a poll.
        assert!((marginal(&past, &past[0]) - 0.9 * 4000.0 / 6000.0).abs() < 1e-3);
    }

    #[test]
    fn a_fit_that_chance_decides_says_nothing() {
        let varied = past(|_| 2000.0, 0.2);
        assert!(Fit::of(&varied).unwrap().error > 300.0);
        assert!(marginal(&varied, &varied[0]) < 0.9 * 4000.0 / 6000.0);
        assert!(Fit::of(&past(|packets| packets / 8.0, 0.01)).is_none(), "always together");
        assert!(Fit::of(&past(|_| 2000.0, 0.0)[..4]).is_none(), "too few");
    }

    /// A delay makes polls fewer and longer.
    #[test]
    fn polls_never_save_time() {
        let mut past = past(|_| 2000.0, 0.0);
        for (number, moment) in (0..).zip(&mut past) {
            (moment.packets, moment.polls) = (40_000.0, 1500.0 + 10.0 * f64::from(number));
            moment.ns = 4e8 - 1e5 * moment.polls;
        }
        assert!(Fit::of(&past).is_none());
    }

    #[test]
    fn packets_that_share_polls_already_get_little_cheaper() {
        let moment = |polls: f64| Moment { cpu: 1, polls, packets: 40_000.0, ns: 3e8 };
        assert!((marginal(&[], &moment(40_000.0)) - CHEAPEST).abs() < 1e-9, "a poll for each");
        assert!((marginal(&[], &moment(1000.0)) - 0.9 * 0.8).abs() < 1e-9);
        assert!((marginal(&[], &moment(0.0)) - 0.9).abs() < 1e-9);
    }
}
