//! The process that keeps the privileges.
//!
//! A request comes as one end of a fresh pair of sockets: through it the request is read and answered, on a
//! thread of its own. So any thread may ask at any time, none waits for another's request, and a thread that
//! entered a namespace need not find its way back: it ends.

use std::{
    fs, io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Pid, Signal, WaitOptions, getpid, getppid, set_parent_process_death_signal, setsid, waitpid},
    time::{ClockId, clock_gettime},
};

use super::{
    Answer, Perform, Request, confine,
    message::{receive, receive_some, send, send_first},
};

/// The broker, as the rest of nicmon sees it.
pub(super) struct Broker {
    doorbell: Option<OwnedFd>,
    pid: Pid,
    cpu_ns: AtomicU64,
}

/// How long to wait after a request could not be received.
const PAUSE: Duration = Duration::from_millis(10);
/// An answer starts with whether there is one (1) or an error (0), and the broker's CPU time.
const HEADER_BYTES: usize = 1 + size_of::<u64>();

impl Broker {
    /// Starts the process.
    #[expect(unsafe_code, reason = "no safe wrapper of fork can exist")]
    pub(super) fn fork(perform: &Perform) -> io::Result<Self> {
        if fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::other("the process has several threads already"));
        }
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let parent = getpid();
        // SAFETY: this process has one thread, so none can hold a lock that the child would wait for.
        match unsafe { libc::fork() } {
            0 => {
                drop(ours);
                let ended = serve(&theirs, parent, perform);
                process::exit(i32::from(ended.is_err()));
            }
            -1 => Err(io::Error::last_os_error()),
            pid => {
                let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                Ok(Self { doorbell: Some(ours), pid, cpu_ns: AtomicU64::new(0) })
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn cpu_ns(&self) -> u64 {
        self.cpu_ns.load(Ordering::Relaxed)
    }

    pub(super) fn ask(&self, request: &Request) -> io::Result<Answer> {
        let doorbell = self.doorbell.as_ref().ok_or_else(ended)?;
        let (ours, theirs) = UnixStream::pair()?;
        send_first(doorbell.as_fd(), &[0], &[theirs.as_fd()])
            .map_err(|error| if error.kind() == io::ErrorKind::BrokenPipe { ended() } else { error })?;
        drop(theirs);
        let no_answer = || io::Error::other("the process that keeps nicmon's privileges does not answer");
        // Whoever does not read the request may answer all the same: with an error.
        let sent = send(&ours, &serde_json::to_vec(request)?, &[]);
        let (bytes, descriptors) = receive(&ours)?;
        let Some((header, value)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(sent.err().unwrap_or_else(no_answer));
        };
        let [is_done, cpu_ns @ ..] = *header;
        self.cpu_ns.fetch_max(u64::from_le_bytes(cpu_ns), Ordering::Relaxed);
        if is_done == 1 {
            return Ok(Answer { value: value.to_vec(), descriptors });
        }
        let (errno, text): (Option<i32>, String) = serde_json::from_slice(value)?;
        Err(errno.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error))
    }
}

/// Waits until the process has ended, which it does when nobody can ask any more.
impl Drop for Broker {
    fn drop(&mut self) {
        self.doorbell = None;
        // It fails only if somebody else has waited for it.
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

fn ended() -> io::Error {
    io::Error::other("the process that keeps nicmon's privileges has ended; start nicmon again")
}

/// What the new process does: answers until the doorbell is closed.
fn serve(doorbell: &OwnedFd, parent: Pid, perform: &Perform) -> io::Result<()> {
    leave_the_terminal()?;
    confine::broker();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before that was set.
    if getppid() != Some(parent) {
        return Ok(());
    }
    loop {
        let mut descriptors = Vec::new();
        match receive_some(doorbell.as_fd(), &mut Vec::new(), &mut descriptors) {
            Ok(0) => return Ok(()),
            Ok(_) => descriptors.into_iter().for_each(|descriptor| start_answer(descriptor.into(), perform)),
            // A lack of memory or descriptors passes.
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn start_answer(stream: UnixStream, perform: &Perform) {
    let (stream, perform) = (Arc::new(stream), Arc::clone(perform));
    let shared = Arc::clone(&stream);
    let answer = move || {
        let asked = receive(&shared).and_then(|(bytes, _)| Ok(serde_json::from_slice(&bytes)?));
        // Whoever asked may have gone.
        drop(answer(&shared, asked.and_then(|request| perform(request))));
    };
    if let Err(error) = thread::Builder::new().name("nicmon-request".to_owned()).spawn(answer) {
        drop(self::answer(&stream, Err(error)));
    }
}

fn answer(stream: &UnixStream, done: io::Result<Answer>) -> io::Result<()> {
    let (is_done, Answer { value, descriptors }) = match done {
        Ok(answer) => (1, answer),
        Err(error) => (0, Answer::new(&(error.raw_os_error(), error.to_string()), Vec::new())?),
    };
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_ns = time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs();
    let mut message = vec![is_done];
    message.extend(cpu_ns.to_le_bytes());
    message.extend(value);
    send(stream, &message, &descriptors)
}

/// Keys, hang-ups and `systemctl stop` are for the rest of nicmon, which still asks while it ends. And
/// whoever reads nicmon's output must not wait for this process to close it.
#[expect(unsafe_code, reason = "no safe wrapper of signal exists")]
fn leave_the_terminal() -> io::Result<()> {
    setsid()?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: ignoring a signal runs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // Its other end is closed. /dev/null need not exist, as in a chroot.
    let (nothing, _) = UnixStream::pair()?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    // `ps` and `top` show it under this name.
    Ok(rustix::thread::set_name(c"nicmon-broker")?)
}
