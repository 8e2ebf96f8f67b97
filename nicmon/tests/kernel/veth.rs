//! A veth pair that polls by NAPI, under the load of `cargo xtask demo`.

use anyhow::{Context as _, Result, ensure};
use testkit::load::{Receive, UdpLoad, VethPair};

use crate::{
    check::{napis, nic, pct, within},
    child::Nicmon,
    loads::{inode, plan},
    tell,
};

pub(crate) fn on_cpu_0() -> Result<()> {
    on_cpu(0)
}

pub(crate) fn on_cpu_1() -> Result<()> {
    on_cpu(1)
}

fn on_cpu(cpu: u32) -> Result<()> {
    let pair = VethPair::create("nicmon-t-veth")?;
    pair.receive_by(Receive::Napi, cpu as usize)?;
    let netns = inode(&pair.rx)?;
    // The load starts and ends inside a frame: interface counters are read a moment before the others, so a
    // load that starts with a frame would differ at its edges.
    let mut nicmon = Nicmon::start(&[])?;
    nicmon.more(1)?;
    let load = UdpLoad::start(&pair, plan(cpu as usize))?;
    nicmon.more(5)?;
    let totals = load.stop()?;
    nicmon.more(1)?;
    let frames = nicmon.stop()?;

    let (mut work, mut rx_packets, mut here_ns, mut all_ns, mut shown) = (0, 0, 0, 0, 0);
    for (at, arrived) in frames.iter().enumerate() {
        // It is in another namespace, so it is not shown until it is polled.
        let Some(nic) = nic(&arrived.frame, Some(netns), VethPair::RX_NAME) else {
            ensure!(shown == 0, "frame {at} lacks {}", VethPair::RX_NAME);
            continue;
        };
        shown += 1;
        ensure!(nic.driver.as_deref() == Some("veth"), "driver {:?}", nic.driver);
        rx_packets += nic.counters.rx_packets.with_context(|| format!("frame {at}: rx_packets is null"))?;
        ensure!(nic.counters.drops.is_some(), "frame {at}: drops is null");
        for row in &nic.cpus {
            work += row.work.with_context(|| format!("frame {at}: work is null"))?;
            let ns = row.poll_ns.with_context(|| format!("frame {at}: poll_ns is null"))?;
            all_ns += ns;
            here_ns += if row.cpu == cpu { ns } else { 0 };
        }
        let sum: Option<u64> = napis(nic).flat_map(|napi| &napi.cpus).map(|row| row.poll_ns).sum();
        ensure!(nic.poll_ns == sum, "frame {at}: poll_ns {:?} is not the NAPIs' {sum:?}", nic.poll_ns);
    }
    tell(
        &format!("veth on cpu {cpu}"),
        &format!(
            "work {work}, rx_packets {rx_packets} ({:+.3} %), {:.2} % of poll_ns on cpu {cpu}, \
             {} of {} received",
            pct(work, rx_packets) - 100.0,
            pct(here_ns, all_ns),
            totals.received,
            totals.sent
        ),
    );
    ensure!(shown >= 6, "{} is in {shown} frames", VethPair::RX_NAME);
    ensure!(rx_packets >= 50_000, "only {rx_packets} packets: the load did not run");
    ensure!(within(work, rx_packets, 0.1), "work {work} is not rx_packets {rx_packets} within 0.1 %");
    ensure!(pct(here_ns, all_ns) > 95.0, "only {:.2} % of the load is on cpu {cpu}", pct(here_ns, all_ns));
    Ok(())
}
