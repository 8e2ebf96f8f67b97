//! Generic netlink: families of requests, which the kernel knows by name.

use std::io;

use super::{
    netlink::{Ask, Attributes, Socket, push, read_u16},
    netns::Netns,
};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Of `struct genlmsghdr`: command, version, reserved.
const GENLMSGHDR_BYTES: usize = 4;

/// A family of a network namespace.
#[derive(Debug)]
pub(super) struct Family {
    socket: Socket,
    id: u16,
}

impl Family {
    /// Opens a family by its name, which ends in a zero byte. `ENOENT`: the kernel does not know it.
    pub(super) fn open(netns: &Netns, name: &[u8]) -> io::Result<Self> {
        let mut socket = Socket::open(netns, Some(rustix::net::netlink::GENERIC))?;
        let mut get_family = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
        push(&mut get_family, CTRL_ATTR_FAMILY_NAME, name);
        let mut id = None;
        socket.ask(Ask::One, GENL_ID_CTRL, &get_family, |message| {
            let attributes = message.get(GENLMSGHDR_BYTES..).unwrap_or_default();
            id = Attributes(attributes).value(CTRL_ATTR_FAMILY_ID).and_then(read_u16);
        })?;
        Ok(Self { socket, id: id.ok_or(io::ErrorKind::InvalidData)? })
    }

    /// Sends a command with these attributes, and calls `each` with the attributes of each message of the
    /// reply. Returns false as [`Socket::ask`] does.
    pub(super) fn ask(
        &mut self,
        ask: Ask,
        command: u8,
        attributes: &[u8],
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let mut payload = vec![command, 1, 0, 0];
        payload.extend(attributes);
        self.socket.ask(ask, self.id, &payload, |message| {
            each(message.get(GENLMSGHDR_BYTES..).unwrap_or_default());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        // The controller family is always there.
        let mut control = Family::open(&Netns::Own, b"nlctrl\0").unwrap();
        let mut families = 0;
        control.ask(Ask::All, CTRL_CMD_GETFAMILY, &[], |_| families += 1).unwrap();
        assert!(families > 0);
        let error = Family::open(&Netns::Own, b"nm_nothing\0").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
