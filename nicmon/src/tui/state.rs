//! What the screen knows.

use std::{sync::Arc, time::Duration};

use super::{Span, Subject, Theme, Window};
use crate::frame::Frame;

/// Everything that decides how the screen looks.
#[derive(Debug, Clone)]
pub struct State {
    /// Where frames come from.
    pub source: Source,
    /// The frame that is shown; `None` before the first.
    pub frame: Option<Arc<Frame>>,
    /// The newest frame that came while a live screen stood still.
    pub waiting: Option<Arc<Frame>>,
    /// Whether the screen stands still.
    pub paused: bool,
    /// The first line of the help that is shown; `None` while it is closed.
    pub help: Option<usize>,
    /// The order of NICs.
    pub sort: Sort,
    /// The first NIC that is shown.
    pub row: usize,
    /// The first CPU column that is shown.
    pub column: usize,
    /// Which part of what is known is shown.
    pub view: View,
    /// What the view of drivers shows.
    pub drivers: Drivers,
    /// Colours, or none.
    pub theme: Theme,
}

/// What is shown, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// NICs and CPUs: exact times.
    Nics,
    /// What drivers cost, by samples.
    Drivers,
}

impl View {
    /// What the screen calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nics => "NICs",
            Self::Drivers => "drivers",
        }
    }

    /// The one that is not shown.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Nics => Self::Drivers,
            Self::Drivers => Self::Nics,
        }
    }
}

/// What the view of drivers shows.
#[derive(Debug, Clone)]
pub struct Drivers {
    /// The last frames that were shown.
    pub window: Window,
    /// How many of them are added up.
    pub span: Span,
    /// Whose details are shown; `None` for the dearest driver's.
    pub chosen: Option<Subject>,
    /// The first of its functions that is shown.
    pub function: usize,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// This machine, now.
    Live {
        /// Time between frames.
        delay: Duration,
    },
    /// A recording or another nicmon.
    Replay {
        /// How many times faster than it was recorded; `None` where frames are shown as they come.
        speed: Option<f64>,
        /// Whether there are no more frames, and what is to say about that.
        end: Option<String>,
    },
}

/// The order of NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Load => Self::Received,
            Self::Received => Self::Drops,
            Self::Drops => Self::Name,
            Self::Name => Self::Load,
        }
    }

    /// What the screen calls it.
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
    /// Nothing known yet.
    pub fn new(source: Source, theme: Theme) -> Self {
        Self {
            source,
            frame: None,
            waiting: None,
            paused: false,
            help: None,
            sort: Sort::Load,
            row: 0,
            column: 0,
            view: View::Nics,
            drivers: Drivers { window: Window::default(), span: Span::Short, chosen: None, function: 0 },
            theme,
        }
    }
}
