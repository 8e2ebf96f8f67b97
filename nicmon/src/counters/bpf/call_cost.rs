//! What the kernel needs to call a program and to return from it, which BPF statistics do not cover.
//!
//! It depends on the machine, on where the program is attached, and on what is in the caches. `nicmon
//! overhead` measures it for packets over loopback, and leaves it in [`MEASURED`] until the machine
//! reboots. Without that, only a range is known.

use std::{fs::File, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

/// Where `nicmon overhead` leaves what it measured.
pub const MEASURED: &str = "/run/nicmon/call-cost.json";

/// No call takes longer than this.
const MOST_NS: f64 = 10_000.0;

/// What a call costs, in ns.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CallCost {
    /// At least.
    pub low: f64,
    /// Most likely.
    pub likely: f64,
    /// At most.
    pub high: f64,
}

/// What is in [`MEASURED`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The boot in which it was measured.
    pub boot_id: String,
    /// What a call costs.
    pub call: CallCost,
}

impl CallCost {
    /// What `nicmon overhead` measured since this boot, if it did.
    ///
    /// A file that others may write is ignored.
    pub fn measured(file: &Path, boot_id: &str) -> Option<Self> {
        let mut file = File::open(file).ok()?;
        let about = file.metadata().ok()?;
        let is_ours = about.uid() == 0 || about.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || about.mode() & 0o022 != 0 || about.len() > 4096 {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let measured: Measured = serde_json::from_str(&text).ok()?;
        (measured.boot_id == boot_id && measured.call.is_sound()).then_some(measured.call)
    }

    /// Whether it can be true.
    fn is_sound(self) -> bool {
        let Self { low, likely, high } = self;
        0.0 <= low && low <= likely && likely <= high && high <= MOST_NS
    }

    /// What is known without a measurement. The least is that of the kernel's own benchmark of raw
    /// tracepoints (commit c5d420c32cb4), the most was seen in a virtual machine; the likely cost is their
    /// geometric mean.
    pub const UNMEASURED: Self = Self { low: 8.0, likely: 27.0, high: 90.0 };
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn it_holds_until_the_next_boot() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("call-cost.json");
        assert_eq!(CallCost::measured(&file, "a"), None);
        let call = CallCost { low: 30.0, likely: 34.5, high: 39.0 };
        let text = serde_json::to_string(&Measured { boot_id: "a".to_owned(), call }).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(CallCost::measured(&file, "a"), Some(call));
        assert_eq!(CallCost::measured(&file, "b"), None);
        let wrong = [
            CallCost { low: 40.0, ..call },
            CallCost { high: 1e308, ..call },
            CallCost { low: -1.0, ..call },
        ];
        assert!(wrong.iter().all(|call| !call.is_sound()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
        assert_eq!(CallCost::measured(&file, "a"), None);
    }
}
