//! Infers the text of a driver that is linked into the kernel, if the kernel does not say where it is. It
//! goes by the names of functions.
//!
//! A driver's object files are linked one after another, and most functions of a driver share a prefix.
//! So the driver is the run of symbols around its poll function, from the first to the last with that
//! prefix. A function without the prefix belongs to it only if it is between two functions that have it:
//! the hottest functions of `virtio_net` are `start_xmit` and `receive_buf`. The run ends with the
//! prefix, because a driver without a device may come next.

use std::collections::HashSet;

use super::{Kallsyms, seed::Unknown};

/// How many functions in a row may lack the prefix inside a run. `virtio_net` has 3 in a row (Linux
/// 6.18). The limit must not be so large that a run reaches functions with the same prefix beyond another
/// driver.
const LONGEST_GAP: usize = 8;

/// The runs of a driver, by address: start, and first byte after the end.
///
/// `polls` are the addresses of its NAPIs' poll functions, `ops` those of functions in its
/// `net_device_ops`. If none of the ops has the prefix of the poll function, that function is shared
/// (`gro_cell_poll`), and only ops named like the driver count. Ops without the prefix are shared
/// (`eth_mac_addr`, `passthru_features_check`) and are not used as seeds.
pub(super) fn runs(
    kallsyms: &Kallsyms,
    driver: &str,
    polls: &[u64],
    ops: &[u64],
) -> Result<Vec<(u64, u64)>, Unknown> {
    let prefixes = Prefixes::of(kallsyms, driver, polls, ops)?;
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for seed in polls.iter().chain(ops) {
        let Some(at) = built_in(kallsyms, *seed) else { continue };
        let is_known = runs.iter().any(|(first, last)| (*first..=*last).contains(&at));
        if !is_known && prefixes.has(kallsyms.function(at).name) {
            runs.push(run(kallsyms, &prefixes, at));
        }
    }
    if let Some(prefix) = twins(kallsyms, &prefixes, &runs) {
        return Err(Unknown::Twins(prefix.to_owned()));
    }
    runs.extend(cold_parts(kallsyms, &prefixes, &runs));
    let mut text: Vec<(u64, u64)> = runs
        .iter()
        .map(|(first, last)| (kallsyms.function(*first).start, kallsyms.function(*last).end))
        .collect();
    text.sort_unstable();
    Ok(text)
}

/// A name's prefix: what comes before the first underscore, not counting leading ones.
fn prefix_in(name: &str) -> &str {
    let name = name.trim_start_matches('_');
    name.split(['_', '.']).next().unwrap_or(name)
}

/// How the names of a driver's own functions start. Most drivers have one prefix.
struct Prefixes<'a>(Vec<&'a str>);

impl<'a> Prefixes<'a> {
    fn of(kallsyms: &'a Kallsyms, driver: &str, polls: &[u64], ops: &[u64]) -> Result<Self, Unknown> {
        let prefix_at =
            |address: &u64| built_in(kallsyms, *address).map(|at| prefix_in(kallsyms.function(at).name));
        let of_ops: Vec<&str> = ops.iter().filter_map(prefix_at).collect();
        // Without a poll function of its own, only ops named like the driver are certain to belong to it.
        let called_as_it = || of_ops.iter().find(|prefix| **prefix == driver).map(|own| Self(vec![own]));
        let Some(poll) = polls.first() else { return called_as_it().ok_or(Unknown::NoSymbol) };
        let prefix = prefix_at(poll).ok_or(Unknown::NoSymbol)?;
        let is_shorter =
            |other: &str| other.len() >= 3 && other.len() < prefix.len() && prefix.starts_with(other);
        // r8169 has `rtl8169_poll`, and both `rtl_open` and `rtl8169_close`.
        let mut shorter: Vec<&str> = of_ops.iter().copied().filter(|other| is_shorter(other)).collect();
        shorter.sort_unstable();
        shorter.dedup();
        let is_own = ops.is_empty() || !shorter.is_empty() || of_ops.contains(&prefix);
        if prefix.len() < 2 || !is_own {
            return called_as_it().ok_or_else(|| Unknown::SharedPoll(prefix.to_owned()));
        }
        shorter.push(prefix);
        Ok(Self(shorter))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&prefix_in(name))
    }
}

/// The position of a function of the kernel itself.
fn built_in(kallsyms: &Kallsyms, address: u64) -> Option<usize> {
    kallsyms.position(address).filter(|at| kallsyms.function(*at).module.is_none())
}

