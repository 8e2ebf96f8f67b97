//! What tasks spend in receiving from sockets, beside perf's call stacks of the same time.

use serde_json::Value;
use testkit::{idle::is_idle, share::Share};

use super::{
    frames::{array, number},
    perf::{SOFTIRQS, Stacked, Symbols},
};

/// Functions on the stack of a task that receives (`net/ipv4/af_inet.c`, `tcp.c`, `udp.c`).
const RECEIVES: [&str; 3] = ["inet_recvmsg", "tcp_recvmsg", "udp_recvmsg"];
/// nicmon looks at every second sample of a task.
const ONE_IN: u64 = 2;

/// The share of the busy samples by nicmon's report.
pub(super) fn of_frame(frame: &Value) -> Option<Share> {
    let receives = array(&frame["sockets"]).filter(|one| one["direction"] == "rx");
    let samples = receives.map(|one| number(&one["samples"])).sum();
    Share::of(samples, number(&frame["host"]["sampling"]["busy"]) / ONE_IN)
}

/// The same of perf's samples in this time. What the driver does for a task, which sends acknowledgements as
/// well, is not a part of it.
pub(super) fn of_perf(script: &str, symbols: &Symbols, driver: &str, window_ns: (u64, u64)) -> Option<Share> {
    let (mut receives, mut busy) = (0, 0);
    for sample in Stacked::all(script, symbols, window_ns) {
        let functions = sample.functions();
        if is_idle(sample.pid, functions.first().copied()) {
            continue;
        }
        busy += 1;
        let has = |names: &[&str]| functions.iter().any(|function| names.contains(function));
        let module = sample.called.first().and_then(|symbol| symbol.as_ref()?.module.as_deref());
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
