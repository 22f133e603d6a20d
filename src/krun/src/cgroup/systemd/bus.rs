//! A connection to systemd: its private socket for root, else a D-Bus bus.
//! Blocking, for a handful of calls; the specification's "Authentication
//! Protocol" with the credentials of the socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::SystemdError;
use super::wire::{self, Kind, Message, Method, Value};

/// How long an answer, and a job, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where systemd speaks D-Bus without a bus, to root.
const PRIVATE: &str = "/run/systemd/private";
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";

/// An open, authenticated connection.
#[derive(Debug)]
pub struct Bus {
    stream: UnixStream,
    address: String,
    /// Whether a bus lies between us and systemd.
    routed: bool,
    serial: u32,
    deadline: Instant,
    /// Jobs that ended: object path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the system's service manager, or to the user's.
    ///
    /// # Errors
    /// There is none, or it refuses us.
    pub fn connect(user: bool) -> Result<Self, SystemdError> {
        let mut bus = match user {
            true => Self::open(&user_address()?, true)?,
            false => Self::system()?,
        };
        if bus.routed {
            let hello = Method {
                destination: Some("org.freedesktop.DBus"),
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "Hello",
            };
            bus.call(hello, &[])?;
        }
        Ok(bus)
    }

    /// Root speaks to systemd itself: no broker in between, and no need of one.
    fn system() -> Result<Self, SystemdError> {
        let given = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
        if given.is_none()
            && nix::unistd::geteuid().is_root()
            && let Ok(bus) = Self::open(PRIVATE, false)
        {
            return Ok(bus);
        }
        let path = given.as_deref().map_or(Ok(SYSTEM_BUS.to_owned()), socket_path)?;
        Self::open(&path, true)
    }

    /// Connects to a socket and authenticates.
    pub(super) fn open(path: &str, routed: bool) -> Result<Self, SystemdError> {
        let failed = |source| SystemdError::Connect { address: path.to_owned(), source };
        let stream = UnixStream::connect(Path::new(path)).map_err(failed)?;
        let mut bus = Self {
            stream,
            address: path.to_owned(),
            routed,
            serial: 0,
            deadline: Instant::now() + PATIENCE,
            ended: Vec::new(),
        };
        // EXTERNAL without a name: the peer takes the socket's credentials,
        // which a uid seen from inside a user namespace would contradict.
        // BEGIN with it, as sd-bus does: systemd that reads it together with the first
        // message leaves that one lying until more comes.
        bus.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let asked = bus.line()?;
        let answer = if asked.starts_with("OK") { asked } else { bus.line()? };
        if !answer.starts_with("OK") {
            return Err(SystemdError::Auth { address: bus.address, answer });
        }
        Ok(bus)
    }

    /// Calls a method of systemd's manager object and waits for the answer.
    ///
    /// # Errors
    /// systemd's own error, or none came.
    pub fn manager(&mut self, member: &str, args: &[Value]) -> Result<Vec<Value>, SystemdError> {
        self.call(self.to_systemd(MANAGER, member), args)
    }

    /// Reads a string property of the manager object.
    ///
    /// # Errors
    /// As [`Bus::manager`].
    pub fn property(&mut self, name: &str) -> Result<String, SystemdError> {
        let args = [Value::Str(MANAGER.to_owned()), Value::Str(name.to_owned())];
        let method = self.to_systemd("org.freedesktop.DBus.Properties", "Get");
        match self.call(method, &args)?.into_iter().next() {
            Some(Value::Str(text)) => Ok(text),
            _ => Err(self.malformed()),
        }
    }

