//! Bytes and descriptors through a socket of two ends.

use std::{
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors in a message: `SCM_MAX_FD` (`include/net/scm.h`).
const MOST: usize = 253;
/// How many bytes are received at once.
const CHUNK: usize = 16 << 10;

/// Sends everything, and says that nothing follows.
pub(super) fn send(stream: &UnixStream, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
    let sent = send_first(stream.as_fd(), bytes, &borrowed)?;
    (&mut &*stream).write_all(&bytes[sent..])?;
    stream.shutdown(Shutdown::Write)
}

/// Sends descriptors with the first of these bytes, of which there is at least one. Returns how many bytes
/// were sent.
pub(super) fn send_first(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives everything that the other end sends.
pub(super) fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    loop {
        match receive_some(stream.as_fd(), &mut bytes, &mut descriptors) {
            Ok(0) => return Ok((bytes, descriptors)),
            Ok(_) => {}
            // The other end has answered, and closed without reading everything.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => {
                return Ok((bytes, descriptors));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Receives what there is, or waits for something. Returns the number of bytes: 0 if the other end is closed.
pub(super) fn receive_some(
    socket: BorrowedFd<'_>,
    bytes: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut chunk = [0; CHUNK];
    let received = loop {
        let into = &mut [IoSliceMut::new(&mut chunk)];
        match recvmsg(socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if received.flags.contains(ReturnFlags::CTRUNC) {
        // Those that came are in `ancillary`, which closes them.
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    bytes.extend_from_slice(&chunk[..received.bytes]);
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::MetadataExt as _, thread};

    use super::*;

    #[test]
    fn more_than_a_socket_holds_and_all_descriptors() {
        let (one, other) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let open = || OwnedFd::from(File::open("/proc/self/stat").unwrap());
        let files: Vec<OwnedFd> = std::iter::repeat_with(open).take(MOST).collect();
        let inode = |fd: &OwnedFd| File::from(fd.try_clone().unwrap()).metadata().unwrap().ino();
        let expected = bytes.clone();
        let inodes: Vec<u64> = files.iter().map(inode).collect();
        let sender = thread::spawn(move || send(&one, &bytes, &files));
        let (received, descriptors) = receive(&other).unwrap();
        sender.join().unwrap().unwrap();
        assert!(received == expected);
        assert_eq!(descriptors.iter().map(inode).collect::<Vec<_>>(), inodes);
    }

    #[test]
    fn an_answer_from_an_end_that_did_not_read() {
        let (one, other) = UnixStream::pair().unwrap();
        send(&one, b"question", &[]).unwrap();
        send(&other, b"answer", &[]).unwrap();
        drop(other);
        assert_eq!(receive(&one).unwrap().0, b"answer");
    }

    #[test]
    fn nothing_from_an_end_that_was_closed() {
        let (one, other) = UnixStream::pair().unwrap();
        drop(one);
        let (bytes, descriptors) = receive(&other).unwrap();
        assert!(bytes.is_empty() && descriptors.is_empty());
        assert!(send(&other, b"x", &[]).is_err());
    }
}
