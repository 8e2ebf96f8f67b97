//! How fast a CPU runs, as cpufreq says.

use std::path::Path;

use super::read_line;
use crate::frame::CpuFreq;

/// The frequency of a CPU now and at most; `None` without cpufreq, as in most virtual machines.
///
/// Where the hardware counts cycles, the first is an average over the last ticks (`show_scaling_cur_freq` in
/// `drivers/cpufreq/cpufreq.c`, `arch_freq_get_on_cpu`), elsewhere what was asked for last. Some kernels
/// interrupt the CPU for it, so read it only when there is a reason.
pub fn cpu_freq(sys: &Path, cpu: u32) -> Option<CpuFreq> {
    let khz = |file: &str| -> Option<u64> {
        let path = sys.join(format!("devices/system/cpu/cpu{cpu}/cpufreq/{file}"));
        read_line(&path).ok()?.parse().ok().filter(|khz| *khz > 0)
    };
    Some(CpuFreq { now_khz: khz("scaling_cur_freq")?, max_khz: khz("cpuinfo_max_freq")? })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_a_cpu_with_and_without_cpufreq() {
        let sys = tempfile::tempdir().unwrap();
        let folder = sys.path().join("devices/system/cpu/cpu3/cpufreq");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cpuinfo_max_freq"), "3800000\n").unwrap();
        assert_eq!(cpu_freq(sys.path(), 3), None);
        for (text, now_khz) in [("1200000\n", Some(1_200_000)), ("<unknown>\n", None), ("0\n", None)] {
            fs::write(folder.join("scaling_cur_freq"), text).unwrap();
            assert_eq!(cpu_freq(sys.path(), 3).map(|freq| freq.now_khz), now_khz, "{text}");
        }
        assert_eq!(cpu_freq(sys.path(), 0), None);
    }
}
