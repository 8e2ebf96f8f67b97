//! The state of the screen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{History, Span, Subject, Theme, Window};
use crate::frame::{FindingKey, Frame, Nic};

/// Everything that determines how the screen looks.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "switches that users flip independently")]
pub struct State {
    /// Where frames come from.
    pub source: Source,
    /// The frame on the screen; `None` before the first.
    pub frame: Option<Arc<Frame>>,
    /// The last ten seconds until that frame as one frame, if it was measured in windows: a single frame says
    /// little then.
    pub sum: Option<Arc<Frame>>,
    /// The last frame that says how the network is set up.
    pub setup: Option<Arc<Frame>>,
    /// The frames before.
    pub history: History,
    /// Whether the screen is paused.
    pub paused: bool,
    /// The first help line on the screen; `None` while the help is closed.
    pub help: Option<usize>,
    /// Whether the origin of the view's figures is shown.
    pub explains: bool,
    /// The current view.
    pub view: View,
    /// The views that led to it by Enter.
    pub trail: Vec<View>,
    /// The order of NICs.
    pub sort: Sort,
    /// The order of CPUs.
    pub cpu_order: CpuOrder,
    /// Whether both orders are reversed.
    pub reversed: bool,
    /// The chosen NIC; `None` for the first.
    pub nic: Option<NicId>,
    /// The chosen CPU; `None` for the first.
    pub cpu: Option<u32>,
    /// The chosen queue of the chosen NIC; `None` for the first.
    pub queue: Option<QueueId>,
    /// Whether the view of one NIC shows that queue alone.
    pub shows_queue: bool,
    /// The chosen finding; `None` for the worst.
    pub finding: Option<FindingKey>,
    /// Heads of the columns of NICs that are shown; empty for all.
    pub columns: Vec<String>,
    /// Letters that do what other letters do.
    pub keys: BTreeMap<char, char>,
    /// The first line of a view that is text.
    pub line: usize,
    /// The first CPU column on the screen.
    pub column: usize,
    /// What a cell of a NIC on a CPU shows.
    pub units: Units,
    /// What a column of the overview stands for.
    pub grouping: Grouping,
    /// What names must contain.
    pub filter: Filter,
    /// Whether the mouse is for the screen, not for the terminal.
    pub mouse: bool,
    /// What the last key did, where it shows nowhere else.
    pub notice: Option<String>,
    /// State of the driver view.
    pub drivers: Drivers,
    /// With or without colours.
    pub theme: Theme,
}

/// A view; one is shown at a time. A configuration names it in small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// NICs and CPUs.
    Overview,
    /// What each CPU does.
    Cpus,
    /// One NIC.
    Nic,
    /// Driver costs, by samples.
    Drivers,
    /// What was found.
    Findings,
    /// nicmon itself.
    #[serde(rename = "nicmon")]
    Own,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 6] =
        [Self::Overview, Self::Cpus, Self::Nic, Self::Drivers, Self::Findings, Self::Own];

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Cpus => "CPUs",
            Self::Nic => "NIC",
            Self::Drivers => "drivers",
            Self::Findings => "findings",
            Self::Own => "nicmon",
        }
    }

    /// The next view.
    #[must_use]
    pub fn next(self) -> Self {
        self.after(1)
    }

    /// The view before.
    #[must_use]
    pub fn previous(self) -> Self {
        self.after(Self::ALL.len() - 1)
    }

    fn after(self, steps: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + steps) % Self::ALL.len()]
    }
}

/// What names must contain.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The text; empty if there is no filter.
    pub text: String,
    /// Whether the user is typing it.
    pub is_typing: bool,
}

impl Filter {
    /// Whether it leaves a name.
    pub(super) fn leaves(&self, name: &str) -> bool {
        self.text.is_empty() || name.to_lowercase().contains(&self.text.to_lowercase())
    }
}

/// What tells NICs apart, even if they are renamed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NicId {
    netns: Option<u32>,
    ifindex: u32,
    /// For rows without a namespace, such as the backlog; empty for an interface.
    pub(super) name: String,
}

impl NicId {
    /// That of a NIC.
    pub fn of(nic: &Nic) -> Self {
        let name = if nic.netns.is_none() { nic.name.clone() } else { String::new() };
        Self { netns: nic.netns, ifindex: nic.ifindex, name }
    }

    /// Whether it is that of this NIC.
    pub fn is(&self, nic: &Nic) -> bool {
        (self.netns, self.ifindex) == (nic.netns, nic.ifindex)
            && (self.netns.is_some() || self.name == nic.name)
    }
}

