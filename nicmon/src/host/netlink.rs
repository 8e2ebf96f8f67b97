//! Netlink requests: one socket, one request after the other.
//!
//! Written by hand because the netlink crates hide two things that a dump needs: whether it was interrupted
//! (`NLM_F_DUMP_INTR`), and a buffer of more than 8 KiB. With a smaller one, a machine with thousands of
//! links needs a system call for every few of them.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    fd::OwnedFd,
    net::{Protocol, RecvFlags, SendFlags},
};

use super::netns::Netns;

/// The largest message in the kernel's reply to a dump (`netlink_recvmsg`, `net/netlink/af_netlink.c`).
const BUFFER_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
/// Message types below it belong to netlink itself.
const NLMSG_MIN_TYPE: u16 = 16;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_ECHO: u16 = 0x8;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// Whether the kernel answers with one object or with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    One,
    /// One that the kernel announces to a group, and sends to us only on request (`rtnetlink_send`).
    Echo,
    All,
}

/// The sequence number of the last request. Sockets of another namespace are used several times, and must not
/// take the rest of an old answer for the new one.
static SEQUENCE: AtomicU32 = AtomicU32::new(0);

/// A netlink socket of a network namespace.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket; `None` is `NETLINK_ROUTE`.
    pub(super) fn open(netns: &Netns, protocol: Option<Protocol>) -> io::Result<Self> {
        Ok(Self { fd: netns.netlink(protocol)?, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request, and calls `each` with the payload of each message of the reply. Returns false if the
    /// dumped set changed meanwhile: something may be missing or doubled (`nl_dump_check_consistent` in
    /// `include/net/netlink.h`).
    pub(super) fn ask(
        &mut self,
        ask: Ask,
        message_type: u16,
        payload: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let how = match ask {
            Ask::One => 0,
            Ask::Echo => NLM_F_ECHO,
            Ask::All => NLM_F_DUMP,
        };
        let flags = NLM_F_REQUEST | NLM_F_ACK | how;
        let length = u32::try_from(HEADER_BYTES + payload.len()).map_err(io::Error::other)?;
        let mut request = Vec::with_capacity(HEADER_BYTES + payload.len());
        request.extend(length.to_ne_bytes());
        request.extend(message_type.to_ne_bytes());
        request.extend(flags.to_ne_bytes());
        request.extend(sequence.to_ne_bytes());
        request.extend(0_u32.to_ne_bytes());
        request.extend(payload);
        rustix::net::send(&self.fd, &request, SendFlags::empty())?;

        let mut complete = true;
        loop {
            let (_, received) = retry_interrupted(|| {
                rustix::net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC)
            })?;
            let Some(mut rest) = self.buffer.get(..received) else {
                return Err(io::Error::other("a netlink message is longer than the kernel makes them"));
            };
            while let Some((message, after)) = Message::split(rest) {
                rest = after;
                if message.sequence != sequence {
                    continue;
                }
                complete &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        return match read_u32(message.payload).map(u32::cast_signed) {
                            Some(0) | None => Ok(complete),
                            Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                        };
                    }
                    NLMSG_OVERRUN => return Err(io::Error::other("the kernel lost netlink messages")),
                    ..NLMSG_MIN_TYPE => {}
                    _ => each(message.payload),
                }
            }
        }
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return done,
        }
    }
}

/// One message: `struct nlmsghdr` (`include/uapi/linux/netlink.h`) and what follows it.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message of `bytes`, and the bytes after it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = usize::try_from(read_u32(bytes)?).ok()?;
        let message = Self {
            kind: read_u16(bytes.get(4..)?)?,
            flags: read_u16(bytes.get(6..)?)?,
            sequence: read_u32(bytes.get(8..)?)?,
            payload: bytes.get(HEADER_BYTES..length)?,
        };
        Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
    }
}

/// The attributes in a payload (`struct nlattr`) as (type, value); ends at the first that does not fit.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this type.
    pub(super) fn value(mut self, wanted: u16) -> Option<&'a [u8]> {
        self.find(|(attribute_type, _)| *attribute_type == wanted).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        /// Two flags above the type: nested, and big-endian.
        const TYPE_MASK: u16 = 0x3fff;
        let length = usize::from(read_u16(self.0)?);
        let attribute_type = read_u16(self.0.get(2..)?)? & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((attribute_type, value))
    }
}

/// The text of a value, without the zero byte that ends it.
pub(super) fn text(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == 0).next().unwrap_or_default()
}

pub(super) fn read_u16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().copied().map(u16::from_ne_bytes)
}

pub(super) fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

pub(super) fn read_u64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().copied().map(u64::from_ne_bytes)
}

/// Appends an attribute to a payload. Only for values of less than 64 KiB.
pub(super) fn push(payload: &mut Vec<u8>, attribute_type: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    payload.extend(length.to_ne_bytes());
    payload.extend(attribute_type.to_ne_bytes());
    payload.extend(value);
    payload.resize(payload.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes() {
        let mut payload = Vec::new();
        push(&mut payload, 3, b"eth0\0");
        push(&mut payload, 0x0a | 0x8000, &7_u32.to_ne_bytes());
        assert_eq!(payload.len(), 12 + 8);
        let read: Vec<_> = Attributes(&payload).map(|(kind, value)| (kind, text(value).to_vec())).collect();
        assert_eq!(read, [(3, b"eth0".to_vec()), (10, vec![7])]);
        // Truncated anywhere, or of impossible length: it neither panics nor makes anything up.
        for end in 0..payload.len() {
            assert!(Attributes(&payload[..end]).count() <= 1 + usize::from(end > 12));
        }
        assert_eq!(Attributes(&[0; 8]).count(), 0);
        assert_eq!(Attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(Attributes(&[0xff; 8]).count(), 0);
    }

    #[test]
    fn messages() {
        assert!(Message::split(&[]).is_none());
        assert!(Message::split(&[0; 16]).is_none());
        assert!(Message::split(&[0xff; 16]).is_none());
        let mut bytes = 17_u32.to_ne_bytes().to_vec();
        bytes.extend([0; 12]);
        bytes.extend([9, 0, 0, 0]);
        let (message, rest) = Message::split(&bytes).unwrap();
        assert_eq!((message.payload, rest), (&[9][..], &[][..]));
    }

    #[test]
    fn refused() {
        let mut socket = Socket::open(&Netns::Own, None).unwrap();
        // RTM_GETLINK for an interface that does not exist.
        let mut payload = vec![0; 16];
        payload[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let error = socket.ask(Ask::One, 18, &payload, |_| panic!("nothing to tell")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        // The socket still works.
        let mut links = 0;
        assert!(socket.ask(Ask::All, 18, &[0; 16], |_| links += 1).unwrap());
        assert!(links > 0);
    }

    #[test]
    fn anything_is_split_without_a_panic() {
        let mut message = 36_u32.to_ne_bytes().to_vec();
        message.extend([16, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        push(&mut message, 3, b"eth0\0");
        push(&mut message, 4, &1_u32.to_ne_bytes());
        let both = message.repeat(2);
        testkit::fuzz::inputs("netlink", &[&both], |bytes| {
            let mut rest = bytes;
            while let Some((message, after)) = Message::split(rest) {
                assert!(after.len() < rest.len(), "it would go on forever");
                rest = after;
                Attributes(message.payload).for_each(|(_, value)| {
                    std::hint::black_box(text(value));
                });
            }
        });
    }
}
