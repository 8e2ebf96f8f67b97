//! A made-up machine, whose frames the tests change.

use serde_json::{Value, json};

use crate::{
    diagnose::{Diagnosis, Judgement},
    frame::{Finding, Frame},
};

/// A machine whose frames the tests change.
pub(super) struct Machine {
    pub(super) frame: Value,
}

impl Machine {
    /// Idle CPUs and one NIC, `eth0`, with a queue per CPU that is polled there.
    pub(super) fn new(cpus: u32) -> Self {
        let vector = json!({ "count": 0, "ns": 0, "max_ns": 0 });
        let net_rx = json!({ "count": 1000, "ns": 0, "max_ns": 0, "other_ns": 0, "mixed_ns": 0 });
        let cpu = |cpu: u32| {
            let stat = json!({ "user_pct": 0, "system_pct": 0, "softirq_pct": 0, "irq_pct": 0,
                "iowait_pct": 0, "idle_pct": 100, "steal_pct": 0 });
            let softirq = json!({ "hi": vector, "timer": vector, "net_tx": vector, "net_rx": net_rx,
                "block": vector, "irq_poll": vector, "tasklet": vector, "sched": vector, "hrtimer": vector,
                "rcu": vector });
            let softnet = json!({ "processed": 0, "dropped": 0, "time_squeeze": 0, "received_rps": 0,
                "backlog_len": 0 });
            json!({ "cpu": cpu, "stat": stat, "hardirq_ns": 0, "softirq": softirq, "ksoftirqd_ns": 0,
                "softnet": softnet })
        };
        let napi = |cpu: u32| {
            let on = json!({ "cpu": cpu, "poll_ns": 0, "polls": 100, "work": 100, "repolls": 0 });
            json!({ "napi_id": 100 + cpu, "poll_fn": "poll", "queue": cpu, "kind": "rx", "mode": "softirq",
                "cpus": [on] })
        };
        let on = |cpu: u32| {
            json!({ "cpu": cpu, "poll_ns": 0, "hardirq_ns": 0, "polls": 100, "work": 100, "repolls": 0,
                "load_pct": 0 })
        };
        let drops = json!({ "rx_dropped": 0, "rx_missed": 0, "rx_fifo": 0, "rx_crc": 0, "rx_nohandler": 0,
            "tx_dropped": 0 });
        let nic = json!({ "name": "eth0", "ifindex": 2, "netns": 1, "driver": "igb", "rx_packets": 50_000,
            "rx_bytes": 1, "tx_packets": 1, "tx_bytes": 1, "drops": drops, "poll_ns": 0,
            "threaded_est_ns": null, "hardirq_ns": 0,
            "cpus": (0..cpus).map(on).collect::<Vec<_>>(),
            "napis": (0..cpus).map(napi).collect::<Vec<_>>() });
        let queue = |cpu: u32| {
            json!({ "kind": "rx", "index": cpu, "napi_id": 100 + cpu, "irq": 30 + cpu, "rps_cpus": [],
                "rps_flow_cnt": 0, "xps_cpus": null })
        };
        let irq = |cpu: u32| {
            json!({ "irq": 30 + cpu, "action": format!("eth0-rx-{cpu}"), "queue": cpu, "affinity": [cpu],
                "affinity_effective": [cpu] })
        };
        let setup = json!({ "name": "eth0", "ifindex": 2, "netns": 1, "kind": null, "driver": "igb",
            "driver_version": null, "firmware": null, "bus": null, "numa_node": null, "upper": [],
            "lower": [], "master": null, "mtu_bytes": 1500, "up": true, "speed_mbps": null, "xdp": [],
            "channels": { "combined": cpus, "combined_max": cpus }, "rings": null, "rss": null,
            "coalesce": null, "offloads": null,
            "queues": (0..cpus).map(queue).collect::<Vec<_>>(),
            "irqs": (0..cpus).map(irq).collect::<Vec<_>>(),
            "threaded_napi": false, "gro_flush_timeout_ns": 0, "napi_defer_hard_irqs": 0,
            "tx_queue_len": 1000 });
        let place = |cpu: u32| {
            json!({ "cpu": cpu, "package": 0, "core": cpu, "siblings": [cpu], "numa_node": null,
                "isolated": false, "nohz_full": false })
        };
        let topology = json!({ "nics": [setup], "cpus": (0..cpus).map(place).collect::<Vec<_>>(),
            "sysctls": { "netdev_budget": 300, "netdev_max_backlog": 1000, "rps_sock_flow_entries": 0 },
            "packet_types": [] });
        let host = json!({ "hostname": "made-up", "kernel": "6.18", "cpus_online": cpus, "source": "bpf",
            "accounting": "tick", "preempt_rt": false, "drops": [],
            "sampling": null });
        let netns = json!({ "inum": 1, "name": null, "cgroup": null, "udp_rcvbuf_errors": 0,
            "listen_drops": 0, "gro_ratio": 1.0, "ip_packets": 50_000 });
        let own = json!({ "bpf_est_ns": 0, "bpf_runs": 0, "cpu_ns": 0, "rss_bytes": 0, "lost": 0,
            "overhead_pct": 0 });
        let frame = json!({ "schema": "nicmon.frame/1", "seq": 0, "time": "2026-11-27T00:00:00Z",
            "mono_ns": 1_000_000_000_u64, "boot_id": "b", "interval_ns": 1_000_000_000_u64, "host": host,
            "cpus": (0..cpus).map(cpu).collect::<Vec<_>>(), "nics": [nic], "drivers": [], "irqs": [],
            "netns": [netns], "topology": topology, "self": own });
        Self { frame }
    }

    /// CPU `cpu` spends `pct` of its time receiving from the queue of CPU `queue`, and is full.
    pub(super) fn full(mut self, cpu: usize, queue: usize, pct: u32) -> Self {
        self.set(&format!("/cpus/{cpu}/stat/idle_pct"), json!(0));
        self.set(&format!("/cpus/{cpu}/stat/softirq_pct"), json!(pct));
        self.set(&format!("/cpus/{cpu}/softirq/net_rx/ns"), json!(u64::from(pct) * 10_000_000));
        self.set(&format!("/nics/0/cpus/{cpu}/load_pct"), json!(pct));
        self.set(&format!("/nics/0/cpus/{cpu}/work"), json!(40_000));
        self.set(&format!("/nics/0/napis/{queue}/cpus/0/cpu"), json!(cpu));
        self.set(&format!("/nics/0/napis/{queue}/cpus/0/work"), json!(40_000));
        self
    }

    pub(super) fn set(&mut self, pointer: &str, value: Value) {
        *self.frame.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    }

    pub(super) fn with(mut self, pointer: &str, value: Value) -> Self {
        self.set(pointer, value);
        self
    }

    pub(super) fn frame(&self, second: u64) -> Frame {
        let mut frame = self.frame.clone();
        frame["seq"] = json!(second);
        frame["mono_ns"] = json!((second + 1) * 1_000_000_000);
        serde_json::from_value(frame).expect("a frame")
    }

    /// What is found after five such seconds.
    pub(super) fn judged(&self) -> Judgement {
        let mut diagnosis = Diagnosis::default();
        (0..5).map(|second| diagnosis.judge(&self.frame(second))).last().expect("five")
    }

    pub(super) fn one(&self) -> Finding {
        let judged = self.judged();
        let [finding] = &judged.findings[..] else { panic!("{judged:#?}") };
        finding.clone()
    }
}
