//! The screen: its state ([`State`]), what changes it ([`update()`]), how it looks ([`view`]), and the
//! terminal it is drawn on ([`Screen`]). It depends on frames only, so live and recorded frames look the
//! same.

mod ansi;
mod canvas;
mod costs;
mod figures;
mod history;
mod keys;
mod lists;
mod paint;
mod screen;
mod settings;
mod state;
mod terminal;
mod text;
mod theme;
mod update;
pub mod view;
mod window;

use ratatui::buffer::Buffer;

pub use self::{
    canvas::{Canvas, Target},
    costs::Subject,
    history::History,
    keys::is_key,
    screen::{Screen, Told},
    settings::Settings,
    state::{CpuOrder, Drivers, Grouping, NicId, QueueId, Sort, Source, State, Units, View},
    theme::Theme,
    update::{Event, Wish, update},
    view::nic_columns,
    window::{Span, Window},
};

/// What a terminal of this size (in columns and rows) would show for this state.
pub fn draw_to_buffer(state: &State, width: u16, height: u16) -> Buffer {
    draw(state, width, height).buffer
}

/// The same, with what clicks on it mean.
pub fn draw(state: &State, width: u16, height: u16) -> Canvas {
    let mut canvas = Canvas::new(width, height);
    view::render(state, &mut canvas);
    canvas
}
