//! The functions through which tasks receive from IP and packet sockets, or send.

use std::{collections::HashMap, ops::Range};

use nicmon_common::SOCKET_CALLS;

use super::{Function, Kallsyms};
use crate::frame::Direction;

const RX: Option<Direction> = Some(Direction::Rx);
const TX: Option<Direction> = Some(Direction::Tx);

/// A name in Linux 5.10 to 7.3, or several of which the first one counts that the kernel has, and its
/// direction. Sockets of other families (Unix, netlink) have functions of their own.
///
/// The socket layer calls `inet_recvmsg`, which calls the protocol's function and stays on the stack.
/// `inet_sendmsg` ends with a jump to the protocol's function (`net/ipv4/af_inet.c`), so that is needed,
/// too. Programs in the kernel (NFS, `NVMe` over TCP) read TCP with `tcp_read_sock`; kernel TLS and sockmaps
/// send with `tcp_sendmsg_locked`. Sending over loopback ends with a softirq in the same task, and a task
/// that polls busily runs polls: neither is a part of the call.
const CALLS: [(&[&str], Option<Direction>); SOCKET_CALLS] = [
    (&["handle_softirqs", "__do_softirq"], None),
    (&["__napi_busy_loop", "napi_busy_loop"], None),
    (&["inet_recvmsg"], RX),
    (&["inet6_recvmsg"], RX),
    (&["tcp_recvmsg"], RX),
    (&["tcp_splice_read"], RX),
    (&["tcp_read_sock"], RX),
    (&["tcp_zerocopy_receive"], RX),
    (&["udp_recvmsg"], RX),
    (&["udpv6_recvmsg"], RX),
    (&["raw_recvmsg"], RX),
    (&["rawv6_recvmsg"], RX),
    (&["packet_recvmsg"], RX),
    (&["inet_sendmsg"], TX),
    (&["inet6_sendmsg"], TX),
    (&["tcp_sendmsg"], TX),
    (&["tcp_sendmsg_locked"], TX),
    (&["tls_sw_sendmsg"], TX),
    (&["tcp_sendpage"], TX),
    (&["udp_sendmsg"], TX),
    (&["udpv6_sendmsg"], TX),
    (&["raw_sendmsg"], TX),
    (&["rawv6_sendmsg"], TX),
    (&["mptcp_sendmsg"], TX),
    (&["sctp_sendmsg"], TX),
    (&["packet_sendmsg"], TX),
];

/// Those that this kernel has: their addresses, and which way packets go through them; `None` if what they
/// call is no part of a call of a socket.
pub fn socket_calls(kallsyms: &Kallsyms) -> Vec<(Range<u64>, Option<Direction>)> {
    let mut found: HashMap<&str, Function<'_>> = HashMap::new();
    for function in kallsyms.functions() {
        // Others may use a name again: CAN has a `raw_sendmsg`.
        if function.module != Some("can_raw") && is_listed(function.name) {
            found.entry(function.name).or_insert(function);
        }
    }
    let call = |(names, direction): &(&[&str], Option<Direction>)| {
        let function = names.iter().find_map(|name| found.get(name))?;
        Some((function.start..function.end, *direction))
    };
    CALLS.iter().filter_map(call).collect()
}

fn is_listed(name: &str) -> bool {
    CALLS.iter().any(|(names, _)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn this_kernel_has_the_most_important_ones() {
        let kallsyms = match Kallsyms::read(Path::new("/proc")) {
            Ok(kallsyms) => kallsyms,
            Err(error) => return testkit::not_run::say_of_this_thread(&error.to_string()),
        };
        let calls = socket_calls(&kallsyms);
        for (name, direction) in [("tcp_recvmsg", RX), ("tcp_sendmsg", TX), ("udp_recvmsg", RX)] {
            let start = kallsyms.address_of(name).expect(name);
            assert!(calls.iter().any(|(code, way)| code.start == start && *way == direction), "{name}");
        }
        assert!(calls.iter().all(|(code, _)| code.start < code.end));
    }
}
