//! perf's side of the table: its samples by module, resolved with the guest's own symbols.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use testkit::{idle::is_idle, process::output, share::Share};

/// What is on the stack of a softirq. `handle_softirqs` was called `__do_softirq` before 6.11 and the stable
/// releases with that change. The start of its section has the same address.
pub(super) const SOFTIRQS: [&str; 3] = ["handle_softirqs", "__do_softirq", "__softirqentry_text_start"];

/// Samples of one transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) all: u64,
    pub(super) busy: u64,
    pub(super) driver: u64,
    pub(super) companions: u64,
    /// Samples in the driver by function.
    pub(super) functions: BTreeMap<String, u64>,
}

impl Samples {
    /// Counts the samples of a `perf.data` within a time window, resolved with the guest's kallsyms.
    pub(super) fn read(
        data: &Path,
        kallsyms: &str,
        driver: &[&str],
        companions: &[&str],
        window_ns: (u64, u64),
    ) -> Result<Self> {
        let mut script = Command::new("perf");
        script.args(["script", "--force", "--ns", "-F", "pid,time,ip", "-i"]).arg(data).stdin(Stdio::null());
        let listed = output(&mut script).context("cannot read the guest's samples")?;
        let symbols = Symbols::parse(kallsyms);
        let mut samples = Self::default();
        for line in listed.lines() {
            match parse_sample(line) {
                Some((pid, time_ns, address)) if (window_ns.0..window_ns.1).contains(&time_ns) => {
                    samples.add(pid, symbols.at(address), driver, companions);
                }
                _ => {}
            }
        }
        Ok(samples)
    }

    fn add(&mut self, pid: i64, symbol: Option<&Symbol>, driver: &[&str], companions: &[&str]) {
        self.all += 1;
        if is_idle(pid, symbol.map(|symbol| symbol.name.as_str())) {
            return;
        }
        self.busy += 1;
        let Some(Symbol { name, module: Some(module), .. }) = symbol else { return };
        if driver.contains(&module.as_str()) {
            self.driver += 1;
            *self.functions.entry(name.clone()).or_default() += 1;
        } else if companions.contains(&module.as_str()) {
            self.companions += 1;
        }
    }

    /// The driver's share of the busy samples.
    pub(super) fn driver_share(&self) -> Option<Share> {
        Share::of(self.driver, self.busy)
    }

    /// The same, including its companions.
    pub(super) fn joint_share(&self) -> Option<Share> {
        Share::of(self.driver + self.companions, self.busy)
    }
}

/// A sample of perf with its call stack.
pub(super) struct Stacked<'a> {
    pub(super) pid: i64,
    /// The innermost first; `None` outside the kernel.
    pub(super) called: Vec<Option<&'a Symbol>>,
}

impl<'a> Stacked<'a> {
    /// The samples of this time in the output of `perf script --ns -F pid,time,ip`: a line with process and
    /// time, then the addresses, innermost first, one per line, then an empty line.
    pub(super) fn all(
        script: &'a str,
        symbols: &'a Symbols,
        window_ns: (u64, u64),
    ) -> impl Iterator<Item = Self> + 'a {
        script.split("\n\n").filter_map(move |sample| {
            let mut lines = sample.lines();
            let (pid, time_ns) = lines.next().and_then(parse_head)?;
            if !(window_ns.0..window_ns.1).contains(&time_ns) {
                return None;
            }
            let addresses = lines.filter_map(|line| u64::from_str_radix(line.trim(), 16).ok());
            // All addresses except the first are return addresses. After a call that never returns, such an
            // address is in the next function.
            let inside =
                addresses.enumerate().map(|(at, address)| address - u64::from(at > 0 && address > 0));
            Some(Self { pid, called: inside.map(|address| symbols.at(address)).collect() })
        })
    }

    /// The functions, the innermost first; empty where there is no name.
    pub(super) fn functions(&self) -> Vec<&'a str> {
        self.called.iter().map(|symbol| symbol.map_or("", |symbol| &symbol.name)).collect()
    }
}

/// Parses a line of `perf script --ns -F pid,time,ip`: `117   12.345678901:  ffffffff81000010`.
fn parse_sample(line: &str) -> Option<(i64, u64, u64)> {
    let (pid, time_ns) = parse_head(line)?;
    Some((pid, time_ns, u64::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?))
}

/// Parses the first two words. If samples have stacks, the line has no others.
fn parse_head(line: &str) -> Option<(i64, u64)> {
    let mut words = line.split_whitespace();
    let pid = words.next()?.parse().ok()?;
    let (seconds, fraction) = words.next()?.strip_suffix(':')?.split_once('.')?;
    let seconds_ns = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    Some((pid, seconds_ns.checked_add(format!("{fraction:0<9}").parse().ok()?)?))
}

/// A kernel function.
#[derive(Debug)]
pub(super) struct Symbol {
    address: u64,
    pub(super) name: String,
    pub(super) module: Option<String>,
}

/// The functions of kallsyms, by address.
#[derive(Debug)]
pub(super) struct Symbols(Vec<Symbol>);

impl Symbols {
    pub(super) fn parse(kallsyms: &str) -> Self {
        let mut symbols: Vec<_> = kallsyms.lines().filter_map(parse_symbol).collect();
        symbols.sort_by_key(|symbol| symbol.address);
        Self(symbols)
    }

    /// The last function that starts at or before a kernel address.
    pub(super) fn at(&self, address: u64) -> Option<&Symbol> {
        self.0[..self.0.partition_point(|symbol| symbol.address <= address)].last()
    }
}

fn parse_symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    if !matches!(words.next()?, "t" | "T" | "w" | "W") {
        return None;
    }
    let name = words.next()?.to_owned();
    let module = words.next().map(|word| word.trim_matches(['[', ']']).to_owned());
    Some(Symbol { address, name, module })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted_by_module() {
        let symbols = Symbols::parse(
            "ffffffff81000000 T native_safe_halt\nffffffff81000100 T tcp_v4_rcv\nffffffff81000180 d data\n\
             ffffffffc0000000 t cp_rx_poll\t[8139cp]\nffffffffc0001000 t virtqueue_get_buf\t[virtio_ring]\n",
        );
        let mut samples = Samples::default();
        for line in [
            "    0    12.000000001:  ffffffff81000010",
            "    0    12.000000002:  ffffffff81000110",
            "    0    12.000000003:  ffffffffc0000200",
            "  117    12.000000004:  ffffffffc0001000",
            "  117    12.000000005:      7f0012345678",
            "",
        ] {
            let Some((pid, time_ns, address)) = parse_sample(line) else { continue };
            assert_eq!(time_ns, 12_000_000_001 + samples.all);
            samples.add(pid, symbols.at(address), &["8139cp"], &["virtio_ring"]);
        }
        let functions = BTreeMap::from([("cp_rx_poll".to_owned(), 1)]);
        assert_eq!(samples, Samples { all: 5, busy: 4, driver: 1, companions: 1, functions });
    }
}
