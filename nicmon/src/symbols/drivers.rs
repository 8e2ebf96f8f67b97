//! Where each driver's code is in memory: the table in which a sample's address is looked up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    BuiltinRanges, Companion, Kallsyms,
    locate::{Found, find},
    seed::{Seed, Text, Unknown},
};
use crate::frame::Origin;

/// A range of a driver's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    /// The first byte.
    start: u64,
    /// The first byte after it.
    end: u64,
    /// The text it belongs to: a slot of [`DriverText::texts`].
    slot: u16,
}

/// The text of the drivers of all devices on this machine, and of their companions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct DriverText {
    texts: Vec<Text>,
    /// By address, without overlaps.
    ranges: Vec<Range>,
    slots: BTreeMap<String, Result<u16, Unknown>>,
    #[serde(with = "super::companions::by_name")]
    companions: Vec<(u64, u64, &'static Companion)>,
}

impl DriverText {
    /// Finds the text of the seeds' drivers, one text per driver. `ranges` is `None` if the kernel has no
    /// such file.
    pub fn new(kallsyms: &Kallsyms, ranges: Option<&BuiltinRanges>, seeds: &[Seed]) -> Self {
        let found: Vec<(&str, Result<Found, Unknown>)> =
            seeds.iter().map(|seed| (seed.driver.as_str(), find(kallsyms, ranges, seed))).collect();
        let mut this = Self { companions: companions(kallsyms), ..Self::default() };
        for (driver, mine) in &found {
            let slot = match mine {
                Err(unknown) => Err(unknown.clone()),
                Ok(mine) => {
                    match found.iter().find(|(other, text)| other != driver && mine.is_blurred_by(text)) {
                        Some((other, _)) => Err(Unknown::Overlaps((*other).to_owned())),
                        None => Ok(this.add(mine)),
                    }
                }
            };
            this.slots.insert((*driver).to_owned(), slot);
        }
        this.ranges.sort_by_key(|range| range.start);
        this
    }

    /// The slot of a text. If another driver brought the same text (the representors of a NIC), they
    /// share it.
    fn add(&mut self, found: &Found) -> u16 {
        let known = self.ranges.iter().find(|range| found.ranges.contains(&(range.start, range.end)));
        if let Some(range) = known {
            return range.slot;
        }
        let slot = u16::try_from(self.texts.len()).unwrap_or(u16::MAX);
        self.texts.push(found.text.clone());
        self.ranges.extend(found.ranges.iter().map(|(start, end)| Range { start: *start, end: *end, slot }));
        slot
    }

    /// The name of the driver text that contains an address.
    pub fn driver_at(&self, address: u64) -> Option<&str> {
        let at = self.ranges.partition_point(|range| range.start <= address).checked_sub(1)?;
        let range = &self.ranges[at];
        let text = self.texts.get(usize::from(range.slot))?;
        (address < range.end).then_some(text.name.as_str())
    }

    /// The companion that contains an address.
    pub fn companion_at(&self, address: u64) -> Option<&'static Companion> {
        let at = self.companions.partition_point(|(start, ..)| *start <= address).checked_sub(1)?;
        let (_, end, companion) = self.companions[at];
        (address < end).then_some(companion)
    }

    /// The position of a driver's text in [`Self::texts`]. Several drivers may share one.
    ///
    /// # Errors
    /// Why its text is unknown.
    pub fn slot(&self, driver: &str) -> Result<u16, Unknown> {
        self.slots.get(driver).cloned().unwrap_or(Err(Unknown::NoSeed))
    }

    /// How a driver's text was found.
    ///
    /// # Errors
    /// Why it was not found.
    pub fn origin(&self, driver: &str) -> Result<Origin, Unknown> {
        let slot = self.slot(driver)?;
        self.texts.get(usize::from(slot)).map(|text| text.origin).ok_or(Unknown::NoSeed)
    }

    /// All texts, by slot.
    pub fn texts(&self) -> &[Text] {
        &self.texts
    }
}

