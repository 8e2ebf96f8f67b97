//! From view to view: what Enter opens, and the way back.

use crate::{
    frame::Frame,
    tui::{NicId, QueueId, State, View, lists, state::Filter},
};

/// Closes what was opened last.
pub(super) fn go_back(state: &mut State) {
    if state.help.take().is_some() || std::mem::take(&mut state.explains) {
        return;
    }
    if std::mem::take(&mut state.shows_queue) {
        return;
    }
    if state.filter.text.is_empty() {
        if let Some(view) = state.trail.pop() {
            state.view = view;
        }
    } else {
        state.filter.text.clear();
    }
}

/// Shows a view, or its help if the help is open.
pub(super) fn change_view(state: &mut State, view: View) {
    state.view = view;
    state.shows_queue = false;
    state.trail.clear();
    state.filter.text.clear();
    state.line = 0;
    state.help = state.help.map(|_| 0);
    state.explains = false;
}

/// Opens what is chosen.
pub(super) fn open(state: &mut State) {
    let Some(frame) = state.shown().cloned() else { return };
    let nic = match state.view {
        View::Overview => lists::listed_nic(state, &frame).map(NicId::of),
        View::Cpus => lists::cpu(state, &frame).and_then(|cpu| lists::nic_on(&frame, cpu.cpu)).map(NicId::of),
        View::Findings => return open_finding(state, &frame),
        View::Nic => return open_queue(state, &frame),
        View::Drivers | View::Own => return,
    };
    match nic {
        Some(nic) => drill(state, View::Nic, Some(nic)),
        None => state.notice = Some("no NIC loads this CPU".to_owned()),
    }
}

/// Shows one queue in place of all, and stays with it and its NIC, whatever else becomes busier.
fn open_queue(state: &mut State, frame: &Frame) {
    let Some(nic) = lists::nic(state, frame) else { return };
    match lists::queue(state, frame, nic) {
        Some(queue) => {
            (state.nic, state.queue, state.shows_queue) = (Some(NicId::of(nic)), Some(queue), true);
        }
        None => state.notice = Some("this NIC has no queues".to_owned()),
    }
}

/// Shows what a finding is about: a NIC with its queue, or a CPU.
fn open_finding(state: &mut State, frame: &Frame) {
    let Some(finding) = lists::finding(state, frame) else { return };
    let nic = lists::nic_of(frame, finding);
    match (nic, finding.subject.cpu) {
        (Some(nic), _) => {
            let nic = NicId::of(nic);
            drill(state, View::Nic, Some(nic));
            state.queue = finding.subject.queue.map(QueueId::Number);
        }
        (None, Some(cpu)) => {
            state.cpu = Some(cpu);
            drill(state, View::Cpus, None);
        }
        (None, None) => state.notice = Some("it is about no single NIC or CPU".to_owned()),
    }
}

pub(super) fn drill(state: &mut State, view: View, nic: Option<NicId>) {
    if nic.is_some() {
        (state.nic, state.queue) = (nic, None);
    }
    state.trail.push(state.view);
    state.filter = Filter::default();
    (state.view, state.line, state.shows_queue) = (view, 0, false);
}
