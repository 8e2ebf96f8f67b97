//! What takes a privilege once the programs are attached: perf events, statistics of BPF programs, and
//! programs that are loaded only for a moment.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    path::Path,
};

use aya::sys::{Stats, enable_stats};
use aya_obj::generated::{PERF_FLAG_FD_CLOEXEC, perf_event_attr, perf_hw_id, perf_sw_ids, perf_type_id};

use super::flows::look_at_flows;
use crate::{
    host::btf::{KERNEL_BTF, KernelBtf},
    privileges::{Answer, Event, Request},
};

/// The shortest period of an event, in cycles or nanoseconds.
const SHORTEST: u64 = 10_000;

/// Does what a request asks for; `None` if it is not about programs.
///
/// # Errors
/// The kernel refuses it.
pub fn perform(request: &Request) -> Option<io::Result<Answer>> {
    match request {
        Request::OpenEvent { event, period, cpu } => {
            // Nobody asks for so short a period, unless to slow down the machine.
            Some(open(*event, (*period).max(SHORTEST), *cpu).and_then(|event| Answer::new(&(), vec![event])))
        }
        Request::EnableStatistics => {
            let enabled = enable_stats(Stats::RunTime).map_err(|error| error.io_error);
            Some(enabled.and_then(|enabled| Answer::new(&(), vec![enabled])))
        }
        Request::LookAtFlows(whose) => {
            let kernel = KernelBtf::read(Path::new(KERNEL_BTF)).map_err(io::Error::other);
            let look = kernel.and_then(|kernel| look_at_flows(*whose, &kernel).map_err(io::Error::other));
            Some(look.and_then(|look| Answer::new(&look, Vec::new())))
        }
        _ => None,
    }
}

/// For tests: this process.
#[cfg(test)]
pub(super) fn own() -> crate::privileges::Privileges {
    let perform = |request| perform(&request).unwrap_or_else(|| Err(io::ErrorKind::Unsupported.into()));
    crate::privileges::Privileges::own(std::sync::Arc::new(perform))
}

/// Opens an event of all processes on a CPU, which does not count yet (`perf_event_open(2)`).
#[expect(unsafe_code, reason = "no safe wrapper of perf_event_open exists")]
#[expect(clippy::cast_possible_truncation, reason = "the size of a struct, and small constants")]
fn open(event: Event, period: u64, cpu: u32) -> io::Result<OwnedFd> {
    let (kind, config) = match event {
        Event::Cycles => {
            (perf_type_id::PERF_TYPE_HARDWARE as u32, perf_hw_id::PERF_COUNT_HW_CPU_CYCLES as u64)
        }
        Event::CpuClock => {
            (perf_type_id::PERF_TYPE_SOFTWARE as u32, perf_sw_ids::PERF_COUNT_SW_CPU_CLOCK as u64)
        }
    };
    // SAFETY: it consists of numbers, and 0 is a value of each.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    (attributes.type_, attributes.config) = (kind, config);
    attributes.size = size_of::<perf_event_attr>() as u32;
    attributes.__bindgen_anon_1.sample_period = period;
    attributes.set_disabled(1);
    let (every_process, no_group) = (-1_i32, -1_i32);
    // SAFETY: the kernel reads `size` bytes of the attributes, which live until it returns.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            every_process,
            cpu.cast_signed(),
            no_group,
            libc::c_ulong::from(PERF_FLAG_FD_CLOEXEC),
        )
    };
    let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0);
    let descriptor = descriptor.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `PERF_EVENT_IOC_SET_BPF` and `PERF_EVENT_IOC_ENABLE` (`include/uapi/linux/perf_event.h`).
const SET_PROGRAM: libc::Ioctl = 0x4004_2408;
const ENABLE: libc::Ioctl = 0x2400;

/// Has a program run with each sample of an event. It ends when the event is closed.
pub(super) fn run_at(event: &OwnedFd, program: BorrowedFd<'_>) -> io::Result<()> {
    tell(event, SET_PROGRAM, program.as_raw_fd())
}

/// Starts an event.
pub(super) fn start(event: &OwnedFd) -> io::Result<()> {
    tell(event, ENABLE, 0)
}

#[expect(unsafe_code, reason = "no safe wrapper of these ioctls exists")]
fn tell(event: &OwnedFd, request: libc::Ioctl, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: both requests take a number, no address.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