fn companions(kallsyms: &Kallsyms) -> Vec<(u64, u64, &'static Companion)> {
    let mut companions: Vec<(u64, u64, &'static Companion)> = Vec::new();
    for function in kallsyms.functions() {
        let Some(companion) = Companion::of(&function) else { continue };
        match companions.last_mut() {
            Some((_, end, before)) if *end >= function.start && *before == companion => *end = function.end,
            _ => companions.push((function.start, function.end, companion)),
        }
    }
    companions
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, path::Path};

    use super::{super::builtin_ranges::tests::parse, *};

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/symbols");

    fn this_machine() -> Kallsyms {
        Kallsyms::read(&Path::new(FIXTURES).join("this-machine")).unwrap()
    }

    fn kallsyms(text: &str) -> Kallsyms {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kallsyms"), text).unwrap();
        Kallsyms::read(folder.path()).unwrap()
    }

    fn seed(kallsyms: &Kallsyms, driver: &str, poll: Option<&str>, ops: &[&str]) -> Seed {
        let address = |name: &&str| kallsyms.address_of(name).unwrap_or_else(|| panic!("no {name}"));
        let poll = poll.as_ref().map(address);
        Seed {
            driver: driver.to_owned(),
            polls: poll.into_iter().collect(),
            ops: ops.iter().map(address).collect(),
        }
    }

    /// What the kernel's `net_device_ops` and NAPIs of the two drivers would give.
    fn seeds(kallsyms: &Kallsyms) -> Vec<Seed> {
        let virtio =
            ["virtnet_open", "virtnet_close", "start_xmit", "virtnet_set_mac_address", "eth_validate_addr"];
        let veth = ["veth_open", "veth_close", "veth_xmit", "eth_mac_addr", "passthru_features_check"];
        vec![
            seed(kallsyms, "virtio_net", Some("virtnet_poll"), &virtio),
            seed(kallsyms, "virtio_net", Some("virtnet_poll_tx"), &virtio),
            seed(kallsyms, "veth", Some("veth_poll"), &veth),
        ]
    }

    /// Names of all functions that belong to a driver.
    fn inside<'a>(kallsyms: &'a Kallsyms, text: &DriverText, driver: &str) -> BTreeSet<&'a str> {
        let is_inside = |function: &super::super::Function<'_>| {
            let (first, last) = (text.driver_at(function.start), text.driver_at(function.end - 1));
            assert_eq!(first, last, "{} is cut in two", function.name);
            first == Some(driver)
        };
        kallsyms.functions().filter(is_inside).map(|function| function.name).collect()
    }

    #[test]
    fn exactly_the_drivers_own_functions_are_inferred() {
        let kallsyms = this_machine();
        let text = DriverText::new(&kallsyms, None, &seeds(&kallsyms));
        for driver in ["virtio_net", "veth"] {
            let list = std::fs::read_to_string(format!("{FIXTURES}/{driver}.functions")).unwrap();
            assert_eq!(inside(&kallsyms, &text, driver), list.lines().collect(), "{driver}");
            assert_eq!(text.origin(driver), Ok(Origin::Inferred));
        }
        let text_at = |name: &str| text.driver_at(kallsyms.address_of(name).unwrap());
        for neighbour in [
            "jhash",
            "vxlan_open",
            "tap_sendmsg",
            "eth_mac_addr",
            "passthru_features_check",
            "vring_interrupt",
        ] {
            assert_eq!(text_at(neighbour), None, "{neighbour}");
        }
    }

    #[test]
    fn companions_are_kept_apart_from_the_driver() {
        let kallsyms = this_machine();
        let text = DriverText::new(&kallsyms, None, &seeds(&kallsyms));
        let at = kallsyms.address_of("virtqueue_get_buf").unwrap();
        assert_eq!(text.driver_at(at), None);
        let companion = text.companion_at(at).unwrap();
        assert!(
            companion.name == "virtio_ring" && companion.serves("virtio_net") && !companion.serves("veth")
        );
        let own = kallsyms.address_of("virtnet_poll").unwrap();
        assert!(text.companion_at(own).is_none());
    }

    #[test]
    fn without_a_napi_ops_named_like_the_driver_are_used() {
        let kallsyms = this_machine();
        let ops = ["eth_mac_addr", "veth_open"];
        let text = DriverText::new(&kallsyms, None, &[seed(&kallsyms, "veth", None, &ops)]);
        assert_eq!(text.origin("veth"), Ok(Origin::Inferred));
        let text = DriverText::new(&kallsyms, None, &[seed(&kallsyms, "eth0", None, &ops)]);
        assert_eq!(text.origin("eth0"), Err(Unknown::NoSymbol));
    }

    #[test]
    fn a_shared_poll_function_proves_nothing() {
        let kallsyms = this_machine();
        let ops = ["vxlan_open", "eth_mac_addr"];
        let vxlan = seed(&kallsyms, "vxlan", Some("gro_cell_poll"), &ops);
        let text = DriverText::new(&kallsyms, None, &[vxlan]);
        assert_eq!(text.origin("vxlan"), Ok(Origin::Inferred), "its ops show it");
        let at = |name: &str| text.driver_at(kallsyms.address_of(name).unwrap());
        assert_eq!((at("vxlan_open"), at("gro_cell_poll")), (Some("vxlan"), None));

        let other = seed(&kallsyms, "overlay", Some("gro_cell_poll"), &ops);
        let text = DriverText::new(&kallsyms, None, &[other]);
        assert_eq!(text.origin("overlay"), Err(Unknown::SharedPoll("gro".to_owned())));
        assert!(text.ranges.is_empty());
        assert_eq!(text.origin("igb"), Err(Unknown::NoSeed));
    }

    #[test]
    fn the_kernels_ranges_take_precedence_over_names() {
        let kallsyms = this_machine();
        let at = |name: &str| kallsyms.address_of(name).unwrap();
        // What the file of this kernel would say: offsets count from an anchor, here the first function
        // of tap.
        let anchor = kallsyms.functions().next().unwrap();
        let line = |from: &str, to: &str, name: &str| {
            format!(".text {:08x}-{:08x} {name}\n", at(from) - anchor.start, at(to) - anchor.start)
        };
        let file = format!(".text 00000000-00000000 = {}\n", anchor.name)
            + &line("veth_get_link_ksettings", "virtnet_stats", "veth")
            + &line("virtnet_stats", "jhash", "virtio_net");
        let ranges = parse(&file, &kallsyms).unwrap();
        let text = DriverText::new(&kallsyms, Some(&ranges), &seeds(&kallsyms));
        assert_eq!(text.origin("veth"), Ok(Origin::BuiltinRanges));
        assert_eq!(text.origin("virtio_net"), Ok(Origin::BuiltinRanges));
        assert_eq!(text.driver_at(at("receive_buf")), Some("virtio_net"));
        assert_eq!(text.driver_at(at("jhash")), None);
        // If a driver was not polled, only its name is known.
        let text = DriverText::new(&kallsyms, Some(&ranges), &[seed(&kallsyms, "virtio_net", None, &[])]);
        assert_eq!(text.origin("virtio_net"), Ok(Origin::BuiltinRanges));
        assert_eq!(text.driver_at(at("receive_buf")), Some("virtio_net"));
    }

    #[test]
    fn modules_are_complete_and_namesakes_kept_apart() {
        let kallsyms = kallsyms(
            "ffffffffc0000000 t e1000_clean\t[e1000]\nffffffffc0000100 t e1000_up\t[e1000]\n\
             ffffffffc0100000 t e1000_clean\t[e1000e]\nffffffffc0100100 t e1000e_poll\t[e1000e]\n\
             ffffffffc0200000 t mlx5e_napi_poll\t[mlx5_core]\n\
             ffffffffc0300000 t vring_interrupt\t[virtio_ring]\n\
             ffffffffc0400000 t br_handle_frame\t[bridge]\nffffffffc0500000 t cp_rx_poll\t[8139cp]\n",
        );
        let polled =
            |driver: &str, poll| Seed { driver: driver.to_owned(), polls: vec![poll], ops: Vec::new() };
        let seeds = [
            polled("e1000", 0xffff_ffff_c000_0000),
            polled("e1000e", 0xffff_ffff_c010_0100),
            polled("mlx5_core", 0xffff_ffff_c020_0000),
            polled("mlx5e_rep", 0xffff_ffff_c020_0000),
            // No NAPI, or not polled yet.
            seed(&kallsyms, "bridge", None, &[]),
            seed(&kallsyms, "802.1Q VLAN Support", None, &[]),
        ];
        let text = DriverText::new(&kallsyms, None, &seeds);
        assert_eq!(text.driver_at(0xffff_ffff_c000_0150), Some("e1000"));
        assert_eq!(text.driver_at(0xffff_ffff_c010_0050), Some("e1000e"));
        assert_eq!(text.origin("e1000e"), Ok(Origin::Module));
        assert_eq!(text.slot("mlx5_core"), text.slot("mlx5e_rep"));
        assert_eq!(text.texts().len(), 4);
        assert_eq!(text.driver_at(0xffff_ffff_c040_0010), Some("bridge"));
        assert_eq!(text.origin("802.1Q VLAN Support"), Err(Unknown::NoSymbol));
        assert_eq!(text.driver_at(0xffff_ffff_c030_0000), None);
        assert_eq!(
            text.companion_at(0xffff_ffff_c030_0000).map(|companion| companion.name),
            Some("virtio_ring")
        );
    }

    #[test]
    fn neighbours_with_one_prefix_are_reported_as_unclear() {
        let kallsyms = kallsyms(
            "ffffffff81000000 t e1000_clean\nffffffff81000100 t e1000_probe\nffffffff81000200 t e1000_open\n\
             ffffffff81000300 t e1000_probe\nffffffff81000400 t e1000e_poll\nffffffff81000500 t other\n",
        );
        let clean = Seed { driver: "e1000".to_owned(), polls: vec![0xffff_ffff_8100_0000], ops: Vec::new() };
        let text = DriverText::new(&kallsyms, None, &[clean]);
        assert_eq!(text.origin("e1000"), Err(Unknown::Twins("e1000".to_owned())));
        assert_eq!(text.driver_at(0xffff_ffff_8100_0000), None);
    }

    #[test]
    fn ops_may_have_a_shorter_prefix_than_the_poll_function() {
        // More functions of that kind in a row than a gap may have.
        let mut file = String::from("ffffffff81000000 t mdio_other\nffffffff81000100 t rtl8169_close\n");
        for at in 2..14 {
            writeln!(file, "ffffffff81000{at:x}00 t rtl_hw_start_{at}").unwrap();
        }
        file +=
            "ffffffff81000e00 t rtl_open\nffffffff81000f00 t rtl8169_poll\nffffffff81001000 t sky2_poll\n";
        let kallsyms = kallsyms(&file);
        let ops = ["rtl_open", "rtl8169_close"];
        let text = DriverText::new(&kallsyms, None, &[seed(&kallsyms, "r8169", Some("rtl8169_poll"), &ops)]);
        assert_eq!(inside(&kallsyms, &text, "r8169").len(), 15);
        assert_eq!(text.driver_at(0xffff_ffff_8100_1000), None);
    }

    #[test]
    fn a_cold_part_with_an_ambiguous_name_is_left_out() {
        let kallsyms = kallsyms(
            "ffffffff81000000 t start_xmit.cold\nffffffff81000010 t cp_open.cold\n\
             ffffffff81000020 t other.cold\n\
             ffffffff81100000 t cp_open\nffffffff81100100 t start_xmit\nffffffff81100200 t cp_rx_poll\n\
             ffffffff81100300 t elsewhere\nffffffff81200000 t start_xmit\nffffffff81200100 t end\n",
        );
        let poll = Seed { driver: "8139cp".to_owned(), polls: vec![0xffff_ffff_8110_0200], ops: Vec::new() };
        let text = DriverText::new(&kallsyms, None, &[poll]);
        assert_eq!(text.driver_at(0xffff_ffff_8110_0150), Some("8139cp"), "between two of its own functions");
        assert_eq!(text.driver_at(0xffff_ffff_8100_0010), Some("8139cp"));
        assert_eq!(text.driver_at(0xffff_ffff_8100_0000), None, "there is another start_xmit");
        assert_eq!(text.driver_at(0xffff_ffff_8120_0000), None);
    }
}
