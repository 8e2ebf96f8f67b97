//! A network namespace that only this thread is in, with nothing but loopback.

use std::io;

use rustix::thread::UnshareFlags;

use super::{
    netlink::{Ask, Socket},
    netns::Netns,
};

/// `RTM_NEWLINK` (include/uapi/linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
/// `LOOPBACK_IFINDEX` (`include/net/net_namespace.h`).
const LOOPBACK: u32 = 1;
/// `IFF_UP` (include/uapi/linux/if.h).
const IFF_UP: u32 = 1;

/// Moves the calling thread into a new network namespace, with loopback up. The kernel removes the
/// namespace when the thread has ended and its sockets are closed.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn enter_new() -> io::Result<()> {
    unshare()?;
    // struct ifinfomsg: family, type, index, flags, and which flags to change.
    let mut link = vec![0; 4];
    for word in [LOOPBACK, IFF_UP, IFF_UP] {
        link.extend(word.to_ne_bytes());
    }
    Socket::open(&Netns::Own, None)?.ask(Ask::One, RTM_NEWLINK, &link, |_| {})?;
    Ok(())
}

/// Moves the calling thread into a new network namespace, in which nothing is up.
#[expect(unsafe_code, reason = "unshare is unsafe for CLONE_FILES, which is not asked for")]
pub(super) fn unshare() -> io::Result<()> {
    // SAFETY: the network namespace of a thread has nothing to do with memory or the table of descriptors.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use crate::host::testing::in_new_namespace;

    #[test]
    fn loopback_is_up() {
        let received = in_new_namespace(|| {
            super::enter_new().unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(&[1], socket.local_addr().unwrap()).unwrap();
            socket.recv(&mut [0; 8]).unwrap()
        });
        assert!(received.is_none_or(|bytes| bytes == 1));
    }
}
