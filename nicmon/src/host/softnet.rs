//! The per-CPU counters of the packet backlog, `/proc/net/softnet_stat`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Reread, cpus::is_possible};

/// Counters of one CPU. They have 32 bits in the kernel and wrap, so take differences with `wrapping_sub`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftnetRow {
    /// The CPU; `None` before Linux 5.10. It is not the number of the line, because offline CPUs have no
    /// line.
    pub cpu: Option<u32>,
    /// Packets that `__netif_receive_skb` processed.
    pub processed: u32,
    /// Packets dropped because the backlog was full.
    pub dropped: u32,
    /// How often `net_rx_action` ended with work left, because its budget or time was used up.
    pub time_squeeze: u32,
    /// How often another CPU woke this one with an IPI for RPS.
    pub received_rps: u32,
    /// Packets dropped by the flow limit.
    pub flow_limit_count: u32,
    /// Packets waiting in the backlog now; `None` before Linux 5.10.
    pub backlog_len: Option<u32>,
}

/// A reader that keeps `/proc/net/softnet_stat` open. The counters are those of the machine in every
/// namespace, and the open file keeps no namespace alive (`dev_proc_net_init` in `net/core/net-procfs.c`).
#[derive(Debug)]
pub struct Softnet(Reread);

impl Softnet {
    /// Opens the file.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(proc: &Path) -> Result<Self, Error> {
        Reread::open(proc.join("net/softnet_stat")).map(Self)
    }

    /// Replaces the contents of `rows` with one row per online CPU, ascending. The format is that of
    /// `softnet_seq_show` (`net/core/net-procfs.c`).
    ///
    /// # Errors
    /// The file cannot be read, or a line has another format.
    pub fn read(&mut self, rows: &mut Vec<SoftnetRow>) -> Result<(), Error> {
        rows.clear();
        let text = self.0.read()?;
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let Some(row) = parse_line(line) else {
                let what = format!("unexpected line {:?}", String::from_utf8_lossy(line));
                return Err(Error::Content { path: self.0.path.clone(), what });
            };
            rows.push(row);
        }
        Ok(())
    }
}

fn parse_line(line: &[u8]) -> Option<SoftnetRow> {
    let mut columns = [None; 13];
    let words = str::from_utf8(line).ok()?.split_ascii_whitespace();
    for (column, word) in columns.iter_mut().zip(words) {
        *column = Some(u32::from_str_radix(word, 16).ok()?);
    }
    if columns[12].is_some_and(|cpu| !is_possible(cpu)) {
        return None;
    }
    let [processed, dropped, time_squeeze, _, _, _, _, _, _, rps, flow_limit, backlog_len, cpu] = columns;
    Some(SoftnetRow {
        cpu,
        processed: processed?,
        dropped: dropped?,
        time_squeeze: time_squeeze?,
        received_rps: rps.unwrap_or(0),
        flow_limit_count: flow_limit.unwrap_or(0),
        // Both columns were added together, so a patched kernel's 12th column alone would be something else.
        backlog_len: cpu.and(backlog_len),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::testing::this_machine, *};

    #[test]
    fn of_a_machine() {
        let mut softnet = Softnet::open(&this_machine().join("proc")).unwrap();
        let mut rows = vec![SoftnetRow::default(); 9];
        for _ in 0..2 {
            softnet.read(&mut rows).unwrap();
            assert_eq!(rows.iter().map(|row| row.cpu).collect::<Vec<_>>(), [Some(0), Some(1)]);
            assert_eq!(rows.iter().map(|row| row.backlog_len).collect::<Vec<_>>(), [Some(0), Some(0)]);
            assert!(rows[1].processed > rows[0].processed);
        }
    }

    #[test]
    fn layouts() {
        // Linux 5.10 with CPU 1 offline; 4.18 as of RHEL 8, with 11 columns.
        let with_cpu = b"ffffffff 00000001 00000002 00000000 00000000 00000000 00000000 00000000 00000000 \
            00000003 00000004 00000005 0000000a";
        let expected = SoftnetRow {
            cpu: Some(10),
            processed: u32::MAX,
            dropped: 1,
            time_squeeze: 2,
            received_rps: 3,
            flow_limit_count: 4,
            backlog_len: Some(5),
        };
        assert_eq!(parse_line(with_cpu), Some(expected));
        let without = &with_cpu[..11 * 9 - 1];
        assert_eq!(parse_line(without), Some(SoftnetRow { cpu: None, backlog_len: None, ..expected }));
        assert_eq!(parse_line(b"0000000z 0 0"), None);
        assert_eq!(parse_line(b"1 2"), None);
        assert_eq!(parse_line(b"1 2 3 0 0 0 0 0 0 0 0 0 ffffffff"), None, "no machine has this CPU");

        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("net")).unwrap();
        fs::write(proc.path().join("net/softnet_stat"), "nothing\n").unwrap();
        let error = Softnet::open(proc.path()).unwrap().read(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("nothing"), "{error}");
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let real = std::fs::read(this_machine().join("proc/net/softnet_stat")).unwrap();
        testkit::fuzz::inputs("softnet_stat", &[&real], |text| {
            text.split(|byte| *byte == b'\n').for_each(|line| {
                std::hint::black_box(parse_line(line));
            });
        });
    }
}
