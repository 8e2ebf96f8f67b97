//! A BPF array that is mapped into memory. Reading it takes no system call, and neither does writing the
//! fields that user space may set.
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

/// The elements of a `BPF_F_MMAPABLE` array map. Keeps the map for as long as it is mapped.
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
        // The kernel aligns elements to 8 bytes and leaves no gaps: kernel/bpf/arraymap.c,
        // array_map_alloc.
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let element = map.info().map_err(|error| ProbeError::map(name, error))?.value_size();
        if element as usize != size_of::<T>() {
            return Err(ProbeError::Object { what: name });
        }
        let bytes = length * size_of::<T>();
        // SAFETY: this creates a mapping at an address that the kernel chooses.
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

    /// A copy of an element. Fields are read one by one while a CPU may be writing them: each field is
    /// consistent, but two fields may be one event apart.
    pub(super) fn get(&self, index: usize) -> Option<T> {
        // SAFETY: within the mapping, aligned (page start + multiple of the size), and T is plain
        // integers.
        (index < self.length).then(|| unsafe { ptr::read_volatile(self.start.add(index)) })
    }

    /// Sets the `u32` at `offset` in every element. No program writes it at the same time.
    pub(super) fn set_all(&self, offset: usize, value: u32) {
        for index in 0..self.length {
            self.store(index, offset, value);
        }
    }

    /// Sets the `u32` at `offset` in an element, after everything that was stored before. No program writes
    /// it at the same time.
    pub(super) fn store(&self, index: usize, offset: usize, value: u32) {
        // SAFETY: `field` returns an aligned address within the mapping; the programs read it with single
        // loads.
        unsafe { AtomicU32::from_ptr(self.field(index, offset)) }.store(value, Ordering::Release);
    }

    /// The same of a `u64`.
    pub(super) fn store_u64(&self, index: usize, offset: usize, value: u64) {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.field(index, offset)) }.store(value, Ordering::Release);
    }

    /// The `u32` at `offset` in an element, before everything that is loaded afterwards.
    pub(super) fn load(&self, index: usize, offset: usize) -> u32 {
        // SAFETY: `field` returns an aligned address within the mapping.
        unsafe { AtomicU32::from_ptr(self.field(index, offset)) }.load(Ordering::Acquire)
    }

    /// Empties the `u64` at `offset` in an element if it is `value`.
    pub(super) fn empty_if(&self, index: usize, offset: usize, value: u64) {
        // SAFETY: `field` returns an aligned address within the mapping.
        let field = unsafe { AtomicU64::from_ptr(self.field(index, offset)) };
        // If it has another value by now, that is to stay.
        let _ = field.compare_exchange(value, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Takes the `u64` at `offset` in an element and leaves 0, in one step: a value that a program stores
    /// at the same time is either taken or kept. A program may have read the field before and raise it
    /// afterwards; that value counts for the next interval.
    pub(super) fn take(&self, index: usize, offset: usize) -> u64 {
        if index >= self.length {
            return 0;
        }
        // SAFETY: `field` returns an aligned address within the mapping.
        let field = unsafe { AtomicU64::from_ptr(self.field(index, offset)) };
        // If there is nothing to take, there is no write either, and the CPU keeps its cache line.
        if field.load(Ordering::Relaxed) == 0 { 0 } else { field.swap(0, Ordering::Relaxed) }
    }

    /// Writes an element, as a program would.
    #[cfg(test)]
    pub(super) fn put(&self, index: usize, value: T) {
        assert!(index < self.length);
        // SAFETY: within the mapping and aligned; the test has not attached the programs.
        unsafe { ptr::write_volatile(self.start.add(index), value) }
    }

    /// The address of a field of an element. Panics if the field is not aligned or not within the
    /// element.
    fn field<F>(&self, index: usize, offset: usize) -> *mut F {
        assert!(index < self.length && offset + size_of::<F>() <= size_of::<T>());
        assert!(offset.is_multiple_of(align_of::<F>()), "elements are 8-byte aligned");
        // SAFETY: the assertions above keep both within the mapping.
        unsafe { self.start.add(index).byte_add(offset).cast() }
    }
}

impl MappedArray<u64> {
    /// Sets an element. The programs read it with a single load.
    pub(super) fn store_word(&self, index: usize, value: u64) {
        // SAFETY: `field` returns an aligned address within the mapping.
        unsafe { AtomicU64::from_ptr(self.field(index, 0)) }.store(value, Ordering::Release);
    }
}

impl<T> std::ops::Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and nothing refers to it any more.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}
