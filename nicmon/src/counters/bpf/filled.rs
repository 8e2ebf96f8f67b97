//! Maps filled as the programs would fill them on a large machine, for the tests of what reading costs.

use nicmon_common::NapiOwner;

use super::{Options, Probe, ProbeError, programs::AttachKind};
use crate::host::btf::{KERNEL_BTF, KernelBtf};

impl Probe {
    /// Loads the programs for a machine with this many CPUs, and does not attach them.
    ///
    /// # Errors
    /// As for [`Probe::attach`].
    pub(crate) fn for_cpus(cpus: u32) -> Result<Self, ProbeError> {
        let kernel = KernelBtf::read(std::path::Path::new(KERNEL_BTF))?;
        let sampling = Some(crate::counters::HowToSample { frequency: 99, stacks: false });
        let interval = std::time::Duration::from_secs(1);
        let options = Options {
            cpus,
            preempt_rt: false,
            latency: false,
            sampling,
            cpu_hz: None,
            interval,
            max_overhead_pct: None,
            call_cost: super::CallCost::UNMEASURED,
            log: false,
            privileges: super::privileged::own(),
        };
        Self::load(AttachKind::TpBtf, options, &kernel)
    }

    /// Gives a NAPI a slot on a CPU.
    pub(crate) fn put_napi(&mut self, cpu: usize, owner: NapiOwner) -> u32 {
        self.napis.put_owner(&self.cpus, cpu, owner)
    }

    /// Files polls to a slot: some ns each.
    pub(crate) fn put_polls(&self, cpu: usize, slot: u32, polls: u64, ns: u64) {
        self.napis.put(&self.cpus, cpu, slot, |stats| {
            stats.softirq.polls += polls;
            stats.softirq.work += polls * 8;
            stats.softirq_ns += polls * ns;
        });
        if let Some(mut state) = self.cpus.get(cpu) {
            state.net_rx.count += polls;
            state.net_rx.ns += polls * ns;
            self.cpus.put(cpu, state);
        }
    }
}
