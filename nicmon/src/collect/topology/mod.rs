//! `topology`: how the network is set up, and when frames carry that.

mod devices;
mod feed;
mod thread;

pub(super) use self::feed::Feed;
use self::thread::{Depth, Thread};
use super::{CollectError, Filter, own};
use crate::{
    frame::topology::{Nic, Topology},
    host::{Roots, netns::existing},
};

/// Reads the topology once: all namespaces that can be entered, and the NICs that the filter shows.
///
/// # Errors
/// The namespace of this process or the online CPUs cannot be read, a thread cannot be started, or the
/// filter names something that does not exist.
pub fn read_topology(roots: &Roots, filter: &Filter) -> Result<Topology, CollectError> {
    let thread = Thread::start(roots.clone(), own(roots.clone()))?;
    thread.ask(Depth::Counters, existing(&roots.proc));
    let mut topology = thread.wait()?;
    let names = |nic: &Nic| std::iter::once(&nic.name).chain(&nic.alt_names).cloned().collect();
    filter.check_interfaces(&topology.nics.iter().map(names).collect::<Vec<_>>())?;
    show(&mut topology, filter);
    Ok(topology)
}

/// Keeps only the NICs to show.
fn show(topology: &mut Topology, filter: &Filter) {
    topology.nics.retain(|nic| {
        filter.shows_interface(std::iter::once(&nic.name).chain(&nic.alt_names).map(String::as_str))
    });
}
