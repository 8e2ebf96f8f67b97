//! The parts that the jobs of all guests have in common.

use super::net;

/// The first process of the guest.
pub(super) const INIT: &str = include_str!("scripts/init.sh");

/// The whole job: the functions that all cases share, then the script of one case.
pub(super) fn whole(script: &str) -> String {
    format!("{}{script}echo finished\n", include_str!("scripts/job.sh"))
}

/// The folder of a NIC's results, within the shared folder.
pub(super) fn folder(index: usize) -> String {
    format!("nic{index}")
}

/// How the job refers to a NIC and addresses it: MAC address, IP address and prefix length.
pub(super) fn nic(index: usize) -> String {
    format!("{} {}/{}", net::mac(index), net::guest_address(index), net::PREFIX_BITS)
}

/// The URL of a NIC's download.
pub(super) fn url(index: usize) -> String {
    format!("http://{}/{}", net::host_address(index), net::Network::FILE)
}
