//! Whose the polls on dummy devices are: the NIC's whose driver polls there, if it is the only one; otherwise
//! nobody can say, and they get a row of their own, named after the module.

use std::collections::{BTreeSet, HashMap};

use nicmon_common::NapiKey;

use super::super::{known::NicKey, observation::Observation};

/// Where a NAPI on a dummy device belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Home {
    Nic(NicKey),
    /// A row of its own: the number of its name.
    Row(usize),
}

/// The NAPIs on dummy devices that were polled.
#[derive(Debug, Default)]
pub(super) struct Dummies {
    homes: HashMap<NapiKey, Home>,
    rows: Vec<String>,
    /// NICs that share such NAPIs with others: what they polled is unknown.
    shared: BTreeSet<NicKey>,
}

impl Dummies {
    pub(super) fn of(seen: &Observation) -> Self {
        let mut this = Self::default();
        let all = || seen.driver_modules.iter().map(|(nic, _)| *nic);
        for napi in seen.reading.napis.iter().flatten().filter(|napi| is_dummy(&napi.key)) {
            let code = seen.code.symbols.kallsyms.as_ref();
            let function = code.and_then(|kallsyms| kallsyms.function_at(napi.poll_fn));
            let module = function.as_ref().and_then(|function| function.module);
            // Of a driver that is compiled in, the first word of the function is all there is.
            let word = function.as_ref().and_then(|function| function.name.split('_').next());
            let owners: Vec<NicKey> = (seen.driver_modules.iter())
                .filter(|(_, modules)| match (module, word) {
                    (Some(module), _) => modules.contains(module),
                    (None, Some(word)) => modules.iter().any(|module| module.starts_with(word)),
                    (None, None) => false,
                })
                .map(|(nic, _)| *nic)
                .filter(|nic| seen.facts.link(*nic).is_some())
                .collect();
            let home = if let [nic] = owners[..] {
                Home::Nic(nic)
            } else {
                // Without symbols it may be any of them.
                if function.is_none() {
                    this.shared.extend(all());
                } else {
                    this.shared.extend(owners);
                }
                this.row(module.or(word).unwrap_or("dummy"))
            };
            this.homes.insert(napi.key, home);
        }
        // One of them found no slot, and nothing shows which.
        if seen.reading.unfiled.nics.iter().any(|(_, ifindex)| *ifindex == 0) {
            this.shared.extend(all());
        }
        this
    }

    fn row(&mut self, code: &str) -> Home {
        let name = format!("({code})");
        Home::Row(self.row_of(&name).unwrap_or_else(|| {
            self.rows.push(name);
            self.rows.len() - 1
        }))
    }

    /// The NIC or the row to which a NAPI belongs. A dummy device's NAPI that was not polled belongs to none.
    pub(super) fn home(&self, key: &NapiKey) -> Option<Home> {
        if is_dummy(key) { self.homes.get(key).copied() } else { Some(Home::Nic((key.netns, key.ifindex))) }
    }

    /// Whether the NIC may have polled on a dummy device, together with others.
    pub(super) fn is_shared(&self, nic: NicKey) -> bool {
        self.shared.contains(&nic)
    }

    /// The names of the rows.
    pub(super) fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The number of the row with this name.
    pub(super) fn row_of(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row == name)
    }
}

/// Interfaces are numbered from 1 (net/core/dev.c: `dev_index_reserve`). A dummy's namespace is the first
/// one, or unset in older kernels.
fn is_dummy(key: &NapiKey) -> bool {
    key.ifindex == 0
}
