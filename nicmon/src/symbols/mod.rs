//! Names for kernel addresses.

mod kallsyms;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub use self::kallsyms::{Kallsyms, KallsymsError};

/// The shortest time between two readings of kallsyms, each of which takes a good part of 100 ms.
const AGAIN: Duration = Duration::from_secs(10);

/// Names of kernel addresses, read in the background when one is first asked for.
///
/// A name asked for too early is simply not known yet; one of a module loaded later is known after the next reading.
pub struct Symbols {
    proc: PathBuf,
    index: Arc<Mutex<Option<Kallsyms>>>,
    started: Option<Instant>,
    names: HashMap<u64, Arc<str>>,
}

impl Symbols {
    /// `proc` is the root of procfs.
    pub fn new(proc: PathBuf) -> Self {
        Self { proc, index: Arc::default(), started: None, names: HashMap::new() }
    }

    /// The function that an address is in.
    pub fn name(&mut self, address: u64) -> Option<Arc<str>> {
        if let Some(name) = self.names.get(&address) {
            return Some(Arc::clone(name));
        }
        let found = {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            index.as_ref().and_then(|index| index.function_at(address)).map(Arc::from)
        };
        if let Some(name) = &found {
            self.names.insert(address, Arc::clone(name));
        } else {
            self.read_in_background();
        }
        found
    }

    /// Starts to read kallsyms, unless that was done a moment ago.
    pub fn read_in_background(&mut self) {
        if self.started.is_some_and(|started| started.elapsed() < AGAIN) {
            return;
        }
        self.started = Some(Instant::now());
        let (proc, index) = (self.proc.clone(), Arc::clone(&self.index));
        // Without the thread, or with addresses hidden, names stay unknown; `nicmon doctor` says why.
        let _ = thread::Builder::new().name("nicmon-kallsyms".to_owned()).spawn(move || {
            if let Ok(read) = Kallsyms::read(&proc) {
                *index.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
            }
        });
    }
}
