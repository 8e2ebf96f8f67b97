//! Lists of CPUs.

use std::{fs, path::Path};

use super::{Error, read_line};

/// The highest number of CPUs that a kernel can be built for (`NR_CPUS` of x86 with `MAXSMP`; arm64 allows
/// fewer).
const MAX_CPUS: u32 = 8192;

/// Why a text is not a list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Nothing between two commas, or nothing at all.
    #[error("a number is missing: give a list such as 0-3,8")]
    Empty,
    /// Not a decimal number.
    #[error("{0:?} is not a number: give a list such as 0-3,8")]
    NotANumber(String),
    /// A range that ends before it starts.
    #[error("{first}-{last} runs backwards: write {last}-{first}")]
    Reversed {
        /// Start of the range as given.
        first: u32,
        /// End of the range as given.
        last: u32,
    },
    /// Higher than the number of any CPU.
    #[error("there is no CPU {0}: their numbers go from 0 to {max}", max = MAX_CPUS - 1)]
    TooHigh(String),
}

/// Reads a list of CPUs in the kernel's format, such as `0-3,8`; the result is ascending, each CPU once.
///
/// The format is that of `bitmap_print_to_pagebuf` (`lib/bitmap.c`); the groups (`0-31:1/2`) that the kernel
/// reads but never writes are refused.
///
/// # Errors
/// The text is not a list of CPUs; the error names the wrong part.
pub fn parse_list(text: &str) -> Result<Vec<u32>, ListError> {
    let mut cpus = Vec::new();
    for item in text.trim().split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (parse_cpu(first)?, parse_cpu(last)?);
        if first > last {
            return Err(ListError::Reversed { first, last });
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

fn parse_cpu(text: &str) -> Result<u32, ListError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ListError::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ListError::NotANumber(text.to_owned()));
    }
    text.parse().ok().filter(|cpu| is_possible(*cpu)).ok_or_else(|| ListError::TooHigh(text.to_owned()))
}

/// Whether any machine can have a CPU of this number. Readers refuse others: whoever keeps something for each
/// CPU up to the highest would run out of memory.
pub(super) fn is_possible(cpu: u32) -> bool {
    cpu < MAX_CPUS
}

/// Reads a set of CPUs as the kernel writes it in hexadecimal digits, such as `00000001,00000003`; ascending.
///
/// The format is that of `%*pb` (`bitmap_string`, `lib/vsprintf.c`): groups of 32 bits, the highest first.
/// `None` if the text is not such a set.
pub fn parse_mask(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for (number, group) in (0..MAX_CPUS / 32).zip(text.trim().rsplit(',')) {
        let bits = u32::from_str_radix(group, 16).ok()?;
        cpus.extend((0..32).filter(|bit| bits >> bit & 1 != 0).map(|bit| 32 * number + bit));
    }
    Some(cpus)
}

/// The CPUs that are online, ascending (`cpu_online_mask`, `drivers/base/cpu.c`).
///
/// # Errors
/// The file cannot be read, or does not hold a list.
pub fn online(sys: &Path) -> Result<Vec<u32>, Error> {
    read_list(sys, "online")
}

/// The CPUs this machine can ever have: the slots of a per-CPU eBPF map (`cpu_possible_mask`,
/// `drivers/base/cpu.c`).
///
/// # Errors
/// The file cannot be read, or does not hold a list.
pub fn possible(sys: &Path) -> Result<Vec<u32>, Error> {
    read_list(sys, "possible")
}

/// Cycles per second of the fastest CPU, in Hz: the highest frequency that cpufreq allows, or without cpufreq
/// the present one in `/proc/cpuinfo`. `None` if neither is known.
pub fn highest_hz(proc: &Path, sys: &Path) -> Option<u64> {
    let highest_khz = |cpu: &u32| -> Option<u64> {
        let file = sys.join(format!("devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"));
        read_line(&file).ok()?.parse().ok()
    };
    let cpufreq = online(sys).unwrap_or_default().iter().filter_map(highest_khz).max();
    let cpuinfo = || {
        let text = fs::read_to_string(proc.join("cpuinfo")).ok()?;
        let mhz = text
            .lines()
            .filter_map(|line| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse().ok());
        let mhz: f64 = mhz.fold(0.0, f64::max);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number")]
        (mhz > 0.0).then_some((mhz * 1e3) as u64)
    };
    cpufreq.or_else(cpuinfo)?.checked_mul(1000).filter(|hz| *hz > 0)
}