/// The first and last function of the run around a seed.
fn run(kallsyms: &Kallsyms, prefixes: &Prefixes<'_>, seed: usize) -> (usize, usize) {
    let is_own = |at: usize| prefixes.has(kallsyms.function(at).name);
    // A module's text or a hole ends the kernel's own.
    let joined = |at: usize| {
        let (here, next) = (kallsyms.function(at), kallsyms.function(at + 1));
        next.module.is_none() && (next.start == here.start || next.start == here.end)
    };
    let mut last = seed;
    let forwards = (seed + 1..kallsyms.len()).take_while(|at| joined(at - 1));
    for at in forwards {
        if is_own(at) {
            last = at;
        } else if at - last > LONGEST_GAP {
            break;
        }
    }
    let mut first = seed;
    let backwards = (0..seed).rev().take_while(|at| kallsyms.function(*at).module.is_none() && joined(*at));
    for at in backwards {
        if is_own(at) {
            first = at;
        } else if first - at > LONGEST_GAP {
            break;
        }
    }
    (first, last)
}

/// The prefix of two functions with the same name in the runs. In that case two drivers share the prefix
/// and are neighbours, as e1000 and e1000e are, and nobody can say where one ends.
fn twins<'a>(kallsyms: &'a Kallsyms, prefixes: &Prefixes<'_>, runs: &[(usize, usize)]) -> Option<&'a str> {
    let mut seen = HashSet::new();
    let names = runs.iter().flat_map(|(first, last)| *first..=*last).map(|at| kallsyms.function(at).name);
    names.filter(|name| prefixes.has(name)).find(|name| !seen.insert(*name)).map(prefix_in)
}

/// The compiler moves code that seldom runs to a section of its own, under the function's name and
/// `.cold`. A cold part belongs to the driver if it has the prefix, or if its function is in a run and
/// nothing else has that name.
fn cold_parts(kallsyms: &Kallsyms, prefixes: &Prefixes<'_>, runs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let is_in_run = |at: usize| runs.iter().any(|(first, last)| (*first..=*last).contains(&at));
    let inside: HashSet<&str> =
        runs.iter().flat_map(|(first, last)| *first..=*last).map(|at| kallsyms.function(at).name).collect();
    let mut outside = HashSet::new();
    let mut parts = Vec::new();
    for (at, function) in kallsyms.functions().enumerate() {
        match function.name.strip_suffix(".cold") {
            Some(whole) if function.module.is_none() && !is_in_run(at) && inside.contains(whole) => {
                parts.push((at, whole));
            }
            None if !is_in_run(at) && inside.contains(function.name) => {
                outside.insert(function.name);
            }
            _ => {}
        }
    }
    let is_sure = |whole: &str| prefixes.has(whole) || !outside.contains(whole);
    parts.into_iter().filter(|(_, whole)| is_sure(whole)).map(|(at, _)| (at, at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two drivers, `foo` between others of a name of its own, with what `line` adds to each function.
    fn text_of_foo(line: impl Fn(u64, &str) -> String) -> Vec<(u64, u64)> {
        let names = [
            "bar_open",
            "bar_poll",
            "foo_open",
            "start_xmit",
            "one",
            "two",
            "three",
            "four",
            "receive_buf",
            "foo_poll",
            "foo_close",
            "baz_open",
            "baz_poll",
        ];
        let address = |at: usize| 0xffff_ffff_8100_0000 + at as u64 * 0x100;
        let lines: String = names.iter().enumerate().map(|(at, name)| line(address(at), name)).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kallsyms"), lines).unwrap();
        let kallsyms = Kallsyms::read(folder.path()).unwrap();
        runs(&kallsyms, "foo", &[address(9)], &[address(2)]).unwrap()
    }

    /// With the symbols of kCFI, 6 functions in a row without the prefix would be 12: too many.
    #[test]
    fn symbols_before_functions_do_not_change_a_run() {
        let plain = text_of_foo(|at, name| format!("{at:x} t {name}\n"));
        assert_eq!(plain, [(0xffff_ffff_8100_0200, 0xffff_ffff_8100_0b00)]);
        let kcfi =
            |prefix| move |at: u64, name: &str| format!("{:x} t {prefix}{name}\n{at:x} t {name}\n", at - 16);
        assert_eq!(text_of_foo(kcfi("__cfi_")), plain);
        assert_eq!(text_of_foo(kcfi("__pfx_")), plain);
    }
}