/// A row among the queues of a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QueueId {
    /// The queues of this number.
    Number(u32),
    /// What belongs to no queue.
    Others,
}

impl QueueId {
    /// Its number, if it has one.
    pub(super) fn number(self) -> Option<u32> {
        match self {
            Self::Number(number) => Some(number),
            Self::Others => None,
        }
    }
}

/// What a cell of a NIC on a CPU shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Units {
    /// Percent of the CPU.
    #[serde(rename = "%")]
    Pct,
    /// Nanoseconds per packet.
    #[serde(rename = "ns/packet")]
    NsPerPacket,
    /// Packets per second.
    #[serde(rename = "packets/s")]
    Packets,
}

impl Units {
    /// The next ones in the cycle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Pct => Self::NsPerPacket,
            Self::NsPerPacket => Self::Packets,
            Self::Packets => Self::Pct,
        }
    }

    /// Their name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pct => "%",
            Self::NsPerPacket => "ns/packet",
            Self::Packets => "packets/s",
        }
    }
}

/// What a column of the overview stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// One CPU.
    Cpu,
    /// All CPUs of a NUMA node.
    Node,
    /// All CPUs of a package (socket).
    Package,
}

impl Grouping {
    /// All of them, in the order of the cycle.
    pub(super) const ALL: [Self; 3] = [Self::Cpu, Self::Node, Self::Package];

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Node => "NUMA node",
            Self::Package => "package",
        }
    }
}

/// The order of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuOrder {
    /// Most network load first.
    Load,
    /// By number.
    Number,
}

/// State of the driver view.
#[derive(Debug, Clone)]
pub struct Drivers {
    /// The last frames shown.
    pub window: Window,
    /// How many of them are added up for the figures.
    pub span: Span,
    /// The subject of the details; `None` for the most expensive driver.
    pub chosen: Option<Subject>,
    /// The first of its functions on the screen.
    pub function: usize,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// This machine, live.
    Live {
        /// Time between frames.
        delay: Duration,
    },
    /// A recording or another nicmon.
    Replay {
        /// How many times faster than recorded; `None` if frames are shown as they arrive.
        speed: Option<f64>,
        /// Set after the last frame, to a message about the end, which may be empty.
        end: Option<String>,
    },
}

/// The order of NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Most load first.
    Load,
    /// Most packets received first.
    Received,
    /// Most drops first.
    Drops,
    /// By name.
    Name,
}

impl Sort {
    /// The next one in the cycle.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Load => Self::Received,
            Self::Received => Self::Drops,
            Self::Drops => Self::Name,
            Self::Name => Self::Load,
        }
    }

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Received => "received",
            Self::Drops => "drops",
            Self::Name => "name",
        }
    }
}

impl State {
    /// The state before the first frame.
    pub fn new(source: Source, theme: Theme) -> Self {
        Self {
            source,
            frame: None,
            sum: None,
            setup: None,
            history: History::default(),
            paused: false,
            help: None,
            explains: false,
            view: View::Overview,
            trail: Vec::new(),
            sort: Sort::Load,
            cpu_order: CpuOrder::Load,
            reversed: false,
            nic: None,
            cpu: None,
            queue: None,
            shows_queue: false,
            finding: None,
            columns: Vec::new(),
            keys: BTreeMap::new(),
            line: 0,
            column: 0,
            units: Units::Pct,
            grouping: Grouping::Cpu,
            filter: Filter::default(),
            mouse: false,
            notice: None,
            drivers: Drivers { window: Window::default(), span: Span::Short, chosen: None, function: 0 },
            theme,
        }
    }

    /// Whether the view shows sums of frames from windows. Drivers are added up in their own way.
    pub(super) fn adds_up(&self) -> bool {
        matches!(self.view, View::Overview | View::Cpus | View::Nic)
    }

    /// What the figures of the view are of: the frame on the screen, or a sum that ends with it.
    pub(super) fn shown(&self) -> Option<&Arc<Frame>> {
        self.sum.as_ref().filter(|_| self.adds_up()).or(self.frame.as_ref())
    }

    /// The name of the order that the view has.
    pub(super) fn order_name(&self) -> &'static str {
        match (self.view, self.cpu_order) {
            (View::Cpus, CpuOrder::Load) => "load",
            (View::Cpus, CpuOrder::Number) => "number",
            _ => self.sort.name(),
        }
    }
}
