//! What a guest runs, and on which machine.

use std::{path::PathBuf, time::Duration};

use super::{Args, device::Device, load::Load};

/// A transfer below this rate is aborted. It is a tenth of the rate on a busy machine.
const SLOWEST_MB_S: u64 = 1;
/// How long a guest may take to boot, or to start nicmon and perf.
const OVERHEAD_S: u64 = 120;

/// The guest's machine and its job.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) devices: Vec<Device>,
    /// Queues of virtio NICs.
    pub(super) queues: u32,
    /// CPUs of the guest, if their number does not follow from the queues.
    pub(super) smp: Option<u32>,
    /// More words for the kernel's command line.
    pub(super) append: String,
    /// Bytes per transfer.
    pub(super) bytes: u64,
    /// Programs of this machine to copy into the guest, besides nicmon.
    pub(super) programs: Vec<String>,
    /// Other binaries of this machine to copy, and their paths in the guest's root.
    pub(super) binaries: Vec<(PathBuf, String)>,
    /// Kernel modules to load, besides the drivers of the NICs.
    pub(super) modules: Vec<String>,
    /// Files to create in the guest's root: path and contents.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// The load that the guest can ask for.
    pub(super) load: Option<Load>,
    /// The shell script to run in the guest, after the functions of [`super::job`].
    pub(super) script: String,
    /// Number of measurements, on which the time limit depends.
    pub(super) measurements: u64,
    /// The time limit, if it does not follow from the number of measurements.
    pub(super) limit: Option<Duration>,
}

impl Plan {
    /// A machine according to the options, without a job.
    pub(super) fn of(args: &Args, devices: &[Device]) -> Self {
        Self {
            devices: if args.chosen.is_empty() { devices.to_vec() } else { args.chosen.clone() },
            queues: args.queues.unwrap_or(1),
            smp: args.cpus,
            append: String::new(),
            bytes: args.megabytes * 1_000_000,
            programs: Vec::new(),
            binaries: Vec::new(),
            modules: Vec::new(),
            files: Vec::new(),
            load: None,
            script: String::new(),
            measurements: 0,
            limit: None,
        }
    }

    /// The devices with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, Device)> {
        self.devices.iter().copied().enumerate()
    }

    /// CPUs of the guest.
    pub(super) fn cpus(&self) -> u32 {
        self.smp.unwrap_or(self.queues.max(2))
    }

    /// Time limit of one transfer, in seconds.
    pub(super) fn transfer_s(&self) -> u64 {
        OVERHEAD_S / 2 + self.bytes / 1_000_000 / SLOWEST_MB_S
    }

    /// Time limit of the guest.
    pub(super) fn limit(&self) -> Duration {
        let of_measurements = (self.measurements + 1) * (OVERHEAD_S + self.transfer_s());
        self.limit.unwrap_or(Duration::from_secs(of_measurements))
    }
}
