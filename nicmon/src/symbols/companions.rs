//! Code that works for drivers but belongs to none: the ring beneath `virtio_net`, the PHY library, the
//! page pool.
//!
//! It is shown beside a driver, never as part of it: other drivers use the same code, so nobody can say
//! from the address alone whose time it is.

use super::Function;

/// Code that works for drivers.
#[derive(Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its name: that of its module, or of a part of the kernel.
    pub name: &'static str,
    /// The drivers it serves, as ethtool calls them; empty for any driver.
    drivers: &'static [&'static str],
    /// Its modules, if it has any.
    modules: &'static [&'static str],
    /// Its functions, if it is linked into the kernel. A `*` at the end stands for any rest of the name.
    functions: &'static [&'static str],
}

impl Companion {
    /// Whether it works for this driver.
    pub fn serves(&self, driver: &str) -> bool {
        self.drivers.is_empty() || self.drivers.contains(&driver)
    }

    /// The companion that a function belongs to.
    pub fn of(function: &Function<'_>) -> Option<&'static Self> {
        COMPANIONS.iter().find(|companion| companion.has(function))
    }

    fn has(&self, function: &Function<'_>) -> bool {
        match function.module {
            Some(module) => self.modules.contains(&module),
            None => self.functions.iter().any(|pattern| matches(pattern, function.name)),
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    // Nearly all of the kernel's 150,000 functions differ here, and the first frame waits for this.
    if pattern.as_bytes().first() != name.as_bytes().first() {
        return false;
    }
    match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    }
}

/// Saves ranges of companions' code with the companion's name.
pub(super) mod by_name {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{COMPANIONS, Companion};

    pub(in crate::symbols) fn serialize<S: Serializer>(
        ranges: &[(u64, u64, &'static Companion)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ranges.iter().map(|(start, end, companion)| (start, end, companion.name)))
    }

    pub(in crate::symbols) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u64, u64, &'static Companion)>, D::Error> {
        let ranges = Vec::<(u64, u64, String)>::deserialize(deserializer)?;
        let named = |(start, end, name): (u64, u64, String)| {
            let companion = COMPANIONS.iter().find(|companion| companion.name == name);
            companion
                .map(|companion| (start, end, companion))
                .ok_or_else(|| D::Error::custom(format!("no companion is called {name}")))
        };
        ranges.into_iter().map(named).collect()
    }
}

const COMPANIONS: &[Companion] = &[
    // drivers/virtio/virtio_ring.c
    Companion {
        name: "virtio_ring",
        drivers: &["virtio_net"],
        modules: &["virtio_ring"],
        functions: &[
            "vring_*",
            "__vring_*",
            "virtqueue_*",
            "__virtqueue_*",
            "detach_buf_split*",
            "detach_buf_packed*",
        ],
    },
    // drivers/virtio/virtio_pci_*.c, virtio_mmio.c: interrupts and doorbells
    Companion {
        name: "virtio_transport",
        drivers: &["virtio_net"],
        modules: &["virtio_pci", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_mmio"],
        functions: &[
            "vp_notify",
            "vp_notify_with_data",
            "vp_interrupt",
            "vp_vring_interrupt",
            "vp_config_changed",
            "vm_notify",
            "vm_notify_with_data",
            "vm_interrupt",
        ],
    },
    // drivers/net/phy/phylink.c
    Companion { name: "phylink", drivers: &[], modules: &["phylink"], functions: &["phylink_*"] },
    // drivers/net/phy; not `phy_*`, which the generic PHY framework (drivers/phy) uses, too
    Companion {
        name: "libphy",
        drivers: &[],
        modules: &["libphy", "mdio_bus", "mdio_devres", "of_mdio", "fixed_phy"],
        functions: &["genphy_*", "mdiobus_*", "__mdiobus_*", "phy_state_machine", "phy_check_link_status"],
    },
    // drivers/net/mii.c
    Companion { name: "mii", drivers: &[], modules: &["mii"], functions: &["mii_*", "generic_mii_ioctl"] },
    // net/core/page_pool.c
    Companion { name: "page_pool", drivers: &[], modules: &[], functions: &["page_pool_*", "__page_pool_*"] },
    // net/core/xdp.c, and the redirects of net/core/filter.c
    Companion { name: "xdp", drivers: &[], modules: &[], functions: &["xdp_*", "__xdp_*"] },
    // kernel/dma, drivers/iommu/dma-iommu.c
    Companion {
        name: "dma",
        drivers: &[],
        modules: &[],
        functions: &["dma_map_*", "dma_unmap_*", "__dma_*", "swiotlb_*", "__swiotlb_*", "iommu_dma_*"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, module: Option<&str>) -> Option<&'static str> {
        Companion::of(&Function { name, module, start: 1, end: 2 }).map(|companion| companion.name)
    }

    #[test]
    fn companions_are_known_by_module_or_by_name() {
        assert_eq!(of("anything", Some("virtio_ring")), Some("virtio_ring"));
        assert_eq!(of("virtqueue_get_buf_ctx", None), Some("virtio_ring"));
        assert_eq!(of("detach_buf_split", None), Some("virtio_ring"));
        assert_eq!(of("vring_interrupt", None), Some("virtio_ring"));
        assert_eq!(of("vm_interrupt", None), Some("virtio_transport"));
        assert_eq!(of("page_pool_put_unrefed_netmem", None), Some("page_pool"));
        assert_eq!(of("vring_like", Some("other")), None, "a module's own function");
        assert_eq!(of("vm_area_free", None), None);
        assert_eq!(of("phy_init", None), None);
    }

    #[test]
    fn a_companion_serves_some_drivers_or_any() {
        let companion = |name| COMPANIONS.iter().find(|companion| companion.name == name).unwrap();
        assert!(companion("virtio_ring").serves("virtio_net"));
        assert!(!companion("virtio_ring").serves("e1000e"));
        assert!(companion("page_pool").serves("mlx5_core"));
    }
}
