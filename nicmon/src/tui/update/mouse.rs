//! What a click does.

use super::navigate::{drill, open};
use crate::tui::{NicId, State, Target, View, lists};

/// Chooses what was clicked on, or opens it if it was chosen before. A head of a column orders by it, and
/// reverses that order if it was so before.
pub(super) fn click(state: &mut State, target: Target) {
    let Some(frame) = state.shown().cloned() else { return };
    state.filter.is_typing = false;
    let was_chosen = lists::is_chosen(state, &frame, &target);
    match target {
        Target::NicOrder(_) | Target::CpuOrder(_) if was_chosen => state.reversed = !state.reversed,
        Target::NicOrder(sort) => (state.sort, state.reversed) = (sort, false),
        Target::CpuOrder(order) => (state.cpu_order, state.reversed) = (order, false),
        Target::Cpu(cpu) if state.view == View::Overview => {
            state.cpu = Some(cpu);
            drill(state, View::Cpus, None);
        }
        _ if was_chosen => open(state),
        Target::Nic(id) => (state.nic, state.queue) = (Some(id), None),
        Target::Cpu(cpu) => state.cpu = Some(cpu),
        Target::Queue(queue) => {
            state.nic = lists::nic(state, &frame).map(NicId::of);
            state.queue = Some(queue);
        }
        Target::Driver(subject) => (state.drivers.chosen, state.drivers.function) = (Some(subject), 0),
        Target::Finding(key) => state.finding = Some(key),
    }
}
