//! Which NIC an interrupt belongs to, and which queue.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    nic_files::{NicFiles, NicId},
    queues::Direction,
    read_line,
};

#[cfg(test)]
mod tests;

/// The interrupts of the NICs in one network namespace, as far as sysfs shows that namespace.
///
/// Sysfs says which device has which MSI vectors (`msi_irqs`, `drivers/pci/msi`). The name that a driver gave
/// an interrupt decides the rest. It may be outdated: many drivers do not change it when an interface is
/// renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicIrqs(Vec<IrqOwner>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct IrqOwner {
    name: String,
    ifindex: u32,
    /// Name of its virtio device (`virtio1`), which `virtio_pci` and `virtio_mmio` use in the names of its
    /// interrupts.
    virtio: Option<String>,
    irqs: Irqs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Irqs {
    /// It has none: it is a virtual interface.
    None,
    /// MSI vectors, which no other device has.
    Msi(Vec<u32>),
    /// A legacy line, and whether another device shares it.
    Line {
        irq: u32,
        shared: bool,
        /// Whether the names of the line's actions say which are this NIC's. Observations of nicmon 0.1.0 do
        /// not have it.
        #[serde(default = "yes")]
        told: bool,
    },
    /// Sysfs does not say.
    Unknown,
}

impl Irqs {
    fn may_hold(&self, wanted: u32) -> bool {
        match self {
            Self::None => false,
            Self::Msi(vectors) => vectors.contains(&wanted),
            Self::Line { irq, told, .. } => *irq == wanted && *told,
            Self::Unknown => true,
        }
    }
}

impl IrqOwner {
    fn has_vector(&self, irq: u32) -> bool {
        matches!(&self.irqs, Irqs::Msi(vectors) if vectors.contains(&irq))
    }
}

impl NicIrqs {
    /// Reads the interrupts of these NICs. One that sysfs does not show, because it has disappeared or
    /// because sysfs shows another namespace, is left out: its interrupts are unknown.
    ///
    /// # Errors
    /// `/sys/class/net` cannot be read.
    pub fn read<'a>(sys: &Path, own: impl IntoIterator<Item = NicId<'a>>) -> Result<Self, Error> {
        let class = sys.join("class/net");
        fs::read_dir(&class).map_err(Error::read(&class))?;
        let mut nics = Vec::new();
        for id in own {
            let Some(files) = NicFiles::find(sys, id) else { continue };
            let (name, ifindex) = (id.name.to_string_lossy().into_owned(), id.ifindex);
            let device = files.path().join("device");
            let Ok(target) = fs::read_link(&device) else {
                nics.push(IrqOwner { name, ifindex, virtio: None, irqs: Irqs::None });
                continue;
            };
            let target = target.file_name().unwrap_or_default().to_string_lossy();
            // The interrupts of a virtio device are those of its transport, its parent. The parent of any
            // other device is a bridge, with interrupts of its own.
            let virtio = is_numbered(&target, "virtio").then(|| target.into_owned());
            let owner = if virtio.is_some() { device.join("..") } else { device };
            let irqs = read_irqs(sys, &owner, &[Some(&name), virtio.as_ref()]);
            nics.push(IrqOwner { name, ifindex, virtio, irqs });
        }
        Ok(Self(nics))
    }

    /// Whether all interrupts of a NIC are known. They are not for a USB device, whose host controller takes
    /// them, nor for several NICs on one device (ports, representors) if the names of its interrupts do not
    /// say which NIC they serve.
    pub fn tells_all_of(&self, ifindex: u32) -> bool {
        let Some(own) = self.0.iter().find(|nic| nic.ifindex == ifindex) else { return false };
        match &own.irqs {
            Irqs::None => true,
            Irqs::Line { told, .. } => *told,
            // Interrupts of virtio have the name of the device, whatever its transport is.
            Irqs::Unknown => own.virtio.is_some(),
            Irqs::Msi(vectors) => {
                let shares = |nic: &&IrqOwner| {
                    nic.ifindex != ifindex && vectors.iter().any(|irq| nic.has_vector(*irq))
                };
                !self.0.iter().any(|nic| shares(&nic))
            }
        }
    }

    /// The NIC that an interrupt belongs to; `None` if it belongs to none, or if that is unknown.
    ///
    /// It is the only NIC that has the MSI vector. Otherwise it is the NIC that the action names, directly
    /// (`eth0-rx-0`) or by its virtio device (`virtio0-input.0`), unless the interrupts that sysfs lists for
    /// that NIC contradict it. Otherwise it is the NIC with this legacy line, if the line is not shared.
    ///
    /// `action` may be all actions of a shared line, joined by commas (`uhci_hcd:usb1,eth0`):
    /// `/proc/interrupts` counts them together. If they name two NICs, it is unknown.
    pub fn nic_of(&self, irq: u32, action: &str) -> Option<&str> {
        let msi = self.0.iter().filter(|nic| nic.has_vector(irq));
        let lone =
            |nic: &&IrqOwner| matches!(nic.irqs, Irqs::Line { irq: line, shared: false, .. } if line == irq);
        only(msi)
            .or_else(|| self.named(irq, action))
            .or_else(|| only(self.0.iter().filter(lone)))
            .map(|nic| nic.name.as_str())
    }

    /// The only NIC that these actions name.
    fn named(&self, irq: u32, actions: &str) -> Option<&IrqOwner> {
        let mut named = actions.split(',').filter_map(|action| self.named_by(irq, action));
        let first = named.next()?;
        named.all(|nic| nic.ifindex == first.ifindex).then_some(first)
    }

    /// The NIC with the longest name that the action contains.
    fn named_by(&self, irq: u32, action: &str) -> Option<&IrqOwner> {
        let names = |nic: &IrqOwner| {
            let names = [Some(nic.name.as_str()), nic.virtio.as_deref()].into_iter().flatten();
            names.filter(|name| around(action, name).is_some()).map(str::len).max()
        };
        let candidates = self.0.iter().filter(|nic| nic.irqs.may_hold(irq));
        candidates
            .filter_map(|nic| Some((names(nic)?, nic)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, nic)| nic)
    }
}

