//! The screen runs on a separate thread, so a slow terminal does not delay collecting.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ratatui::crossterm::event::{
    self as terminal_event, Event as TerminalEvent, MouseButton, MouseEventKind,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    Event, State, Wish,
    terminal::{self, Taken},
    update,
};
use crate::frame::Frame;

/// How long to wait for a terminal to accept the last output.
const PATIENCE: Duration = Duration::from_millis(300);

/// Messages to the drawing thread.
#[derive(Debug)]
pub enum Told {
    /// Update the state with this event.
    Event(Event),
    /// The mouse was clicked at this column and row.
    Click(u16, u16),
    /// A new frame is ready.
    Look,
    /// The terminal has a new size.
    Resized,
    /// Suspend, as a job of a shell.
    Stop,
    /// The process was continued.
    GoOn,
    /// Give the terminal back and end.
    End,
}

/// The frame to show next, and if it is the last one, a message about that. A slow terminal skips frames.
type NextFrame = Arc<Mutex<Option<(Arc<Frame>, Option<String>)>>>;

/// A running screen.
pub struct Screen {
    next: NextFrame,
    tell: Sender<Told>,
    wishes: UnboundedReceiver<Wish>,
    drawer: JoinHandle<io::Result<()>>,
}

impl Screen {
    /// Takes over the terminal and starts drawing.
    ///
    /// # Errors
    /// The terminal cannot be written to, or a thread cannot be started.
    pub fn start(state: State) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let (wish, wishes) = unbounded_channel();
        let next = NextFrame::default();
        let taken = Taken::take()?;
        if taken.has_keys {
            let keys = tell.clone();
            thread::Builder::new().name("nicmon-keys".to_owned()).spawn(move || read_keys(&keys))?;
        }
        let drawing = Drawing { taken, state, told, wish, next: Arc::clone(&next) };
        let drawer = thread::Builder::new().name("nicmon-screen".to_owned()).spawn(|| drawing.run())?;
        Ok(Self { next, tell, wishes, drawer })
    }

    /// Shows a frame as soon as the terminal is ready.
    pub fn show(&self, frame: Arc<Frame>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.replace((frame, None)).is_none() {
            self.tell(Told::Look);
        }
    }

    /// Notes that the last frame was shown, with a message about the end, which may be empty.
    pub fn end_here(&self, why: String) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match next.as_mut() {
            // It belongs to this frame: if another takes its place, that is not the last.
            Some((_, end)) => *end = Some(why),
            None => self.tell(Told::Event(Event::End(why))),
        }
    }

    /// Sends a message to the drawing thread. If that has ended, the message is dropped.
    pub fn tell(&self, what: Told) {
        let _ = self.tell.send(what);
    }

    /// The next request of the user; `None` if the terminal is gone.
    pub async fn wish(&mut self) -> Option<Wish> {
        self.wishes.recv().await
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// Drawing failed earlier.
    pub async fn end(mut self) -> io::Result<()> {
        self.tell(Told::End);
        let drawn = async { while self.wishes.recv().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, drawn).await.is_err() {
            // The thread is stuck while writing. At least leave raw mode.
            terminal::give_back_modes();
            return Ok(());
        }
        self.drawer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The data of the drawing thread.
struct Drawing {
    /// Dropped first, so the terminal is back to normal when the other end of `wish` sees it close.
    taken: Taken,
    state: State,
    told: Receiver<Told>,
    wish: UnboundedSender<Wish>,
    next: NextFrame,
}

impl Drawing {
    fn run(mut self) -> io::Result<()> {
        loop {
            self.taken.draw(&self.state)?;
            let Ok(first) = self.told.recv() else { return Ok(()) };
            // Handle all waiting messages, then draw once.
            let mut next = Some(first);
            while let Some(told) = next {
                match told {
                    Told::Event(event) => self.happen(event)?,
                    Told::Click(column, row) => {
                        if let Some(target) = self.taken.target((column, row)) {
                            self.happen(Event::Click(target))?;
                        }
                    }
                    Told::Look => {
                        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
                        if let Some((frame, end)) = next {
                            self.happen(Event::Frame(frame))?;
                            end.map_or(Ok(()), |why| self.happen(Event::End(why)))?;
                        }
                    }
                    Told::Resized => {}
                    Told::Stop => Taken::stop()?,
                    Told::GoOn => self.taken.go_on()?,
                    Told::End => return Ok(()),
                }
                next = self.told.try_recv().ok();
            }
        }
    }

    fn happen(&mut self, event: Event) -> io::Result<()> {
        match update(&mut self.state, event) {
            None => {}
            Some(Wish::Copy(text)) => self.taken.copy(&text)?,
            // When the program is about to end, nobody receives it.
            Some(wish) => drop(self.wish.send(wish)),
        }
        Ok(())
    }
}

/// Reads keys from standard input if it is a terminal, else from the controlling terminal, until that fails.
fn read_keys(tell: &Sender<Told>) {
    while let Ok(event) = terminal_event::read() {
        let told = match event {
            TerminalEvent::Key(key) => Told::Event(Event::Key(key)),
            TerminalEvent::Resize(..) => Told::Resized,
            TerminalEvent::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Told::Click(mouse.column, mouse.row),
                MouseEventKind::ScrollDown => Told::Event(Event::Wheel { down: true }),
                MouseEventKind::ScrollUp => Told::Event(Event::Wheel { down: false }),
                _ => continue,
            },
            _ => continue,
        };
        if tell.send(told).is_err() {
            break;
        }
    }
}
