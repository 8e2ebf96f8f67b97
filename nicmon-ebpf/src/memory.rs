//! Reading members of kernel structs, in the two ways that a program may.

use core::{ffi::c_void, ptr};

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes};

/// A way to read kernel memory.
pub trait Memory {
    /// The `T` at `base + offset`; zero where that memory cannot be read.
    ///
    /// # Safety
    /// `base` points to a struct that has a `T` at `offset`, or anywhere at all if the kernel checks reads.
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T;
}

/// Loads through the typed pointers of a BTF tracepoint: one instruction each, and the kernel reads a bad
/// address as zero (`BPF_PROBE_MEM`, kernel/bpf/verifier.c).
pub struct Direct;

impl Memory for Direct {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the verifier knows the type of `base` and refuses a program whose offset is not in it.
        unsafe { ptr::read_volatile(base.add(offset as usize).cast()) }
    }
}

/// A helper call each: about ten times the cost.
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> T {
        // SAFETY: the helper checks the address; all T here are integers and pointers, for which zero is a value.
        unsafe {
            bpf_probe_read_kernel(base.wrapping_add(offset as usize).cast::<T>())
                .unwrap_or_else(|_| core::mem::zeroed())
        }
    }
}

/// Copies a NUL-terminated string of the kernel; empty where it cannot be read.
#[inline(always)]
pub fn read_name(source: *const u8, name: &mut [u8]) {
    // SAFETY: the helper checks the source, and writes at most name.len() bytes.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(source, name) };
}

/// A pointer as a number, which the verifier lets a program compute with.
///
/// It refuses arithmetic on a register that it knows to hold a pointer; what comes back from a map's memory is a
/// number to it.
#[inline(always)]
pub fn address_of<T>(pointer: *const T, scratch: *mut u64) -> u64 {
    // SAFETY: `scratch` is a u64 of this CPU in a map.
    unsafe {
        ptr::write_volatile(scratch.cast::<*const c_void>(), pointer.cast());
        ptr::read_volatile(scratch)
    }
}
