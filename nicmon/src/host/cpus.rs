//! Lists of CPUs.

use std::path::Path;

use super::{Error, read_line};

/// The highest number of CPUs a kernel can be built for (`NR_CPUS` of x86 with `MAXSMP`, and of arm64 it is
/// less).
const MAX_CPUS: u32 = 8192;

/// Why a text is not a list of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Nothing between two commas, or nothing at all.
    #[error("a CPU is missing: give a list such as 0-3,8")]
    Empty,
    /// Not a decimal number.
    #[error("{0:?} is not a CPU: give a list such as 0-3,8")]
    NotANumber(String),
    /// A range that ends before it starts.
    #[error("{first}-{last} runs backwards: write {last}-{first}")]
    Reversed {
        /// Start of the range as given.
        first: u32,
        /// End of the range as given.
        last: u32,
    },
    /// More than any kernel can number.
    #[error("there is no CPU {0}: kernels count from 0 to {max}", max = MAX_CPUS - 1)]
    TooHigh(String),
}

/// Reads a list of CPUs in the kernel's format, such as `0-3,8`; the result is ascending, each CPU once.
///
/// The format is that of `bitmap_print_to_pagebuf` (`lib/bitmap.c`); the groups (`0-31:1/2`) that the kernel
/// reads but never writes are refused.
///
/// # Errors
/// What of the text is no list of CPUs.
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
    match text.parse() {
        Ok(cpu) if cpu < MAX_CPUS => Ok(cpu),
        _ => Err(ListError::TooHigh(text.to_owned())),
    }
}

/// The CPUs that are online, ascending (`cpu_online_mask`, `drivers/base/cpu.c`).
///
/// # Errors
/// The file cannot be read, or holds no list.
pub fn online(sys: &Path) -> Result<Vec<u32>, Error> {
    read_list(sys, "online")
}

/// The CPUs this machine can ever have: the slots of a per-CPU eBPF map (`cpu_possible_mask`,
/// `drivers/base/cpu.c`).
///
/// # Errors
/// The file cannot be read, or holds no list.
pub fn possible(sys: &Path) -> Result<Vec<u32>, Error> {
    read_list(sys, "possible")
}

/// True if some CPU runs without a tick while it has one task (`nohz_full=`); the file is empty or `(null)` if not
/// (`print_cpus_nohz_full`, `drivers/base/cpu.c`).
pub fn has_nohz_full(sys: &Path) -> bool {
    read_list(sys, "nohz_full").is_ok_and(|cpus| !cpus.is_empty())
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
    fn of_a_machine() {
        let sys = this_machine().join("sys");
        assert_eq!(online(&sys).unwrap(), [0, 1]);
        assert_eq!(possible(&sys).unwrap(), [0, 1]);
        let missing = online(Path::new("/nonexistent")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /nonexistent/devices/system/cpu/online: "));
    }
}
