//! A veth pair, RPS, rules that match nothing, and a load; and what the target CPU did.

use std::{
    fmt::Write as _,
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use testkit::{
    load::{FlowsPlan, Receive, UdpFlows, VethPair},
    process,
};

use super::figures::Step;

const FLOWS: u16 = 8;
/// A load that nobody stops outlasts its time by this.
const SPARE: Duration = Duration::from_secs(5);

/// Two namespaces with a veth pair, removed when this value is dropped.
pub(super) struct Network {
    pair: VethPair,
    sender: usize,
    target: usize,
}

impl Network {
    /// `sender` sends and polls; RPS passes the packets to `target`.
    pub(super) fn create(sender: usize, target: usize, rules: u32) -> Result<Self> {
        let pair = VethPair::create("nicmon-ramp")?;
        // RPS takes the first CPU that is not the sender's, which is the target.
        pair.receive_by(Receive::Rps, sender)?;
        let file = tempfile::NamedTempFile::new().context("cannot make a file for the rules")?;
        fs::write(file.path(), ruleset(rules)).context("cannot write the rules")?;
        let mut restore = pair.rx.command("xtables-legacy-multi");
        restore.arg("iptables-restore").stdin(File::open(file.path())?);
        process::run(&mut restore).context("cannot load rules (Debian package iptables)")?;
        Ok(Self { pair, sender, target })
    }

    /// The name of the NIC that receives, its namespace's inode, and the CPU that its packets go to.
    pub(super) fn receiver(&self) -> Result<(&'static str, u64, usize)> {
        let path = format!("/run/netns/{}", self.pair.rx.name());
        let inode = fs::metadata(&path).with_context(|| format!("cannot read {path}"))?.ino();
        Ok((VethPair::RX_NAME, inode, self.target))
    }

    /// Starts to send.
    pub(super) fn send(&self, pps: f64, time: Duration) -> Result<UdpFlows> {
        let address = |text: &str| text.parse::<Ipv4Addr>().context("not an address");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let pps = pps.round() as u32;
        let plan = FlowsPlan {
            from: address(VethPair::TX_ADDRESS)?,
            to: address(VethPair::RX_ADDRESS)?,
            flows: FLOWS,
            addresses: 1,
            pps,
            sender_cpu: Some(self.sender),
            phases: None,
            limit: time + SPARE,
        };
        UdpFlows::start(&self.pair.tx, plan)
    }

    /// The counters of the target CPU.
    pub(super) fn counters(&self) -> Result<Counters> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        let time = Instant::now();
        let (stat, softnet) = (read("/proc/stat")?, read("/proc/net/softnet_stat")?);
        Counters::of(time, self.target, &stat, &softnet)
    }
}

/// Rules that match nothing: no packets come from this network, which is reserved for tests of devices.
fn ruleset(number: u32) -> String {
    let mut rules = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for number in 0..number {
        let _ = writeln!(rules, "-A INPUT -s 198.18.{}.{}/32 -j DROP", number / 250, number % 250);
    }
    rules + "COMMIT\n"
}

/// What a CPU did since boot.
#[derive(Debug)]
pub(super) struct Counters {
    time: Instant,
    /// Packets that it passed to the protocols.
    packets: u32,
    /// user, nice, system, idle, iowait, irq, softirq, steal: in ticks.
    ticks: [u64; 8],
}

impl Counters {
    fn of(time: Instant, cpu: usize, stat: &str, softnet: &str) -> Result<Self> {
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        let line = line.with_context(|| format!("/proc/stat has no CPU {cpu}"))?;
        let mut ticks = [0; 8];
        for (ticks, text) in ticks.iter_mut().zip(line.split_ascii_whitespace()) {
            *ticks = text.parse().with_context(|| format!("/proc/stat: `{text}` is no number"))?;
        }
        // The thirteenth word is the CPU, since Linux 5.10: offline CPUs have no line.
        let hex = |word: Option<&str>| u32::from_str_radix(word.unwrap_or_default(), 16);
        let is_cpu = |line: &&str| hex(line.split(' ').nth(12)).is_ok_and(|number| number as usize == cpu);
        let line = softnet.lines().find(is_cpu);
        let line = line.with_context(|| format!("/proc/net/softnet_stat has no CPU {cpu}"))?;
        let packets = hex(line.split(' ').next()).context("/proc/net/softnet_stat: not a number")?;
        Ok(Self { time, packets, ticks })
    }

    /// What it did since an earlier reading.
    pub(super) fn since(&self, earlier: &Self) -> Result<Step> {
        let seconds = (self.time - earlier.time).as_secs_f64();
        let mut ticks = [0.0; 8];
        for (at, ticks) in ticks.iter_mut().enumerate() {
            *ticks = self.ticks[at].saturating_sub(earlier.ticks[at]) as f64;
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks;
        let own = user + nice + system + idle + iowait + irq + softirq;
        anyhow::ensure!(own > 0.0, "the kernel does not account the target CPU's time");
        Ok(Step {
            rate: f64::from(self.packets.wrapping_sub(earlier.packets)) / seconds,
            idle_pct: (idle + iowait) / own * 100.0,
            tasks_pct: (user + nice + system) / own * 100.0,
            steal_pct: steal / (own + steal) * 100.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_addresses_of_their_own() {
        let rules = ruleset(251);
        assert_eq!(rules.lines().filter(|line| line.starts_with("-A")).count(), 251);
        assert!(rules.contains("198.18.0.249/32") && rules.contains("198.18.1.0/32"));
    }

    #[test]
    fn shares_are_of_the_time_that_was_not_stolen() {
        let softnet = |packets: &str| {
            format!("00000001{0} 0000000{1}\n{packets}{0} 00000001\n", " 00000000".repeat(11), 0)
        };
        let of = |stat: &str, packets: &str, time| {
            Counters::of(time, 1, &format!("cpu  9\ncpu0 1 1 1 1\n{stat}\n"), &softnet(packets)).unwrap()
        };
        let start = Instant::now();
        let before = of("cpu1 0 0 0 0 0 0 0 0 0 0", "ffffffff", start);
        let after = of("cpu1 6 2 2 20 10 0 10 50 0 0", "000003e7", start + Duration::from_secs(2));
        let step = after.since(&before).unwrap();
        assert_eq!(step, Step { rate: 500.0, idle_pct: 60.0, tasks_pct: 20.0, steal_pct: 50.0 });
    }
}