/// CPUs that are isolated or run without a tick.
pub fn quiet(sys: &Path) -> Vec<u32> {
    let cpus = sys.join("devices/system/cpu");
    ["isolated", "nohz_full"].into_iter().filter_map(|file| read_set(&cpus.join(file))).flatten().collect()
}

/// Whether any CPU runs without a tick while it has one task (`nohz_full=`). If not, the file is empty or
/// `(null)` (`print_cpus_nohz_full`, `drivers/base/cpu.c`).
pub fn has_nohz_full(sys: &Path) -> bool {
    read_list(sys, "nohz_full").is_ok_and(|cpus| !cpus.is_empty())
}

/// Reads a list of CPUs that may be empty: an empty line, or `(null)`. `None` if the file cannot be read or
/// holds something else.
pub(super) fn read_set(path: &Path) -> Option<Vec<u32>> {
    match read_line(path).ok()?.as_str() {
        "" | "(null)" => Some(Vec::new()),
        list => parse_list(list).ok(),
    }
}

fn read_list(sys: &Path, name: &str) -> Result<Vec<u32>, Error> {
    let path = sys.join("devices/system/cpu").join(name);
    parse_list(&read_line(&path)?).map_err(|error| Error::Content { path, what: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::{super::testing::this_machine, *};

    #[test]
    fn lists() {
        assert_eq!(parse_list("0-3,8\n"), Ok(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_list("0"), Ok(vec![0]));
        assert_eq!(parse_list("8, 1-2,2,8191"), Ok(vec![1, 2, 8, 8191]));
    }

    #[test]
    fn nonsense() {
        let number = |text: &str| Err(ListError::NotANumber(text.to_owned()));
        let high = |text: &str| Err(ListError::TooHigh(text.to_owned()));
        for empty in ["", "\n", ",", "1,", "-1", "1-", "1,,2"] {
            assert_eq!(parse_list(empty), Err(ListError::Empty), "{empty:?}");
        }
        assert_eq!(parse_list("3-1"), Err(ListError::Reversed { first: 3, last: 1 }));
        assert_eq!(parse_list("x"), number("x"));
        assert_eq!(parse_list("+1"), number("+1"));
        assert_eq!(parse_list("0x1"), number("0x1"));
        assert_eq!(parse_list("1-2-3"), number("2-3"));
        assert_eq!(parse_list("0-31:1/2"), number("31:1/2"));
        assert_eq!(parse_list("0-4294967295"), high("4294967295"));
        assert_eq!(parse_list("8192"), high("8192"));
        assert_eq!(parse_list("99999999999999999999"), high("99999999999999999999"));
    }

    #[test]
    fn masks() {
        assert_eq!(parse_mask("3\n"), Some(vec![0, 1]));
        assert_eq!(parse_mask("00"), Some(vec![]));
        assert_eq!(parse_mask("1,00000000,80000001"), Some(vec![0, 31, 64]));
        for nonsense in ["", "x", "1,,1", "100000000"] {
            assert_eq!(parse_mask(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn sets() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("set");
        let set = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_set(&path)
        };
        assert_eq!(set("\n"), Some(vec![]));
        assert_eq!(set("  (null)\n"), Some(vec![]));
        assert_eq!(set("2-3\n"), Some(vec![2, 3]));
        assert_eq!(set("what\n"), None);
        assert_eq!(read_set(Path::new("/nonexistent")), None);
    }

    #[test]
    fn of_a_machine() {
        let sys = this_machine().join("sys");
        assert_eq!(online(&sys).unwrap(), [0, 1]);
        assert_eq!(possible(&sys).unwrap(), [0, 1]);
        let missing = online(Path::new("/nonexistent")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /nonexistent/devices/system/cpu/online: "));
    }
}
