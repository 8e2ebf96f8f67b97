//! Time is neither lost nor invented.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testkit::load::{Receive, UdpLoad, VethPair};

use crate::{
    check::{busy_ns, filed_ns, pct},
    child::{Arrived, Nicmon},
    loads::{Loop, Loopback, loopback_namespace, plan},
    tell,
};

pub(crate) fn veth() -> Result<()> {
    by_udp("conservation, veth", Receive::Napi)
}

pub(crate) fn rps() -> Result<()> {
    by_udp("conservation, RPS", Receive::Rps)
}

fn by_udp(name: &str, mode: Receive) -> Result<()> {
    let pair = VethPair::create("nicmon-t-conserve")?;
    pair.receive_by(mode, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let frames = Nicmon::start(&["-n", "4"])?.finish()?;
    load.stop()?;
    conserved(name, &frames)
}

pub(crate) fn loopback() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-conserve-lo")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_secs(30))?;
    let frames = Nicmon::start(&["-n", "4"])?.finish()?;
    load.stop()?;
    conserved("conservation, loopback", &frames)
}

fn conserved(name: &str, frames: &[Arrived]) -> Result<()> {
    let mut text = String::new();
    let mut worst = (0.0_f64, String::new());
    for Arrived { frame, .. } in frames {
        for cpu in &frame.cpus {
            let net_rx = cpu.softirq.context("no softirq times")?.net_rx;
            let (ns, count) = (net_rx.vector.ns.context("no softirq times")?, net_rx.vector.count);
            let filed = filed_ns(frame, cpu.cpu);
            let off = filed.abs_diff(ns);
            // One event may fall between the two readings, which matters if there are few.
            let one_event = ns.div_ceil(count.max(1));
            let what =
                format!("frame {} cpu {}: NAPIs and other {filed} ns, NET_RX {ns} ns", frame.seq, cpu.cpu);
            if ns > 1_000_000 && pct(off, ns) >= worst.0 {
                worst = (pct(off, ns), what.clone());
            }
            ensure!(off <= ns / 1000 + one_event, "{what} in {count} runs");
        }
    }
    for cpu in &frames.first().context("no frames")?.frame.cpus {
        let (mut interval, mut busy, mut idle, mut runs) = (0, 0, 0.0, 0);
        for Arrived { frame, .. } in frames {
            let row = frame.cpus.iter().find(|row| row.cpu == cpu.cpu).context("a CPU disappeared")?;
            let stat = row.stat.context("no stat")?;
            interval += frame.interval_ns;
            busy += busy_ns(frame, cpu.cpu);
            idle += (stat.idle_pct + stat.iowait_pct) / 100.0 * frame.interval_ns as f64;
            runs += row.softirq.map_or(0, |softirq| softirq.net_rx.vector.count);
        }
        let share = (busy as f64 + idle) * 100.0 / interval as f64;
        let line = format!(
            "cpu {}: {runs} runs, interrupts {:.2} % + idle {:.2} %; ",
            cpu.cpu,
            pct(busy, interval),
            idle * 100.0 / interval as f64
        );
        text.push_str(&line);
        ensure!(share <= 101.0, "{line} is more than the interval + 1 %");
    }
    tell(name, &format!("{text}worst {:.5} % ({})", worst.0, worst.1));
    ensure!(!worst.1.is_empty(), "no CPU had a millisecond of NET_RX: the load did not run");
    Ok(())
}
