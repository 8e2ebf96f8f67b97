//! Two namespaces connected by a veth pair whose receiving end polls by NAPI.

use std::process::{self, Command};

use anyhow::{Context as _, Result};

use super::{Namespace, other_cpu};
use crate::process::output;

const TX: &str = "demo-tx";
const RX: &str = "demo-rx";
const TX_MAC: &str = "02:00:00:00:02:01";
const RX_MAC: &str = "02:00:00:00:02:02";

/// How packets reach the stack at the receiving end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// The veth's own NAPI, in softirq.
    Napi,
    /// No NAPI: the per-CPU backlog.
    Backlog,
    /// The veth's NAPI in a kernel thread.
    Threaded,
    /// The veth's NAPI, then by RPS to another CPU's backlog.
    Rps,
}

/// `demo-tx` (192.0.2.1) in one namespace and `demo-rx` (192.0.2.2) in another. It carries no packets but
/// those of the load.
#[derive(Debug)]
pub struct VethPair {
    /// The sending side's namespace.
    pub tx: Namespace,
    /// The receiving side's namespace.
    pub rx: Namespace,
}

impl VethPair {
    /// The address of the receiving end (in TEST-NET-1, which no real network uses).
    pub const RX_ADDRESS: &str = "192.0.2.2";
    /// The address of the sending end.
    pub const TX_ADDRESS: &str = "192.0.2.1";
    /// The name of the receiving end.
    pub const RX_NAME: &str = RX;
    /// The name of the sending end.
    pub const TX_NAME: &str = TX;

    /// Creates namespaces `<prefix>-<pid>-tx` and `-rx` with a pair that polls by NAPI. First removes those
    /// that a killed run with the same prefix left behind.
    ///
    /// # Errors
    /// Without root, iproute2, ethtool or the kernel's veth.
    pub fn create(prefix: &str) -> Result<Self> {
        Namespace::remove_leftovers(prefix);
        let pid = process::id();
        let tx = Namespace::create(&format!("{prefix}-{pid}-tx"))?;
        let rx = Namespace::create(&format!("{prefix}-{pid}-rx"))?;
        let pair = Self { tx, rx };
        pair.wire().context("cannot set up the veth pair")?;
        Ok(pair)
    }

    fn wire(&self) -> Result<()> {
        let Self { tx, rx } = self;
        ip(&format!(
            "link add {TX} netns {} address {TX_MAC} type veth peer name {RX} netns {} address {RX_MAC}",
            tx.name(),
            rx.name()
        ))?;
        // With static neighbours there is no ARP, so rx_packets counts the load alone.
        let ends = [
            (tx, TX, Self::TX_ADDRESS, Self::RX_ADDRESS, RX_MAC),
            (rx, RX, Self::RX_ADDRESS, Self::TX_ADDRESS, TX_MAC),
        ];
        for (namespace, device, address, peer, peer_mac) in ends {
            let name = namespace.name();
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} addr add {address}/24 dev {device}"))?;
            ip(&format!("-n {name} neigh add {peer} lladdr {peer_mac} dev {device} nud permanent"))?;
        }
        // veth polls by NAPI only with GRO on at the receiving end (veth_open) and no TSO at the sending
        // end (veth_skb_is_eligible_for_gro), drivers/net/veth.c.
        output(rx.command("ethtool").args(["-K", RX, "gro", "on"]))?;
        output(tx.command("ethtool").args(["-K", TX, "tso", "off"]))?;
        ip(&format!("-n {} link set {RX} up", rx.name()))?;
        ip(&format!("-n {} link set {TX} up", tx.name()))
    }

    /// Sets how the receiving end's packets are handled, given the CPU that sends.
    ///
    /// # Errors
    /// When the kernel refuses, or [`Receive::Rps`] finds no second CPU.
    pub fn receive_by(&self, mode: Receive, sender_cpu: usize) -> Result<()> {
        match mode {
            Receive::Napi => Ok(()),
            Receive::Backlog => {
                output(self.rx.command("ethtool").args(["-K", RX, "gro", "off"]))?;
                output(self.tx.command("ethtool").args(["-K", TX, "tso", "on"])).map(drop)
            }
            Receive::Threaded => self.write_sysfs("threaded", "1"),
            Receive::Rps => {
                let cpu = other_cpu(sender_cpu)?.context("RPS needs a second CPU, this machine has one")?;
                self.write_sysfs("queues/rx-0/rps_cpus", &cpu_mask(cpu))
            }
        }
    }

    /// Writes a sysfs file of the receiving device, in its namespace.
    fn write_sysfs(&self, file: &str, value: &str) -> Result<()> {
        let script = format!("echo {value} > /sys/class/net/{RX}/{file}");
        output(self.rx.command("sh").args(["-c", &script])).map(drop)
    }
}

/// A CPU mask in the format of sysfs: hexadecimal words of 32 bits, the highest first.
fn cpu_mask(cpu: usize) -> String {
    format!("{:x}{}", 1_u32 << (cpu % 32), ",00000000".repeat(cpu / 32))
}

fn ip(arguments: &str) -> Result<()> {
    output(Command::new("ip").args(arguments.split(' '))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::cpu_mask;

    #[test]
    fn masks_are_words_of_32_cpus() {
        assert_eq!(cpu_mask(0), "1");
        assert_eq!(cpu_mask(5), "20");
        assert_eq!(cpu_mask(32), "1,00000000");
        assert_eq!(cpu_mask(65), "2,00000000,00000000");
    }
}
