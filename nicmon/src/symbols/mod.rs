//! Names of kernel addresses, and which driver their code belongs to.

mod builtin_ranges;
mod companions;
mod drivers;
mod inferred;
mod kallsyms;
mod locate;
mod seed;
mod socket_calls;
mod stages;

use std::{
    fs::File,
    io::{self, Seek as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

pub use self::{
    builtin_ranges::{BuiltinRange, BuiltinRanges, BuiltinRangesError},
    companions::Companion,
    drivers::DriverText,
    kallsyms::{Function, Kallsyms, KallsymsError},
    seed::{Seed, Text, Unknown},
    socket_calls::socket_calls,
    stages::{is_network, stage_of},
};
use crate::privileges::Privileges;

/// The shortest time between two readings of kallsyms. Each takes a good part of 100 ms.
const AGAIN: Duration = Duration::from_secs(10);
/// The same after a failed reading: another attempt within a minute would most likely fail, too.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_mins(1);
/// How long [`Symbols::wait`] waits for a reading.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same after modules came or went: until the next reading, names in modules may be wrong.
const AGAIN_FOR_MODULES: Duration = Duration::from_secs(1);

/// Names of kernel addresses, read in the background when a name is first requested.
///
/// Until the first reading is done, no name is known. If a module came or went since the last reading, no
/// name in a module is known: another module may be at its addresses.
pub struct Symbols {
    /// `/proc/modules`; `None` in a kernel without modules.
    modules: Option<File>,
    files: Arc<Files>,
    privileges: Privileges,
    read: Arc<Mutex<Read>>,
    started: Option<Instant>,
    /// Whether modules came or went since the last reading.
    stale: bool,
}

/// What is known at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The symbols as last read; `None` until then.
    pub kallsyms: Option<Arc<Kallsyms>>,
    /// Whether modules came or went since: another module may be at a module's addresses.
    pub is_stale: bool,
    /// Why there are no symbols: what failed, why, and what to do. `None` if there are symbols, or if
    /// they are being read for the first time.
    pub problem: Option<String>,
}

impl Snapshot {
    /// All symbols, if those of modules are still valid.
    pub fn current(&self) -> Option<&Arc<Kallsyms>> {
        self.kallsyms.as_ref().filter(|_| !self.is_stale)
    }

    /// The function that contains an address; `None` while it is unknown.
    pub fn name(&self, address: u64) -> Option<&str> {
        let function = self.kallsyms.as_ref()?.function_at(address)?;
        (!self.is_stale || function.module.is_none()).then_some(function.name)
    }
}

/// What the readings in the background found.
#[derive(Default)]
struct Read {
    index: Option<Arc<Kallsyms>>,
    /// Why the last reading failed.
    problem: Option<String>,
    readings: u64,
    /// The modules at the last reading.
    modules: Option<String>,
    under_way: bool,
}

/// What the thread in the background reads. The files stay open, because whether they show addresses was
/// decided when they were opened (`kallsyms_open`, `kernel/kallsyms.c`; `modules_open`,
/// `kernel/module/procfs.c`).
struct Files {
    proc: PathBuf,
    modules: Option<File>,
    kallsyms: io::Result<File>,
}

impl Symbols {
    /// `proc` is the procfs root, and `privileges` tells the thread in the background what to give up.
    pub fn new(proc: &Path, privileges: Privileges) -> Self {
        let open = |name| File::open(proc.join(name));
        // One without the other would make every reading look outdated.
        let (modules, own_modules) = open("modules").ok().zip(open("modules").ok()).unzip();
        let files = Files { proc: proc.to_owned(), modules, kallsyms: open("kallsyms") };
        Self {
            modules: own_modules,
            files: Arc::new(files),
            privileges,
            read: Arc::default(),
            started: None,
            stale: false,
        }
    }

    /// All symbols as last read, whether modules came or went since, and why there are no symbols. Each
    /// reading makes a new [`Arc`], so [`Arc::ptr_eq`] shows whether results derived from it are still
    /// valid.
    pub fn snapshot(&self) -> Snapshot {
        let read = lock(&self.read);
        let problem = match &read.problem {
            None if self.stale => Some(
                "a kernel module was loaded or unloaded: nicmon reads symbols again, within a second or two"
                    .to_owned(),
            ),
            problem if read.index.is_none() || self.stale => problem.clone(),
            _ => None,
        };
        Snapshot { kallsyms: read.index.clone(), is_stale: self.stale, problem }
    }

    /// Reads kallsyms again if modules came or went since the last reading. The check reads one small
    /// file. During a new reading, no name in a module is known.
    pub fn follow_modules(&mut self) {
        // A kernel without modules has no such file, and its symbols do not change.
        let Some(Ok(modules)) = self.modules.as_ref().map(loaded_modules) else { return };
        let stale = {
            let read = lock(&self.read);
            read.index.is_some() && read.modules.as_ref() != Some(&modules)
        };
        if stale {
            self.start(AGAIN_FOR_MODULES);
        }
        self.stale = stale;
    }

    /// Waits until the reading in the background has succeeded or failed, but at most [`PATIENCE`].
    pub fn wait(&self) {
        let start = Instant::now();
        let is_done = || {
            let read = lock(&self.read);
            read.index.is_some() || read.problem.is_some()
        };
        while !is_done() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts reading kallsyms, unless that was done a moment ago. Returns whether it started.
    pub fn read_in_background(&mut self) -> bool {
        let has_failed = lock(&self.read).problem.is_some();
        self.start(if has_failed { AGAIN_AFTER_FAILURE } else { AGAIN })
    }

    fn start(&mut self, again: Duration) -> bool {
        let too_soon = self.started.is_some_and(|started| started.elapsed() < again);
        if too_soon || std::mem::replace(&mut lock(&self.read).under_way, true) {
            return false;
        }
        self.started = Some(Instant::now());
        let files = Arc::clone(&self.files);
        let (privileges, shared) = (self.privileges.clone(), Arc::clone(&self.read));
        let read = move || {
            privileges.give_up(&files.proc, false, || true);
            // Read before the symbols, so that a module that comes in the meantime is noticed later.
            let modules = files.modules.as_ref().and_then(|file| loaded_modules(file).ok());
            let result = match &files.kallsyms {
                Ok(file) => Kallsyms::of(file),
                Err(error) => Err(KallsymsError::Read(io::Error::new(error.kind(), error.to_string()))),
            };
            let mut read = lock(&shared);
            read.under_way = false;
            match result {
                Ok(index) => {
                    let readings = read.readings + 1;
                    *read = Read { index: Some(Arc::new(index)), readings, modules, ..Read::default() };
                }
                // The earlier symbols are still right for most addresses.
                Err(error) => read.problem = Some(error.to_string()),
            }
        };
        if let Err(error) = thread::Builder::new().name("nicmon-kallsyms".to_owned()).spawn(read) {
            let mut read = lock(&self.read);
            read.under_way = false;
            read.problem = Some(format!(
                "cannot start a thread to read /proc/kallsyms: {error}; check the limit with `ulimit -u`"
            ));
        }
        true
    }
}

fn lock(read: &Mutex<Read>) -> MutexGuard<'_, Read> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Names and addresses of the loaded modules, without what changes while they are in use
/// (kernel/module/procfs.c: `m_show`: `name size refcount users state address`).
fn loaded_modules(mut file: &File) -> io::Result<String> {
    file.rewind()?;
    let file = io::read_to_string(file)?;
    let mut modules = String::new();
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        modules.extend([fields.next().unwrap_or(""), " ", fields.nth(4).unwrap_or(""), "\n"]);
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn symbols_of(proc: &Path) -> Symbols {
        Symbols::new(proc, Privileges::own(Arc::new(|_| Err(io::ErrorKind::Unsupported.into()))))
    }

    /// A procfs that contains these files.
    fn proc(kallsyms: &str, modules: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kallsyms"), kallsyms).unwrap();
        fs::write(folder.path().join("modules"), modules).unwrap();
        folder
    }

    /// Waits for the thread in the background.
    fn until(symbols: &Symbols, is_done: impl Fn(&Read) -> bool) {
        let start = Instant::now();
        while !is_done(&lock(&symbols.read)) {
            assert!(start.elapsed() < Duration::from_secs(20), "kallsyms was not read");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn after_waiting_there_are_names_or_a_reason() {
        let folder = proc("ffffffffc0000000 t igb_poll\t[igb]\n", "");
        let mut symbols = symbols_of(folder.path());
        symbols.read_in_background();
        symbols.wait();
        assert!(symbols.snapshot().current().is_some());
        let mut symbols = symbols_of(Path::new("/nosuch"));
        symbols.read_in_background();
        symbols.wait();
        assert!(symbols.snapshot().current().is_none() && symbols.snapshot().problem.is_some());
    }

    #[test]
    fn modules_that_come_and_go_are_followed() {
        let igb = "igb 1 0 - Live 0xffffffffc0000000\n";
        let folder = proc("ffffffffc0000000 t igb_poll\t[igb]\n", igb);
        let mut symbols = symbols_of(folder.path());
        symbols.read_in_background();
        until(&symbols, |read| read.readings == 1);
        assert_eq!(symbols.snapshot().name(0xffff_ffff_c000_0010), Some("igb_poll"));

        fs::write(folder.path().join("modules"), "igb 1 7 - Live 0xffffffffc0000000\n").unwrap();
        symbols.started = None;
        symbols.follow_modules();
        assert_eq!(symbols.started, None, "only its reference count changed");
        assert!(symbols.snapshot().current().is_some());

        fs::write(folder.path().join("modules"), "veth 1 0 - Live 0xffffffffc0000000\n").unwrap();
        fs::write(
            folder.path().join("kallsyms"),
            "ffffffff81000000 T do_idle\nffffffffc0000000 t veth_poll\t[veth]\n",
        )
        .unwrap();
        symbols.started = Some(Instant::now());
        symbols.follow_modules();
        assert_eq!(lock(&symbols.read).readings, 1, "too soon");
        assert_eq!(symbols.snapshot().name(0xffff_ffff_c000_0010), None, "igb_poll no longer exists");
        assert!(symbols.snapshot().current().is_none());
        symbols.started = None;
        symbols.follow_modules();
        until(&symbols, |read| read.readings == 2);
        symbols.follow_modules();
        assert_eq!(symbols.snapshot().name(0xffff_ffff_c000_0010), Some("veth_poll"));
        assert_eq!(symbols.snapshot().problem, None);

        fs::write(folder.path().join("modules"), "").unwrap();
        symbols.follow_modules();
        assert_eq!(
            symbols.snapshot().name(0xffff_ffff_8100_0010),
            Some("do_idle"),
            "the kernel's own names stay valid"
        );
        assert!(symbols.snapshot().problem.is_some_and(|problem| problem.contains("loaded or unloaded")));
    }

    #[test]
    fn hidden_addresses_give_a_clear_message() {
        let folder = proc("0000000000000000 t igb_poll\n", "");
        let mut symbols = symbols_of(folder.path());
        assert_eq!(symbols.snapshot().problem, None, "nothing has been tried yet");
        symbols.read_in_background();
        until(&symbols, |read| read.problem.is_some());
        let problem = symbols.snapshot().problem.unwrap();
        assert!(problem.contains("CAP_SYSLOG") && problem.contains("kptr_restrict"), "{problem}");
        assert!(symbols.snapshot().current().is_none());
    }
}
