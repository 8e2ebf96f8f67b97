//! The state of the screen.

use std::{sync::Arc, time::Duration};

use super::{Span, Subject, Theme, Window};
use crate::frame::Frame;

/// Everything that determines how the screen looks.
#[derive(Debug, Clone)]
pub struct State {
    /// Where frames come from.
    pub source: Source,
    /// The frame on the screen; `None` before the first.
    pub frame: Option<Arc<Frame>>,
    /// The newest frame that arrived while a live screen was paused.
    pub waiting: Option<Arc<Frame>>,
    /// Whether the screen is paused.
    pub paused: bool,
    /// The first help line on the screen; `None` while the help is closed.
    pub help: Option<usize>,
    /// The order of NICs.
    pub sort: Sort,
    /// The first NIC on the screen.
    pub row: usize,
    /// The first CPU column on the screen.
    pub column: usize,
    /// The current view.
    pub view: View,
    /// State of the driver view.
    pub drivers: Drivers,
    /// With or without colours.
    pub theme: Theme,
}

/// A view; one is shown at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// NICs and CPUs: exact times.
    Nics,
    /// Driver costs, by samples.
    Drivers,
}

impl View {
    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nics => "NICs",
            Self::Drivers => "drivers",
        }
    }

    /// The other view.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Nics => Self::Drivers,
            Self::Drivers => Self::Nics,
        }
    }
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
