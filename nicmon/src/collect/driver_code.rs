//! Where the drivers' code is, found from functions that their devices call, for as long as that is
//! valid.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use super::{
    known::KnownNics,
    observation::{DriverCode, Moment, NicKey},
};
use crate::symbols::{BuiltinRanges, DriverText, Kallsyms, Seed};

/// Finds the drivers' code again when kernel symbols were read again, or when the drivers changed.
///
/// It reads `modules.builtin.ranges` if the kernel has one, so it is part of observing, not of
/// assembling.
pub(super) struct DriverCodeFinder {
    /// The running kernel's module directory.
    modules: PathBuf,
    /// What was found last, and the reading of kallsyms it was found in.
    found: Option<(Arc<Kallsyms>, Arc<DriverCode>)>,
    /// Poll functions and device operations of each driver that were seen since kallsyms was last read,
    /// kept while the driver has a NIC. The kernel side forgets a NAPI that is silent for long, but its
    /// driver's code stays where it is.
    known: BTreeMap<String, (BTreeSet<u64>, BTreeSet<u64>)>,
}

impl DriverCodeFinder {
    /// `kernel` is the running kernel's release.
    pub(super) fn new(kernel: &str) -> Self {
        Self { modules: PathBuf::from("/lib/modules").join(kernel), found: None, known: BTreeMap::new() }
    }

    /// The code of the drivers of these NICs. If a NIC in `nics` no longer exists, it has no driver.
    pub(super) fn find(
        &mut self,
        kallsyms: &Arc<Kallsyms>,
        moment: &Moment,
        nics: &BTreeSet<NicKey>,
        known_napis: &KnownNics,
    ) -> Arc<DriverCode> {
        let is_current = |found: &Arc<Kallsyms>| Arc::ptr_eq(found, kallsyms);
        if !self.found.as_ref().is_some_and(|(found, _)| is_current(found)) {
            // Modules may have come or gone.
            self.known.clear();
        }
        let seeds = self.seeds(moment, nics, known_napis);
        if let Some((found, code)) = &self.found
            && is_current(found)
            && code.seeds == seeds
        {
            return Arc::clone(code);
        }
        // Most kernels have no such file.
        let ranges = BuiltinRanges::read(&self.modules, kallsyms).ok();
        let text = DriverText::new(kallsyms, ranges.as_ref(), &seeds);
        let code = Arc::new(DriverCode { seeds, text });
        self.found = Some((Arc::clone(kallsyms), Arc::clone(&code)));
        code
    }

    /// What is known about the functions of these NICs' drivers, by driver.
    fn seeds(&mut self, moment: &Moment, nics: &BTreeSet<NicKey>, known_napis: &KnownNics) -> Vec<Seed> {
        let drivers: Vec<(NicKey, &str)> =
            nics.iter().filter_map(|key| Some((*key, moment.link(*key)?.driver.as_deref()?))).collect();
        self.known.retain(|known, _| drivers.iter().any(|(_, driver)| driver == known));
        for (key, driver) in drivers {
            let (polls, ops) = self.known.entry(driver.to_owned()).or_default();
            for of_napi in known_napis.get(key).into_iter().flat_map(|nic| &nic.functions) {
                polls.insert(of_napi.poll);
                ops.extend(of_napi.ops.into_iter().filter(|function| *function != 0));
            }
        }
        let seed = |(driver, (polls, ops)): (&String, &(BTreeSet<u64>, BTreeSet<u64>))| Seed {
            driver: driver.clone(),
            polls: polls.iter().copied().collect(),
            ops: ops.iter().copied().collect(),
        };
        self.known.iter().map(seed).collect()
    }
}
