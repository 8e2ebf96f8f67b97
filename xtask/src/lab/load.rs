//! Load from outside that a guest asks for. It is not switched by fixed times, because under emulation nobody
//! knows when nicmon has started.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use testkit::load::{FlowsPlan, Phases, Sent, UdpFlows};

use super::net::Network;

/// The load lasts while this file is in the folder that the guest shares.
const SEND: &str = "send";
/// The number of packets that the load sent stands in this file of that folder.
pub(super) const SENT: &str = "sent";
/// While this one is there, a few packets of each flow come.
const SETTLE: &str = "settle";
/// Packets per second that are no load.
const SETTLE_PPS: u32 = 100;

/// UDP packets of 64 bytes to the guest's first NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    /// Source ports, which take turns.
    pub(super) flows: u16,
    /// How many addresses send them, if several.
    pub(super) addresses: Option<u16>,
    /// Packets per second, of all flows together.
    pub(super) pps: u32,
    /// If given, the load comes only in the first seconds of each period: seconds, and length of the period.
    pub(super) phases_s: Option<(u64, u64)>,
}

/// The load of a guest that runs.
#[derive(Debug)]
pub(super) struct OnRequest<'a> {
    load: Option<Load>,
    network: &'a Network,
    shared: &'a Path,
    limit: Duration,
    sending: Option<(Load, UdpFlows)>,
}

impl<'a> OnRequest<'a> {
    /// Nothing is sent yet, and nothing for longer than `limit` at a time.
    pub(super) fn new(load: Option<Load>, network: &'a Network, shared: &'a Path, limit: Duration) -> Self {
        Self { load, network, shared, limit, sending: None }
    }

    /// Starts or stops the load, if the guest has changed its mind.
    pub(super) fn follow(&mut self) -> Result<()> {
        let wanted = self.wanted();
        if self.sending.as_ref().map(|(load, _)| *load) != wanted {
            if let Some((load, sending)) = self.sending.take() {
                let Sent { packets, time } = sending.stop()?;
                let rate = packets as f64 / time.as_secs_f64().max(0.001);
                if Some(load) == self.load {
                    fs::write(self.shared.join(SENT), packets.to_string())?;
                    eprintln!("xtask: sent {packets} packets, {rate:.0} per second");
                }
            }
            self.sending = wanted.map(|load| anyhow::Ok((load, self.start(load)?))).transpose()?;
        }
        if let Some((_, sending)) = self.sending.take_if(|(_, sending)| !sending.is_sending()) {
            sending.stop()?;
            bail!("the guest did not stop the load within {} s", self.limit.as_secs());
        }
        Ok(())
    }

    fn wanted(&self) -> Option<Load> {
        let load = self.load?;
        let is_there = |file| self.shared.join(file).exists();
        if is_there(SEND) {
            return Some(load);
        }
        is_there(SETTLE).then_some(Load { pps: SETTLE_PPS, phases_s: None, ..load })
    }

    fn start(&self, load: Load) -> Result<UdpFlows> {
        let seconds = Duration::from_secs;
        let (own, to) = self.network.ends(0)?;
        let from = if load.addresses.is_some() { self.network.many_addresses()? } else { own };
        let phases = load.phases_s.map(|(on, every)| Phases { on: seconds(on), every: seconds(every) });
        let plan = FlowsPlan {
            from,
            to,
            flows: load.flows,
            addresses: load.addresses.unwrap_or(1),
            pps: load.pps,
            sender_cpu: None,
            phases,
            limit: self.limit,
        };
        UdpFlows::start(self.network.namespace(), plan).context("cannot start the load")
    }
}
