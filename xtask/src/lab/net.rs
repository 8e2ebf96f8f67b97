//! The guest's network: a tap for each NIC, an HTTP server and a sink, in an isolated network namespace.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use testkit::{
    load::Namespace,
    process::{Running, output},
};

use super::device::Device;

/// The namespace with its taps. Dropping this value stops both servers and removes the namespace.
#[derive(Debug)]
pub(super) struct Network {
    // Fields are dropped in this order: the servers first.
    _server: Running,
    _sink: Running,
    namespace: Namespace,
}

impl Network {
    /// The file that the server offers.
    pub(super) const FILE: &str = "file";

    /// Creates the namespace, the taps (`tap0` for the first NIC, and so on), the server of a file with
    /// `bytes` zeros, and the sink.
    pub(super) fn create(
        devices: &[Device],
        queues: u32,
        bytes: u64,
        busybox: &Path,
        folder: &Path,
    ) -> Result<Self> {
        const PREFIX: &str = "nicmon-lab";
        Namespace::remove_leftovers(PREFIX);
        let namespace = Namespace::create(&format!("{PREFIX}-{}-net", std::process::id()))?;
        for (index, device) in devices.iter().enumerate() {
            add_tap(&namespace, index, *device == Device::Virtio, queues)
                .with_context(|| format!("cannot make a tap for {}", device.model()))?;
        }
        // A sparse file takes no space on the disk.
        File::create(folder.join(Self::FILE))?.set_len(bytes)?;
        let mut server = namespace.command(&busybox.display().to_string());
        server.args(["httpd", "-f", "-p", "80", "-h"]).arg(folder).stdin(Stdio::null());
        // Accepts uploads and discards them.
        let mut sink = namespace.command(&busybox.display().to_string());
        sink.args(["nc", "-ll", "-p", "81", "-e"]).arg(busybox).args(["sh", "-c", "exec cat >/dev/null"]);
        sink.stdin(Stdio::null());
        Ok(Self { _server: Running::start(&mut server)?, _sink: Running::start(&mut sink)?, namespace })
    }

    /// A command to run in the namespace.
    pub(super) fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// The namespace.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The addresses of a link: the host's and the guest's. From now on the host does not ask for the guest's
    /// MAC address, so that a load cannot be held up by a guest that is too busy to answer.
    pub(super) fn ends(&self, index: usize) -> Result<(Ipv4Addr, Ipv4Addr)> {
        let (host, guest) = (host_address(index), guest_address(index));
        let mut neighbour = self.namespace.command("ip");
        neighbour.args(["neigh", "replace", &guest, "lladdr", &mac(index), "dev", &tap(index)]);
        output(neighbour.args(["nud", "permanent"]))?;
        Ok((host.parse()?, guest.parse()?))
    }

    /// Makes many addresses those of the host, and returns the first.
    pub(super) fn many_addresses(&self) -> Result<Ipv4Addr> {
        let (first, network) = MANY;
        output(self.namespace.command("ip").args(["route", "replace", "local", network, "dev", "lo"]))?;
        Ok(first.parse()?)
    }
}

/// The first of many addresses of the host, and the network that they are in: for tests of devices.
const MANY: (&str, &str) = ("198.18.0.1", "198.18.0.0/24");

/// The host's address on the link of a NIC. Each link is a part of TEST-NET-1, which no real network uses.
pub(super) fn host_address(index: usize) -> String {
    format!("192.0.2.{}", index * 4 + 1)
}

/// The guest's address on the link of a NIC.
pub(super) fn guest_address(index: usize) -> String {
    format!("192.0.2.{}", index * 4 + 2)
}

/// The prefix length of these addresses.
pub(super) const PREFIX_BITS: u32 = 30;

/// The MAC address of a NIC (locally administered).
pub(super) fn mac(index: usize) -> String {
    format!("02:00:00:00:03:{index:02x}")
}

/// The tap of a NIC.
pub(super) fn tap(index: usize) -> String {
    format!("tap{index}")
}

fn add_tap(namespace: &Namespace, index: usize, virtio: bool, queues: u32) -> Result<()> {
    let tap = tap(index);
    let mut add = namespace.command("ip");
    add.args(["tuntap", "add", "dev", &tap, "mode", "tap"]);
    if virtio {
        add.arg("vnet_hdr");
        if queues > 1 {
            add.arg("multi_queue");
        }
    }
    output(&mut add)?;
    let address = format!("{}/{PREFIX_BITS}", host_address(index));
    output(namespace.command("ip").args(["address", "add", &address, "dev", &tap]))?;
    output(namespace.command("ip").args(["link", "set", &tap, "up"]))?;
    Ok(())
}
