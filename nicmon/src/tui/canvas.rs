//! What is drawn, and what a click on it means.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{CpuOrder, NicId, QueueId, Sort, Subject};
use crate::frame::FindingKey;

/// What a click is on.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The row of a NIC.
    Nic(NicId),
    /// The row or column of a CPU.
    Cpu(u32),
    /// The row of a queue of the chosen NIC.
    Queue(QueueId),
    /// The row of a driver.
    Driver(Subject),
    /// The row of a finding.
    Finding(FindingKey),
    /// The head of a column by which NICs can be sorted.
    NicOrder(Sort),
    /// The head of a column by which CPUs can be sorted.
    CpuOrder(CpuOrder),
}

/// A screen that is drawn: its cells, and where clicks mean something.
#[derive(Debug)]
pub struct Canvas {
    pub(super) buffer: Buffer,
    targets: Vec<(Rect, Target)>,
}

impl Canvas {
    /// An empty one, of so many columns and rows.
    pub(super) fn new(width: u16, height: u16) -> Self {
        Self { buffer: Buffer::empty(Rect::new(0, 0, width, height)), targets: Vec::new() }
    }

    /// A click on these cells is on this target.
    pub(super) fn is_for(&mut self, at: (u16, u16), width: u16, target: Target) {
        self.targets.push((Rect::new(at.0, at.1, width, 1), target));
    }

    /// What a click at this column and row is on.
    pub fn target(&self, at: (u16, u16)) -> Option<&Target> {
        let is_there = |(area, _): &&(Rect, Target)| area.contains(at.into());
        self.targets.iter().find(is_there).map(|(_, target)| target)
    }
}
