//! What every guest's job is made of.

use super::net;

/// The first process of the guest.
pub(super) const INIT: &str = include_str!("scripts/init.sh");

/// The whole job: the functions that all cases share, then the script of one.
pub(super) fn whole(script: &str) -> String {
    format!("{}{script}echo finished\n", include_str!("scripts/job.sh"))
}

/// The folder of a NIC's results, in the shared one.
pub(super) fn folder(index: usize) -> String {
    format!("nic{index}")
}

/// How the job names a NIC and where it stands in the network: MAC address, address and bits.
pub(super) fn nic(index: usize) -> String {
    format!("{} {}/{}", net::mac(index), net::guest_address(index), net::PREFIX_BITS)
}

/// Where a NIC's download comes from.
pub(super) fn url(index: usize) -> String {
    format!("http://{}/{}", net::host_address(index), net::Network::FILE)
}
