//! The screen on a thread of its own: a slow terminal keeps nobody from collecting.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ratatui::crossterm::event::{self as terminal_event, Event as TerminalEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    Event, State, Wish,
    terminal::{self, Taken},
    update,
};
use crate::frame::Frame;

/// How long a terminal may take for the last of what is written to it.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the drawing thread is told besides frames.
#[derive(Debug)]
pub enum Told {
    /// Something happened to the state.
    Event(Event),
    /// A frame lies in the box.
    Look,
    /// The terminal has another size.
    Resized,
    /// Stop, as a job.
    Stop,
    /// Somebody let us go on.
    GoOn,
    /// End.
    End,
}

/// The frame to show next: a terminal that is slow misses the ones between.
type NextFrame = Arc<Mutex<Option<Arc<Frame>>>>;

/// A screen that is shown.
pub struct Screen {
    next: NextFrame,
    tell: Sender<Told>,
    wishes: UnboundedReceiver<Wish>,
    drawer: JoinHandle<io::Result<()>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be written to, or a thread cannot be started.
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

    /// Shows a frame, as soon as the terminal is ready.
    pub fn show(&self, frame: Arc<Frame>) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.replace(frame).is_none() {
            self.tell(Told::Look);
        }
    }

    /// Tells the drawing thread; one that has ended needs to know nothing.
    pub fn tell(&self, what: Told) {
        let _ = self.tell.send(what);
    }

    /// What the user wants; `None` when the terminal is gone.
    pub async fn wish(&mut self) -> Option<Wish> {
        self.wishes.recv().await
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// Drawing has failed before.
    pub async fn end(mut self) -> io::Result<()> {
        self.tell(Told::End);
        let drawn = async { while self.wishes.recv().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, drawn).await.is_err() {
            // It is stuck in writing. Raw mode at least is given back.
            terminal::give_back_modes();
            return Ok(());
        }
        self.drawer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// What the drawing thread has.
struct Drawing {
    /// Dropped first: whoever sees the end of `wish` may count on the terminal being given back.
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
            // All that waits, then one drawing.
            let mut next = Some(first);
            while let Some(told) = next {
                match told {
                    Told::Event(event) => self.happen(event),
                    Told::Look => {
                        let frame = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
                        if let Some(frame) = frame {
                            self.happen(Event::Frame(frame));
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

    fn happen(&mut self, event: Event) {
        if let Some(wish) = update(&mut self.state, event) {
            // Nobody hears it when all is about to end.
            let _ = self.wish.send(wish);
        }
    }
}

/// From standard input if that is a terminal, else from the controlling terminal; until neither can be read.
fn read_keys(tell: &Sender<Told>) {
    while let Ok(event) = terminal_event::read() {
        let told = match event {
            TerminalEvent::Key(key) => Told::Event(Event::Key(key)),
            TerminalEvent::Resize(..) => Told::Resized,
            _ => continue,
        };
        if tell.send(told).is_err() {
            break;
        }
    }
}
