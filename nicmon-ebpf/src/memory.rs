//! Two ways to read members of kernel structs.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes};

/// A way to read kernel memory.
pub trait Memory {
    /// The `T` at `base + offset`; zero if that memory cannot be read.
    ///
    /// # Safety
    /// `base` points to a struct that has a `T` at `offset`. It may point anywhere if the kernel checks
    /// reads.
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T;
}

/// Loads through the typed pointers of a BTF tracepoint. Each is one instruction, and the kernel reads a bad
/// address as zero (`BPF_PROBE_MEM`, kernel/bpf/verifier.c).
pub struct Direct;

impl Memory for Direct {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the verifier knows the type of `base` and refuses a program whose offset is not in it.
        unsafe { ptr::read_volatile(base.add(offset as usize).cast()) }
    }
}

/// Calls a helper for each value, which costs about ten times as much.
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the helper checks the address. Every T here is an integer or a pointer, and zero is a valid
        // value of both.
        unsafe {
            bpf_probe_read_kernel(base.wrapping_add(offset as usize).cast::<T>())
                .unwrap_or_else(|_| core::mem::zeroed())
        }
    }
}

/// Copies a NUL-terminated string of the kernel; an empty one if it cannot be read.
#[inline(always)]
pub fn read_name(source: *const u8, name: &mut [u8]) {
    // SAFETY: the helper checks the source and writes at most name.len() bytes.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(source, name) };
}

/// A pointer as a number, with which the verifier lets a program compute.
///
/// The verifier refuses arithmetic on a register that it knows to hold a pointer. What it loads from a map's
/// memory is a number to it.
#[inline(always)]
pub fn address_of<T>(pointer: *const T, scratch: *mut u64) -> u64 {
    // SAFETY: `scratch` is a u64 in this CPU's element that only the caller's program writes.
    unsafe {
        ptr::write_volatile(scratch.cast::<*const c_void>(), pointer.cast());
        ptr::read_volatile(scratch)
    }
}