    /// Asks to be told when jobs end. Nothing waits for an answer: the call
    /// that starts the job would show that the connection is broken.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn subscribe(&mut self) -> Result<(), SystemdError> {
        if self.routed {
            let rule =
                format!("type='signal',interface='{MANAGER}',member='JobRemoved',path='{SYSTEMD_PATH}'");
            let method = Method {
                destination: Some("org.freedesktop.DBus"),
                path: "/org/freedesktop/DBus",
                interface: "org.freedesktop.DBus",
                member: "AddMatch",
            };
            self.post(method, &[Value::Str(rule)], false)?;
        }
        self.post(self.to_systemd(MANAGER, "Subscribe"), &[], false).map(drop)
    }

    /// Waits until the job has ended; its result is "done" if all went well.
    ///
    /// # Errors
    /// The connection is broken, or it takes longer than 30 s.
    pub fn job(&mut self, job: &str) -> Result<String, SystemdError> {
        self.deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(path, _)| path == job) {
                return Ok(result.clone());
            }
            self.receive()?;
        }
    }

    fn to_systemd<'a>(&self, interface: &'a str, member: &'a str) -> Method<'a> {
        Method {
            destination: self.routed.then_some("org.freedesktop.systemd1"),
            path: SYSTEMD_PATH,
            interface,
            member,
        }
    }

    fn call(&mut self, method: Method<'_>, args: &[Value]) -> Result<Vec<Value>, SystemdError> {
        let serial = self.post(method, args, true)?;
        self.deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive()?;
            if message.reply_to != serial {
                continue;
            }
            if message.kind == Kind::Return {
                return Ok(message.body);
            }
            let text = match message.body.into_iter().next() {
                Some(Value::Str(text)) => text,
                _ => String::new(),
            };
            return Err(SystemdError::Refused { member: method.member.to_owned(), name: message.name, text });
        }
    }

    fn post(&mut self, method: Method<'_>, args: &[Value], reply: bool) -> Result<u32, SystemdError> {
        self.serial += 1;
        let bytes = wire::call(method, self.serial, args, reply);
        self.send(&bytes)?;
        Ok(self.serial)
    }

    /// The next message; the end of a job is noted on the way.
    fn receive(&mut self) -> Result<Message, SystemdError> {
        let mut head = [0; 16];
        self.fill(&mut head)?;
        let len = wire::rest_len(&head).ok_or_else(|| self.malformed())?;
        let mut bytes = head.to_vec();
        bytes.resize(16 + len, 0);
        self.fill(bytes.get_mut(16..).unwrap_or_default())?;
        let message = wire::parse(&bytes).ok_or_else(|| self.malformed())?;
        if message.kind == Kind::Signal
            && message.name == "JobRemoved"
            && let [_, Value::Path(job), _, Value::Str(result)] = message.body.as_slice()
        {
            self.ended.push((job.clone(), result.clone()));
        }
        Ok(message)
    }

    fn malformed(&self) -> SystemdError {
        SystemdError::Malformed(self.address.clone())
    }

    fn io(&self, source: std::io::Error) -> SystemdError {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        match source.kind() {
            TimedOut | WouldBlock => SystemdError::Timeout(self.address.clone()),
            _ => SystemdError::Connection { address: self.address.clone(), source },
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), SystemdError> {
        self.stream.write_all(bytes).map_err(|err| self.io(err))
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<(), SystemdError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        let result = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read_exact(buf));
        result.map_err(|err| self.io(err))
    }

    /// A line of the authentication protocol.
    fn line(&mut self) -> Result<String, SystemdError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.fill(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 512 {
                return Err(self.malformed());
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// The path in an address like `unix:path=/run/user/1000/bus,guid=…`.
pub(super) fn socket_path(address: &str) -> Result<String, SystemdError> {
    let one = address.split(';').find_map(|address| {
        let options = address.strip_prefix("unix:")?;
        options.split(',').find_map(|option| option.strip_prefix("path="))
    });
    let path = one.ok_or_else(|| SystemdError::Address(address.to_owned()))?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| SystemdError::Address(address.to_owned()))
}

/// The user's bus: `DBUS_SESSION_BUS_ADDRESS`, else `$XDG_RUNTIME_DIR/bus`.
fn user_address() -> Result<String, SystemdError> {
    if let Ok(address) = std::env::var("DBUS_SESSION_BUS_ADDRESS")
        && !address.is_empty()
    {
        return socket_path(&address);
    }
    let dir = std::env::var("XDG_RUNTIME_DIR").unwrap_or_default();
    let path = format!("{dir}/bus");
    match !dir.is_empty() && Path::new(&path).exists() {
        true => Ok(path),
        false => Err(SystemdError::NoUserBus),
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
