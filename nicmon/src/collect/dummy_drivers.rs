//! Which NICs may own NAPIs on dummy devices. Drivers of Wi-Fi and of other devices with shared queues poll
//! on a device that is none of their NICs: it has no index, and no name that means anything
//! (net/core/dev.c: `init_dummy_netdev`). Only their code shows whose they are.

use std::sync::Arc;

use super::{
    known::{DriverModules, KnownNics},
    observation::Moment,
};
use crate::host::{
    Roots,
    driver_modules::{ModuleUsers, of_nic},
    nic_files::{NicFiles, NicId},
};

/// Finds them again when NAPIs came or went, and only if there are NAPIs on dummy devices.
#[derive(Default)]
pub(super) struct DummyDrivers {
    known: Arc<KnownNics>,
    found: Arc<DriverModules>,
}

impl DummyDrivers {
    /// The modules of the NICs of nicmon's own namespace, which sysfs shows, and the drivers' names of all
    /// others. Empty if there are no NAPIs on dummy devices.
    pub(super) fn find(
        &mut self,
        roots: &Roots,
        known: &Arc<KnownNics>,
        moment: &Moment,
        own_netns: u32,
        links_changed: bool,
    ) -> Arc<DriverModules> {
        if Arc::ptr_eq(known, &self.known) && !links_changed {
            return Arc::clone(&self.found);
        }
        self.known = Arc::clone(known);
        self.found = if known.iter().any(|((_, ifindex), _)| *ifindex == 0) {
            Arc::new(modules(roots, moment, own_netns))
        } else {
            Arc::default()
        };
        Arc::clone(&self.found)
    }
}

fn modules(roots: &Roots, moment: &Moment, own_netns: u32) -> DriverModules {
    // Without the file, a driver is only its own module.
    let users = ModuleUsers::read(&roots.proc).unwrap_or_default();
    let all = moment
        .links
        .iter()
        .flat_map(|(netns, namespace)| namespace.links.iter().map(move |facts| (*netns, facts)));
    all.filter_map(|(netns, facts)| {
        let link = &facts.link;
        let id = NicId { name: &link.name, ifindex: link.ifindex, address: &link.address };
        let files = (netns == own_netns).then(|| NicFiles::find(&roots.sys, id)).flatten();
        let module = files.as_ref().and_then(of_nic);
        // Module names have underscores where drivers' may have dashes.
        let module = module.or_else(|| Some(facts.driver.as_deref()?.replace('-', "_")))?;
        Some(((netns, link.ifindex), users.with_used(&module)))
    })
    .collect()
}
