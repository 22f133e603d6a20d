//! As much of rtnetlink(7) as moving a network interface takes: messages are built and read as bytes.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
/// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_F_PERMANENT: u8 = 0x80;
/// linux/netlink.h
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE_EXCLUSIVE: u16 = 0x600;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;

/// A socket in the network namespace of the thread that made it.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// An address of an interface (`struct ifaddrmsg` and its attributes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    flags: u8,
    scope: u8,
    /// Type and value of what identifies it: local address, peer, broadcast.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Set by someone for good, and of a meaning beyond this host: what goes along to another namespace.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0 && self.scope == libc::RT_SCOPE_UNIVERSE
    }
}

impl Netlink {
    /// # Errors
    /// socket(2).
    pub fn open() -> nix::Result<Netlink> {
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .map(Netlink)
    }

    /// The index of the interface of this name.
    ///
    /// # Errors
    /// ENODEV when there is none.
    pub fn index_of(&self, name: &str) -> nix::Result<i32> {
        let request =
            Request::new(RTM_GETLINK, ACK).bytes(&link(0, 0, 0)).attribute(IFLA_IFNAME, &terminated(name));
        let answers = self.ask(request)?;
        let found = answers.first().and_then(|message| integer(message.get(4..8)?));
        found.ok_or(Errno::ENODEV)
    }

    /// Switches an interface on or off.
    ///
    /// # Errors
    /// netlink(7)
    pub fn set_up(&self, index: i32, up: bool) -> nix::Result<()> {
        const IFF_UP: u32 = 1;
        let flags = if up { IFF_UP } else { 0 };
        self.ask(Request::new(RTM_NEWLINK, ACK).bytes(&link(index, flags, IFF_UP))).map(drop)
    }

    /// Moves an interface to a network namespace under a name, both at once.
    ///
    /// # Errors
    /// EEXIST when the name is taken there.
    pub fn move_to(&self, index: i32, name: &str, namespace: &OwnedFd) -> nix::Result<()> {
        let fd = namespace.as_raw_fd().to_ne_bytes();
        let request = Request::new(RTM_NEWLINK, ACK)
            .bytes(&link(index, 0, 0))
            .attribute(IFLA_IFNAME, &terminated(name))
            .attribute(IFLA_NET_NS_FD, &fd);
        self.ask(request).map(drop)
    }

    /// The addresses of an interface.
    ///
    /// # Errors
    /// netlink(7)
    pub fn addresses(&self, index: i32) -> nix::Result<Vec<Address>> {
        let answers = self.ask(Request::new(RTM_GETADDR, DUMP).bytes(&[0; 8]))?;
        Ok(answers.iter().filter_map(|message| address(message, index)).collect())
    }

    /// Adds an address.
    ///
    /// # Errors
    /// netlink(7)
    pub fn add_address(&self, index: i32, address: &Address) -> nix::Result<()> {
        let Address { family, prefix, scope, .. } = *address;
        let mut request = Request::new(RTM_NEWADDR, ACK | CREATE_EXCLUSIVE)
            .bytes(&[family, prefix, 0, scope])
            .bytes(&index.to_ne_bytes());
        for (kind, value) in &address.attributes {
            request = request.attribute(*kind, value);
        }
        self.ask(request).map(drop)
    }

    /// Sends a request; the payloads of its answers.
    fn ask(&self, request: Request) -> nix::Result<Vec<Vec<u8>>> {
        send(self.0.as_raw_fd(), &request.finish(), MsgFlags::empty())?;
        let mut answers = Vec::new();
        let mut buf = vec![0u8; 64 * 1024];
        loop {
            let n = match recv(self.0.as_raw_fd(), &mut buf, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                done => done?,
            };
            let mut rest = buf.get(..n).unwrap_or_default();
            while let Some((kind, payload, next)) = split_message(rest) {
                match kind {
                    DONE => return Ok(answers),
                    ERROR => {
                        let errno = payload.get(..4).and_then(integer).unwrap_or(-libc::EPROTO);
                        return if errno == 0 { Ok(answers) } else { Err(Errno::from_raw(-errno)) };
                    }
                    _ => answers.push(payload.to_vec()),
                }
                rest = next;
            }
        }
    }
}

/// `struct nlmsghdr` and what follows.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: u16) -> Request {
        let mut bytes = vec![0u8; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        Request(bytes)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// `struct rtattr`, padded to 4 bytes.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(head) = self.0.get_mut(..4) {
            head.copy_from_slice(&len.to_ne_bytes());
        }
        self.0
    }
}

/// `struct ifinfomsg`
fn link(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0u8; 16];
    let (_, rest) = bytes.split_at_mut(4);
    for (slot, value) in
        rest.chunks_mut(4).zip([index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()])
    {
        slot.copy_from_slice(&value);
    }
    bytes
}

fn terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn integer(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

/// Type and payload of the first message, and what follows it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = usize::try_from(integer(bytes.get(..4)?)?).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let payload = bytes.get(HEADER..len)?;
    Some((kind, payload, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// Type and value of the first attribute, and what follows it.
fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let half = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
    let len = usize::from(half(0)?);
    Some((half(2)?, bytes.get(4..len)?, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// An address message, if it is about this interface.
fn address(message: &[u8], index: i32) -> Option<Address> {
    let [family, prefix, flags, scope] = *message.get(..4)? else { return None };
    (integer(message.get(4..8)?)? == index).then_some(())?;
    let mut attributes = Vec::new();
    let mut rest = message.get(8..)?;
    while let Some((kind, value, next)) = split_attribute(rest) {
        if matches!(kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST) {
            attributes.push((kind, value.to_vec()));
        }
        rest = next;
    }
    Some(Address { family, prefix, flags, scope, attributes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let bytes = Request::new(RTM_NEWADDR, ACK)
            .bytes(&[2, 24, IFA_F_PERMANENT, 0, 7, 0, 0, 0])
            .attribute(IFA_LOCAL, &[10, 0, 0, 1])
            .attribute(IFLA_IFNAME, b"odd\0\0")
            .attribute(IFA_BROADCAST, &[10, 0, 0, 255])
            .finish();
        let (kind, payload, rest) = split_message(&bytes).expect("one message");
        assert_eq!((kind, rest), (RTM_NEWADDR, &[][..]));
        let index = i32::from_ne_bytes([7, 0, 0, 0]);
        let found = address(payload, index).expect("of this interface");
        assert_eq!(found.attributes, [(IFA_LOCAL, vec![10, 0, 0, 1]), (IFA_BROADCAST, vec![10, 0, 0, 255])]);
        assert!(found.is_portable());
        assert_eq!(address(payload, index + 1), None);
    }

    #[test]
    fn the_loopback_interface_is_found_and_others_are_not() {
        let netlink = Netlink::open().expect("a socket");
        let lo = netlink.index_of("lo").expect("every namespace has one");
        assert_eq!(lo, 1);
        assert_eq!(netlink.index_of("no-such-link"), Err(Errno::ENODEV));
        netlink.addresses(lo).expect("a list, empty or not");
    }
}
