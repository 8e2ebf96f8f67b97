//! The NAPIs that the eBPF programs know, by NIC. A machine may have thousands, most of them idle, so this is
//! made once when NAPIs come or go, and shared by all observations until then.

use std::collections::{BTreeMap, BTreeSet};

use nicmon_common::NapiKey;
use serde::{Deserialize, Serialize};

use crate::counters::DriverFunctions;

/// An interface: the inode of its namespace, and its index there.
pub(super) type NicKey = (u32, u32);

/// The modules of NICs' drivers: each driver's own and those that it uses.
pub(super) type DriverModules = Vec<(NicKey, BTreeSet<String>)>;

/// All NICs with a NAPI that was polled at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<KnownNapi>", into = "Vec<KnownNapi>")]
pub(super) struct KnownNics(BTreeMap<NicKey, KnownNic>);

/// What is known of a NIC from its NAPIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KnownNic {
    /// The name of the device when one of its NAPIs was first polled.
    pub(super) name: String,
    /// Functions of its driver. Its NAPIs usually have the same ones.
    pub(super) functions: Vec<DriverFunctions>,
    /// Its NAPIs, each with the number of its element of `functions`.
    napis: Vec<(NapiKey, usize)>,
}

impl KnownNic {
    /// Its NAPIs.
    pub(super) fn napis(&self) -> impl Iterator<Item = &NapiKey> {
        self.napis.iter().map(|(key, _)| key)
    }
}

impl KnownNics {
    /// By NIC.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&NicKey, &KnownNic)> {
        self.0.iter()
    }

    /// One of them.
    pub(super) fn get(&self, key: NicKey) -> Option<&KnownNic> {
        self.0.get(&key)
    }
}

impl FromIterator<KnownNapi> for KnownNics {
    fn from_iter<I: IntoIterator<Item = KnownNapi>>(napis: I) -> Self {
        let mut nics: BTreeMap<NicKey, KnownNic> = BTreeMap::new();
        for KnownNapi { key, name, functions } in napis {
            let nic = nics.entry((key.netns, key.ifindex)).or_default();
            nic.name = name;
            let at = nic.functions.iter().position(|known| *known == functions).unwrap_or_else(|| {
                nic.functions.push(functions);
                nic.functions.len() - 1
            });
            nic.napis.push((key, at));
        }
        Self(nics)
    }
}

/// A NAPI, as observations are saved with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownNapi {
    pub(super) key: NapiKey,
    /// The name of its device when it was first polled.
    pub(super) name: String,
    pub(super) functions: DriverFunctions,
}

impl From<Vec<KnownNapi>> for KnownNics {
    fn from(napis: Vec<KnownNapi>) -> Self {
        napis.into_iter().collect()
    }
}

impl From<KnownNics> for Vec<KnownNapi> {
    fn from(nics: KnownNics) -> Self {
        let of_nic = |nic: KnownNic| {
            let KnownNic { name, functions, napis } = nic;
            let napi = move |(key, at): (NapiKey, usize)| KnownNapi {
                key,
                name: name.clone(),
                functions: functions[at],
            };
            napis.into_iter().map(napi)
        };
        nics.0.into_values().flat_map(of_nic).collect()
    }
}
