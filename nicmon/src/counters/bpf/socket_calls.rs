//! The functions that show whether a task is in a call of a socket, as the sampler is told of them.

use std::{
    mem::{offset_of, replace},
    ops::Range,
};

use nicmon_common::{SOCKET_CALLS, SOCKET_NONE, SOCKET_RX, SOCKET_TX, SocketCall, SocketCalls};

use super::mapped::MappedArray;
use crate::frame::Direction;

/// The map, and what stands in it.
pub(super) struct SocketMap {
    map: MappedArray<SocketCalls>,
    /// What the samples are looked at for.
    calls: Vec<(Range<u64>, Option<Direction>)>,
    /// Whether they were when the samples were last read.
    looked: bool,
}

impl SocketMap {
    pub(super) fn new(map: MappedArray<SocketCalls>) -> Self {
        Self { map, calls: Vec::new(), looked: false }
    }

    /// Looks for these from now on: addresses, and which way packets go (`None` if what it calls is no part
    /// of a call of a socket).
    pub(super) fn look_for(&mut self, calls: Vec<(Range<u64>, Option<Direction>)>) {
        // Symbols are read again whenever a module comes or goes, and few of them move these.
        if self.calls == calls {
            return;
        }
        let set = |offset, value| self.map.store_u64(0, offset, value);
        // None are looked at while they change.
        self.map.store(0, offset_of!(SocketCalls, count), 0);
        // All are compared, so those that are not needed must be empty.
        let unset = (0..0, None);
        let all = calls.iter().chain(std::iter::repeat(&unset));
        for (number, (addresses, direction)) in all.take(SOCKET_CALLS).enumerate() {
            let at = offset_of!(SocketCalls, calls) + number * size_of::<SocketCall>();
            set(at + offset_of!(SocketCall, start), addresses.start);
            set(at + offset_of!(SocketCall, end), addresses.end);
            let direction = match direction {
                Some(Direction::Rx) => SOCKET_RX,
                Some(Direction::Tx) => SOCKET_TX,
                None => SOCKET_NONE,
            };
            self.map.store(0, at + offset_of!(SocketCall, direction), direction);
        }
        let count = u32::try_from(calls.len().min(SOCKET_CALLS)).unwrap_or(0);
        self.map.store(0, offset_of!(SocketCalls, count), count);
        (self.calls, self.looked) = (calls, false);
    }

    /// Whether all samples since the last call were looked at.
    pub(super) fn looked(&mut self) -> bool {
        replace(&mut self.looked, !self.calls.is_empty())
    }
}
