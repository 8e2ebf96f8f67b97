//! What tasks spend in receiving from sockets, beside perf's call stacks of the same time.

use serde_json::Value;
use testkit::{idle::is_idle, share::Share};

use super::{
    frames::{array, number},
    perf::{Symbols, parse_head},
};

/// Functions on the stack of a task that receives (`net/ipv4/af_inet.c`, `tcp.c`, `udp.c`).
const RECEIVES: [&str; 3] = ["inet_recvmsg", "tcp_recvmsg", "udp_recvmsg"];
/// What is on the stack of a softirq. `handle_softirqs` was called `__do_softirq` before 6.11.
const SOFTIRQS: [&str; 3] = ["handle_softirqs", "__do_softirq", "__softirqentry_text_start"];
/// nicmon looks at every second sample of a task.
const ONE_IN: u64 = 2;

/// The share of the busy samples by nicmon's report.
pub(super) fn of_frame(frame: &Value) -> Option<Share> {
    let receives = array(&frame["sockets"]).filter(|one| one["direction"] == "rx");
    let samples = receives.map(|one| number(&one["samples"])).sum();
    Share::of(samples, number(&frame["host"]["sampling"]["busy"]) / ONE_IN)
}

/// The same by the output of `perf script -F pid,time,ip`: a line with process and time, then the addresses,
/// innermost first, one per line, then an empty line. What the driver does for a task, which sends
/// acknowledgements as well, is not a part of it.
pub(super) fn of_perf(script: &str, symbols: &Symbols, driver: &str, window_ns: (u64, u64)) -> Option<Share> {
    let (mut receives, mut busy) = (0, 0);
    for sample in script.split("\n\n") {
        let mut lines = sample.lines();
        let Some((pid, time_ns)) = lines.next().and_then(parse_head) else { continue };
        let addresses = lines.filter_map(|line| u64::from_str_radix(line.trim(), 16).ok());
        let called: Vec<_> = addresses.map(|address| symbols.at(address)).collect();
        let functions: Vec<&str> =
            called.iter().map(|symbol| symbol.map_or("", |symbol| &symbol.name)).collect();
        if !(window_ns.0..window_ns.1).contains(&time_ns) || is_idle(pid, functions.first().copied()) {
            continue;
        }
        busy += 1;
        let has = |names: &[&str]| functions.iter().any(|function| names.contains(function));
        let module = called.first().and_then(|symbol| symbol.as_ref()?.module.as_deref());
        receives += u64::from(has(&RECEIVES) && !has(&SOFTIRQS) && module != Some(driver));
    }
    Share::of(receives, busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_receive() {
        let symbols = Symbols::parse(
            "1000 T copy\n2000 T tcp_recvmsg\n3000 T handle_softirqs\n4000 T other\n5000 T default_idle\n\
             6000 t cp_start_xmit [8139cp]\n",
        );
        let script = "7 1.000000001:\n 1004\n 2004\n\n7 1.000000002:\n 1004\n 3004\n 2004\n\n\
                      7 1.000000003:\n 4004\n\n7 1.000000003:\n 6004\n 2004\n\n\
                      0 1.000000004:\n 5004\n\n7 3.000000000:\n 1004\n 2004\n";
        assert_eq!(of_perf(script, &symbols, "8139cp", (1_000_000_000, 2_000_000_000)), Share::of(1, 4));
        let frame = serde_json::json!({
            "host": { "sampling": { "busy": 60 } },
            "sockets": [
                { "direction": "rx", "samples": 4 },
                { "direction": "tx", "samples": 2 },
                { "direction": "rx", "samples": 5 },
            ],
        });
        assert_eq!(of_frame(&frame), Share::of(9, 30));
    }
}
