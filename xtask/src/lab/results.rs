//! The files that the guest wrote to a NIC's folder.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// The folder of one measurement.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
}

impl Results {
    /// Opens the folder. If a program in the guest failed, returns an error with that program's output.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let results = Self { folder: folder.to_owned() };
        let status = results.text("status").context("the guest did not reach this measurement")?;
        // Each line is a program and its exit code.
        if let Some(line) = status.lines().find(|line| !line.ends_with(" 0")) {
            let files = ["nicmon.err", "perf.err", "other.err", "other"];
            let said: Vec<_> = files.iter().filter_map(|file| results.text(file).ok()).collect();
            bail!("a program failed in the guest, with exit code: {line}: {}", said.join(" ").trim());
        }
        Ok(results)
    }

    /// The path of a file in the folder.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The text of a file in the folder.
    pub(super) fn text(&self, file: &str) -> Result<String> {
        let path = self.path(file);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Name of the NIC's interface.
    pub(super) fn interface(&self) -> Result<String> {
        Ok(self.text("interface")?.trim().to_owned())
    }

    /// Start and end of the download on the guest's monotonic clock.
    pub(super) fn window_ns(&self) -> Result<(u64, u64)> {
        let at = |file| -> Result<u64> {
            let text = self.text(file)?;
            hundredths_ns(text.trim()).with_context(|| format!("{file} does not contain a time: {text:?}"))
        };
        Ok((at("begin")?, at("end")?))
    }

    /// The interface's counters, `before` or `after`.
    pub(super) fn counters(&self, when: &str) -> Result<HashMap<String, u64>> {
        let text = self.text(&format!("counters.{when}"))?;
        let counter = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(counter).collect())
    }

    /// How much an interface counter grew.
    pub(super) fn grown(&self, counter: &str) -> Result<u64> {
        let read = |when| -> Result<u64> {
            let value = self.counters(when)?.get(counter).copied();
            value.with_context(|| format!("counters.{when} has no {counter}"))
        };
        let (before, after): (u64, u64) = (read("before")?, read("after")?);
        after.checked_sub(before).with_context(|| format!("{counter} decreased"))
    }

    /// The NIC's interrupt lines.
    pub(super) fn interrupts(&self) -> Result<Vec<Interrupts>> {
        let read =
            |when: &str| Ok::<_, anyhow::Error>(parse_interrupts(&self.text(&format!("interrupts.{when}"))?));
        let (before, first, last, after) = (read("before")?, read("first")?, read("last")?, read("after")?);
        let grown = |line: u64, from: &HashMap<u64, u64>, to: &HashMap<u64, u64>| {
            let value = |of: &HashMap<u64, u64>| of.get(&line).copied().unwrap_or(0);
            value(to).checked_sub(value(from)).with_context(|| format!("interrupts of line {line} decreased"))
        };
        let lines = self.text("lines")?;
        let lines = lines.lines().filter_map(|line| line.trim().parse::<u64>().ok());
        let interrupts = lines.map(|line| {
            Ok(Interrupts {
                line,
                at_least: grown(line, &first, &last)?,
                at_most: grown(line, &before, &after)?,
            })
        });
        interrupts.collect()
    }
}

/// One interrupt line in `/proc/interrupts`, summed over all CPUs. Some drivers trigger theirs every few
/// seconds (igb's watchdog does), so it matters when the file was read.
#[derive(Debug)]
pub(super) struct Interrupts {
    pub(super) line: u64,
    /// Interrupts within nicmon's frames: read after the first and before the last.
    pub(super) at_least: u64,
    /// Interrupts from before nicmon's start to after its end.
    pub(super) at_most: u64,
}

/// The numbered lines of `/proc/interrupts`, summed over CPUs.
fn parse_interrupts(text: &str) -> HashMap<u64, u64> {
    let mut lines = text.lines();
    let cpus = lines.next().map_or(0, |head| head.split_whitespace().count());
    let parse = |line: &str| {
        let (number, rest) = line.trim_start().split_once(':')?;
        let counts = rest.split_whitespace().take(cpus).map_while(|word| word.parse::<u64>().ok());
        Some((number.parse().ok()?, counts.sum()))
    };
    lines.filter_map(parse).collect()
}

/// Converts seconds such as `12.34` to nanoseconds.
pub(super) fn hundredths_ns(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_once('.')?;
    let all: u64 = seconds.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
    all.checked_mul(10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_summed_over_cpus() {
        // From a guest with Debian's kernel 6.1.
        let text = "           CPU0       CPU1       \n  1:          9          0   IO-APIC   1-edge      i8042\n \
                    11:          0       4501   IO-APIC  11-fasteoi   eth0\nNMI:          0          0   \
                    Non-maskable interrupts\n";
        assert_eq!(parse_interrupts(text), HashMap::from([(1, 9), (11, 4501)]));
        assert_eq!(parse_interrupts(""), HashMap::new());
    }

    #[test]
    fn uptimes() {
        assert_eq!(hundredths_ns("12.34"), Some(12_340_000_000));
        assert_eq!(hundredths_ns(""), None);
    }
}
