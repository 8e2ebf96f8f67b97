//! Finds one driver's text: from its module, from the kernel's own list, or by inference.

use super::{
    BuiltinRanges, Kallsyms, inferred,
    seed::{Seed, Text, Unknown},
};
use crate::frame::Origin;

/// One driver's text.
pub(super) struct Found {
    pub(super) text: Text,
    pub(super) ranges: Vec<(u64, u64)>,
}

impl Found {
    /// Whether another inferred text contains part of this one. If both are the same, they are one driver
    /// with two names.
    pub(super) fn is_blurred_by(&self, other: &Result<Self, Unknown>) -> bool {
        let Ok(other) = other else { return false };
        let overlaps = self
            .ranges
            .iter()
            .any(|(start, end)| other.ranges.iter().any(|(from, to)| start < to && from < end));
        overlaps && self.ranges != other.ranges
    }
}

/// Finds a driver's text in the most exact way that this kernel offers.
pub(super) fn find(
    kallsyms: &Kallsyms,
    builtin: Option<&BuiltinRanges>,
    Seed { driver, polls, ops }: &Seed,
) -> Result<Found, Unknown> {
    let functions = |pointers: &[u64]| -> Vec<u64> {
        pointers.iter().map(|pointer| kallsyms.target_of(*pointer)).collect()
    };
    let (polls, ops) = (&functions(polls), &functions(ops));
    // The poll function is the best evidence of a device's driver. Without one (a bridge, or a NIC that
    // was not polled yet), the module with the driver's name is taken.
    let seed = polls.first().copied();
    let module_of = |poll| kallsyms.function_at(poll)?.module;
    if let Some(module) = seed.and_then(module_of).or_else(|| kallsyms.module(&as_module(driver))) {
        let ranges = merged(
            kallsyms
                .functions()
                .filter(|function| function.module == Some(module))
                .map(|function| (function.start, function.end)),
        );
        return Ok(Found { text: Text { name: module.to_owned(), origin: Origin::Module }, ranges });
    }
    if let Some(found) = builtin.and_then(|builtin| linked(builtin, driver, polls.iter().chain(ops))) {
        return Ok(found);
    }
    let ranges = inferred::runs(kallsyms, driver, polls, ops)?;
    Ok(Found { text: Text { name: driver.clone(), origin: Origin::Inferred }, ranges })
}

/// A module's name has underscores where its file name may have dashes (include/linux/module.h).
fn as_module(driver: &str) -> String {
    driver.replace('-', "_")
}

/// The text of a module that is linked in: the module that contains the first seed found in any module's
/// text or, without seeds, the module with the driver's name.
fn linked<'a>(
    builtin: &BuiltinRanges,
    driver: &str,
    mut seeds: impl Iterator<Item = &'a u64>,
) -> Option<Found> {
    let own = as_module(driver);
    let modules =
        seeds.find_map(|seed| Some(builtin.modules_at(*seed)).filter(|modules| !modules.is_empty()));
    let module = match modules {
        None => &own,
        Some([module]) => module,
        Some(shared) => shared.iter().find(|module| **module == own)?,
    };
    // A text shared by several modules belongs to this one only if no other is in use, which nobody
    // knows.
    let own = builtin.of(module).filter(|range| range.modules.len() == 1);
    let ranges = merged(own.map(|range| (range.start, range.end)));
    let text = Text { name: module.clone(), origin: Origin::BuiltinRanges };
    (!ranges.is_empty()).then_some(Found { text, ranges })
}

/// Ranges by address; ranges that touch or overlap are joined.
fn merged(ranges: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => joined.push((start, end)),
        }
    }
    joined
}
