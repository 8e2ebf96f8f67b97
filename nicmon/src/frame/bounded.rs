//! Sums by key that do not grow without bound, although keys come and go: short-lived interfaces and
//! namespaces of containers.

use std::{cmp::Reverse, collections::BTreeMap};

/// Sums by key. `KEPT` keys that are gone are kept; twice as many may be there for a while.
#[derive(Debug)]
pub(crate) struct Bounded<K, S, const KEPT: usize> {
    sums: BTreeMap<K, Entry<S>>,
    frames: u64,
    left_out: u64,
}

#[derive(Debug)]
struct Entry<S> {
    sum: S,
    /// The number of the last frame that had it.
    seen: u64,
}

impl<K, S, const KEPT: usize> Default for Bounded<K, S, KEPT> {
    fn default() -> Self {
        Self { sums: BTreeMap::new(), frames: 0, left_out: 0 }
    }
}

impl<K: Clone + Ord, S: Default, const KEPT: usize> Bounded<K, S, KEPT> {
    /// A frame starts, which itself leaves out this many.
    pub(crate) fn start_frame(&mut self, left_out: Option<u64>) {
        self.frames += 1;
        self.left_out = self.left_out.saturating_add(left_out.unwrap_or(0));
    }

    /// The sum of a key that this frame has.
    pub(crate) fn of(&mut self, key: K) -> &mut S {
        let entry = self.sums.entry(key).or_insert_with(|| Entry { sum: S::default(), seen: 0 });
        entry.seen = self.frames;
        &mut entry.sum
    }

    /// A frame ends: if too many keys are gone, those with the lowest weights are left out. A key of this
    /// frame never is, because its sum would then start again.
    pub(crate) fn end_frame<W: Ord>(&mut self, weight: impl Fn(&S) -> W) {
        let now = self.frames;
        let is_gone = |entry: &Entry<S>| entry.seen < now;
        if self.sums.len() <= 2 * KEPT
            || self.sums.values().filter(|entry| is_gone(entry)).count() <= 2 * KEPT
        {
            return;
        }
        let gone = self.sums.iter().filter(|(_, entry)| is_gone(entry));
        let mut gone: Vec<_> = gone.map(|(key, entry)| (Reverse(weight(&entry.sum)), key.clone())).collect();
        gone.sort_unstable();
        for (_, key) in gone.drain(KEPT..) {
            self.sums.remove(&key);
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// In the order of keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &S)> {
        self.sums.iter().map(|(key, entry)| (key, &entry.sum))
    }

    pub(crate) fn sums_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.sums.values_mut().map(|entry| &mut entry.sum)
    }

    /// How many were left out; `None` if none was.
    pub(crate) fn left_out(&self) -> Option<u64> {
        (self.left_out > 0).then_some(self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: usize = 1024;

    #[test]
    fn what_comes_and_goes_does_not_fill_the_memory() {
        let mut sums: Bounded<u32, u64, KEPT> = Bounded::default();
        // Number 0 stays, and weighs least. Number 7 is gone and weighs most.
        for number in 1..100_000 {
            sums.start_frame(None);
            *sums.of(0) += 1;
            *sums.of(number) += if number == 7 { 1_000_000 } else { u64::from(number) };
            sums.end_frame(|weight| *weight);
            assert!(sums.sums.len() <= 2 * KEPT + 2, "{number}: {}", sums.sums.len());
        }
        assert_eq!(sums.iter().find(|(key, _)| **key == 0), Some((&0, &99_999)));
        assert!(sums.iter().any(|(key, _)| *key == 7) && sums.iter().any(|(key, _)| *key == 99_999));
        let kept = sums.iter().count() as u64;
        assert_eq!(sums.left_out(), Some(100_000 - kept));
    }

    #[test]
    fn what_is_there_is_kept_however_much_it_is() {
        let mut sums: Bounded<u32, u64, KEPT> = Bounded::default();
        for _ in 0..3 {
            sums.start_frame(None);
            (0..10_000).for_each(|number| *sums.of(number) += 1);
            sums.end_frame(|weight| *weight);
        }
        assert!(sums.left_out().is_none() && sums.iter().count() == 10_000);
        sums.start_frame(Some(5));
        sums.end_frame(|weight| *weight);
        assert_eq!((sums.iter().count(), sums.left_out()), (KEPT, Some(10_000 - KEPT as u64 + 5)));
    }
}