/// The queue that an interrupt serves, from the name of its action: the number after a word for a queue
/// (`eth0-TxRx-3`, `virtio0-input.0`, `mlx5_comp3@pci:...`), or everything after the name of its NIC
/// (`eth0-3`). A number in the name of an interface or device is not a queue.
pub fn queue_of(action: &str, nic: Option<&str>) -> Option<u32> {
    let (text, after_name) = match nic.and_then(|name| after(action, name)) {
        Some(after) => (after, true),
        None => (action, false),
    };
    // The address of the device follows.
    let text = text.split('@').next().unwrap_or_default();
    let mut tokens = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|token| !token.is_empty());
    let mut follows_word = false;
    if !after_name {
        // It is a name, whatever it looks like.
        tokens.next();
    } else if let Some(queue) = text.strip_prefix('-').and_then(number) {
        return Some(queue);
    }
    for token in tokens {
        let word = token.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &token[word.len()..];
        if digits.is_empty() {
            follows_word = is_queue_word(word);
        } else if word.is_empty() && follows_word || is_queue_word(word) {
            return number(digits);
        } else {
            follows_word = false;
        }
    }
    None
}

/// What the queue of an interrupt carries, from the name of its action; `None` if it carries both, or the
/// name does not say.
pub fn direction_of(action: &str, nic: Option<&str>) -> Option<Direction> {
    let text = nic.and_then(|name| after(action, name)).unwrap_or(action);
    let text = text.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let says = |words: [&str; 2]| words.iter().any(|word| text.contains(word));
    match (says(["rx", "input"]), says(["tx", "output"])) {
        (true, false) => Some(Direction::Rx),
        (false, true) => Some(Direction::Tx),
        _ => None,
    }
}

fn is_queue_word(word: &str) -> bool {
    const WORDS: [&str; 13] =
        ["rx", "tx", "txrx", "rxtx", "rxq", "txq", "q", "queue", "ring", "comp", "fp", "input", "output"];
    WORDS.iter().any(|queue| queue.eq_ignore_ascii_case(word))
}

fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What is after a name in the only one of these actions, joined by commas, that has it.
fn after<'a>(actions: &'a str, name: &str) -> Option<&'a str> {
    only(actions.split(',').filter_map(|action| Some(around(action, name)?.1)))
}

/// What is before and after a name in an action, if it is a word of its own there.
fn around<'a>(action: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    // The name of the driver may come before it, as in `i40e-eth0-TxRx-3`. After a colon comes something
    // else: the bus of a USB host controller has names like `uhci_hcd:usb1` or `xhci-hcd:usb1`
    // (`usb_add_hcd`, `drivers/usb/core/hcd.c`), and a NIC may be called usb1 or hcd, too.
    let begins = |before: &str| before.is_empty() || before.ends_with('-');
    // An underscore may follow, as in `eth0_g0_tx`.
    let ends = |after: &str| !after.starts_with(char::is_alphanumeric) && !after.starts_with(":usb");
    let mut places = action.match_indices(name).map(|(at, _)| (&action[..at], &action[at + name.len()..]));
    places.find(|(before, after)| !name.is_empty() && begins(before) && ends(after))
}

/// The only item of an iterator; `None` if there is none or more than one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

fn is_numbered(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| !digits.is_empty() && number(digits).is_some())
}

fn yes() -> bool {
    true
}

/// The interrupts of a device. `names` are those that its actions may have.
fn read_irqs(sys: &Path, device: &Path, names: &[Option<&String>]) -> Irqs {
    let mut vectors = read_numbers(&device.join("msi_irqs")).unwrap_or_default();
    if !vectors.is_empty() {
        vectors.sort_unstable();
        return Irqs::Msi(vectors);
    }
    // 0 is "none" (`pci_dev.irq`).
    match read_line(&device.join("irq")).ok().and_then(|line| number(&line)).filter(|&irq| irq != 0) {
        Some(irq) => {
            // The names of all handlers of the line, separated by commas (`actions_show` in
            // `kernel/irq/irqdesc.c`).
            let actions: PathBuf = sys.join("kernel/irq").join(irq.to_string()).join("actions");
            // If they cannot be read, other devices may use the line.
            let actions = read_line(&actions).ok();
            let actions: Option<Vec<&str>> = actions.as_ref().map(|text| text.split(',').collect());
            let shared = actions.as_ref().is_none_or(|actions| actions.len() > 1);
            let told = !shared || actions.is_some_and(|actions| tell(&actions, names));
            Irqs::Line { irq, shared, told }
        }
        None => Irqs::Unknown,
    }
}

/// Whether the actions of a shared line say which belong to the device with these names. Two actions of one
/// name do not: one may be that of a NIC that was renamed, whose interrupt keeps the old name.
fn tell(actions: &[&str], names: &[Option<&String>]) -> bool {
    let own = || {
        let is_own = |action: &&&str| names.iter().flatten().any(|name| around(action, name).is_some());
        actions.iter().filter(is_own)
    };
    let is_double = |action: &&str| actions.iter().filter(|other| *other == action).count() > 1;
    own().next().is_some() && !own().any(is_double)
}

fn read_numbers(directory: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(directory)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| number(&name)).collect())
}
