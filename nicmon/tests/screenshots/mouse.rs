//! What clicks do, found by the text that is clicked on.

use nicmon::tui::{CpuOrder, Event, QueueId, Sort, State, View, draw, draw_to_buffer, update};
use ratatui::crossterm::event::KeyCode;

use super::views::{INCIDENT, after, press};

const SIZE: (u16, u16) = (120, 40);

/// Where this text stands first, at or below a row.
fn place(state: &State, text: &str, from: u16) -> (u16, u16) {
    let buffer = draw_to_buffer(state, SIZE.0, SIZE.1);
    let at = |x: u16, y: u16| {
        let row: String = (x..SIZE.0).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect();
        row.starts_with(text)
    };
    let all = (from..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
    all.into_iter().find(|(x, y)| at(*x, *y)).unwrap_or_else(|| panic!("{text:?} is not on the screen"))
}

fn click(state: &mut State, at: (u16, u16)) {
    if let Some(target) = draw(state, SIZE.0, SIZE.1).target(at) {
        assert_eq!(update(state, Event::Click(target.clone())), None);
    }
}

fn click_on(state: &mut State, text: &str, from: u16) {
    let at = place(state, text, from);
    click(state, at);
}

#[test]
fn a_click_chooses_and_a_second_one_opens() {
    let mut state = after(INCIDENT);
    let table = place(&state, "NIC ", 0).1;
    click_on(&mut state, "lo ", table);
    assert_eq!((state.view, state.nic.is_some()), (View::Overview, true));
    click_on(&mut state, "lo ", table);
    assert_eq!(state.view, View::Nic);
    press(&mut state, KeyCode::Esc);
    click_on(&mut state, "eth0 ", table);
    click_on(&mut state, "eth0 ", table);
    assert_eq!(state.view, View::Nic);
    let queues = place(&state, "QUEUE", 0).1;
    click(&mut state, (0, queues + 2));
    assert_eq!((state.queue, state.shows_queue), (Some(QueueId::Number(1)), false));
    click(&mut state, (0, queues + 2));
    assert!(state.shows_queue);
}

#[test]
fn heads_sort() {
    let mut state = after(INCIDENT);
    let table = place(&state, "NIC ", 0).1;
    for (head, sort) in
        [("RXPKT/s", Sort::Received), ("DROP/s", Sort::Drops), ("NIC ", Sort::Name), ("LOAD%", Sort::Load)]
    {
        click_on(&mut state, head, table);
        assert_eq!((state.sort, state.reversed), (sort, false), "{head}");
        click_on(&mut state, head, table);
        assert_eq!((state.sort, state.reversed), (sort, true), "{head}");
    }
    state.view = View::Cpus;
    state.reversed = false;
    let table = place(&state, "CPUS", 0).1;
    click_on(&mut state, "CPU   %", table);
    assert_eq!(state.cpu_order, CpuOrder::Number);
    click_on(&mut state, "% OF ITS", table);
    assert_eq!(state.cpu_order, CpuOrder::Load);
}

#[test]
fn a_cpu_opens_and_a_finding_leads_to_its_nic() {
    let mut state = after(INCIDENT);
    let heads = place(&state, "% OF EACH CPU", 0).1;
    click_on(&mut state, "CPU 1", heads);
    assert_eq!((state.view, state.cpu), (View::Cpus, Some(1)));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view, View::Overview, "Esc leads back");
    state.view = View::Findings;
    click_on(&mut state, "> ", 0);
    assert_eq!(state.view, View::Nic, "the worst finding was chosen before");
}

#[test]
fn the_wheel_chooses_and_the_rest_of_the_screen_does_nothing() {
    let mut state = after(INCIDENT);
    let chosen = |state: &State| state.nic.clone();
    update(&mut state, Event::Wheel { down: true });
    let second = chosen(&state);
    assert!(second.is_some());
    update(&mut state, Event::Wheel { down: false });
    assert_ne!(chosen(&state), second);
    for at in [(0, 0), (SIZE.0 - 1, SIZE.1 - 1), (SIZE.0, SIZE.1), (u16::MAX, u16::MAX)] {
        click(&mut state, at);
    }
    assert_eq!(state.view, View::Overview);
    press(&mut state, KeyCode::Char('?'));
    (0..SIZE.1).for_each(|y| click(&mut state, (3, y)));
    assert_eq!(
        (state.view, state.help.is_some()),
        (View::Overview, true),
        "the help has nothing to click on"
    );
}

/// A click while a filter is typed must not leave the keys to the filter.
#[test]
fn a_click_ends_typing() {
    let mut state = after(INCIDENT);
    "/eth".chars().for_each(|key| drop(press(&mut state, KeyCode::Char(key))));
    let table = place(&state, "NIC ", 0).1;
    click_on(&mut state, "eth0 ", table);
    assert_eq!((state.view, state.filter.is_typing), (View::Nic, false));
}

#[test]
fn the_mouse_is_off_until_it_is_wanted() {
    let mut state = after(INCIDENT);
    assert!(!state.mouse);
    press(&mut state, KeyCode::Char('M'));
    assert!(state.mouse && state.notice.is_some());
    press(&mut state, KeyCode::Char('M'));
    assert!(!state.mouse);
}
