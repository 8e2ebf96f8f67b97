//! A BPF array mapped into memory: read, and where the user side has a say written, without a system call.
#![expect(unsafe_code, reason = "maps kernel memory that the programs write while it is read")]

use std::{
    marker::PhantomData,
    os::fd::AsFd,
    ptr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::maps::MapData;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::ProbeError;

/// The elements of a `BPF_F_MMAPABLE` array map. Holds the map for as long as it is mapped.
pub(super) struct MappedArray<T> {
    start: *mut T,
    length: usize,
    bytes: usize,
    _map: MapData,
    _element: PhantomData<T>,
}

impl<T: Copy> MappedArray<T> {
    /// Maps an array of `length` elements.
    pub(super) fn new(map: MapData, name: &'static str, length: usize) -> Result<Self, ProbeError> {
        // The kernel lays elements out 8-byte aligned and without gaps: kernel/bpf/arraymap.c, array_map_alloc.
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let element = map.info().map_err(|error| ProbeError::map(name, error))?.value_size();
        if element as usize != size_of::<T>() {
            return Err(ProbeError::Object { what: name });
        }
        let bytes = length * size_of::<T>();
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|error| ProbeError::map(name, error))?;
        Ok(Self { start: start.cast(), length, bytes, _map: map, _element: PhantomData })
    }

    /// A copy of an element. Fields are read one by one while a CPU writes them: each is whole, but two fields
    /// may be one event apart.
    pub(super) fn get(&self, index: usize) -> Option<T> {
        // SAFETY: within the mapping, aligned (page start + multiple of the size), and T is plain integers.
        (index < self.length).then(|| unsafe { ptr::read_volatile(self.start.add(index)) })
    }

    /// Sets a `u32` of every element, `offset` bytes into it; the programs only read it.
    pub(super) fn set_all(&self, offset: usize, value: u32) {
        for index in 0..self.length {
            // SAFETY: `field` gives an aligned address within the mapping; the programs read it with single loads.
            unsafe { AtomicU32::from_ptr(self.field(index, offset)) }.store(value, Ordering::Release);
        }
    }

    /// Takes a `u64` of an element, `offset` bytes into it, and leaves 0, in one step: what a program stores at the
    /// same time is either taken or stays. It may have read the field before and raise it after, which then counts
    /// for the next interval.
    pub(super) fn take(&self, index: usize, offset: usize) -> u64 {
        if index >= self.length {
            return 0;
        }
        // SAFETY: `field` gives an aligned address within the mapping.
        let field = unsafe { AtomicU64::from_ptr(self.field(index, offset)) };
        // Without a write where there is nothing to take, the CPU keeps its cache line.
        if field.load(Ordering::Relaxed) == 0 { 0 } else { field.swap(0, Ordering::Relaxed) }
    }

    /// Address of a field of an element. Panics if it is not an aligned field within the element.
    fn field<F>(&self, index: usize, offset: usize) -> *mut F {
        assert!(index < self.length && offset + size_of::<F>() <= size_of::<T>());
        assert!(offset.is_multiple_of(align_of::<F>()), "elements are 8-byte aligned");
        // SAFETY: both were checked to lie within the mapping.
        unsafe { self.start.add(index).byte_add(offset).cast() }
    }
}

impl<T> std::ops::Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nothing refers to any more.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}
