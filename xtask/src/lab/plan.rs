//! What a run does in its guest.

use std::{path::PathBuf, time::Duration};

use super::{Args, device::Device};

/// The rate below which a transfer is given up: ten times slower than on a busy machine.
const SLOWEST_MB_S: u64 = 1;
/// How long a guest may take to boot, or to start nicmon and perf.
const OVERHEAD_S: u64 = 120;

/// The guest's machine and its job.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) devices: Vec<Device>,
    /// Queues of virtio.
    pub(super) queues: u32,
    /// Bytes that each transfer moves.
    pub(super) bytes: u64,
    /// Programs of this machine that the guest gets besides nicmon.
    pub(super) programs: Vec<&'static str>,
    /// Other binaries of this machine, and their paths in the guest's root.
    pub(super) binaries: Vec<(PathBuf, &'static str)>,
    /// Modules besides the drivers of the NICs.
    pub(super) modules: Vec<&'static str>,
    /// Files of the guest's root: path and text.
    pub(super) files: Vec<(String, String)>,
    /// The shell script that runs in the guest, after what [`super::job`] defines.
    pub(super) script: String,
    /// How many measurements it makes: how long it may take.
    pub(super) measurements: u64,
    /// How long it may take, where the number of measurements does not tell.
    pub(super) limit: Option<Duration>,
}

impl Plan {
    /// A machine as the options say, without a job.
    pub(super) fn of(args: &Args, devices: &[Device]) -> Self {
        Self {
            devices: if args.chosen.is_empty() { devices.to_vec() } else { args.chosen.clone() },
            queues: args.queues.unwrap_or(1),
            bytes: args.megabytes * 1_000_000,
            programs: Vec::new(),
            binaries: Vec::new(),
            modules: Vec::new(),
            files: Vec::new(),
            script: String::new(),
            measurements: 0,
            limit: None,
        }
    }

    /// The devices by number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, Device)> {
        self.devices.iter().copied().enumerate()
    }

    /// CPUs of the guest.
    pub(super) fn cpus(&self) -> u32 {
        self.queues.max(2)
    }

    /// Seconds that one transfer may take.
    pub(super) fn transfer_s(&self) -> u64 {
        OVERHEAD_S / 2 + self.bytes / 1_000_000 / SLOWEST_MB_S
    }

    /// How long the guest may take.
    pub(super) fn limit(&self) -> Duration {
        let of_measurements = (self.measurements + 1) * (OVERHEAD_S + self.transfer_s());
        self.limit.unwrap_or(Duration::from_secs(of_measurements))
    }
}
