//! Bytes on sockets: ttrpc and protobuf to containerd, D-Bus to systemd.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use containerd_shim_krun_v2::connection::Connection;
use containerd_shim_krun_v2::proto::bootstrap::BootstrapParams;
use containerd_shim_krun_v2::proto::options::Options;
use containerd_shim_krun_v2::proto::task::{Create, Exec, Mount, Target, Update};
use containerd_shim_krun_v2::proto::ttrpc::{self, Code, HEADER, Reply, Request, Status};
use containerd_shim_krun_v2::proto::wire::{Message, Writer};
use containerd_shim_krun_v2::proto::{Any, task};
use krun::cgroup::systemd::fuzz as bus;

/// Frames as a peer sends them, in one piece and then the last bytes of each again.
pub fn ttrpc(input: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().expect("a socket");
    let mut connection = Connection::new(ours).expect("a connection");
    theirs.set_nonblocking(true).expect("a flag");
    let sent = theirs.write(input).unwrap_or(0);
    let Ok(frames) = connection.receive() else { return };
    let mut again = Vec::new();
    for frame in &frames {
        let start = again.len();
        ttrpc::frame(&mut again, frame.stream, frame.kind, &frame.payload);
        again[start + HEADER - 1] = input[start + HEADER - 1]; // flags are not kept
        let _ = Reply::decode(&frame.payload);
        if let Ok(request) = Request::decode(&frame.payload) {
            let read = Request::decode(&request.encode(1, "ns")).expect("what is written is read");
            assert_eq!((&read.service, &read.method), (&request.service, &request.method));
            assert_eq!(read.payload, request.payload);
        }
    }
    assert!(input[..sent].starts_with(&again), "frames are what was sent");
}

/// A request and a response.
pub fn ttrpc_seeds() -> Vec<Vec<u8>> {
    let request = Request {
        service: "containerd.task.v2.Task".into(),
        method: "State".into(),
        payload: b"\x0a\x01c".to_vec(),
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    ttrpc::frame(&mut one, 1, ttrpc::REQUEST, &request.encode(5, "default"));
    let refused = ttrpc::response(Err(Status::new(Code::NotFound, "no such task")));
    ttrpc::frame(&mut two, 1, ttrpc::RESPONSE, &refused);
    let both = [one.clone(), two.clone()].concat();
    vec![one, two, both]
}

/// The messages that a shim decodes, each as any of them. The first byte is left for the type of options.
pub fn messages(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let _ = Create::decode(bytes);
    let _ = Exec::decode(bytes);
    let _ = Update::decode(bytes);
    let _ = Target::decode(bytes);
    let _ = BootstrapParams::decode(bytes);
    if let Ok(mount) = Mount::decode(bytes) {
        assert_eq!(Mount::decode(&mount.encode()), Ok(mount));
    }
    if let Ok(any) = Any::decode(bytes) {
        let again = Any::decode(&any.encode()).expect("what is written is read");
        assert_eq!((&again.type_url, &again.value), (&any.type_url, &any.value));
    }
    let mut body = Writer::new();
    body.bytes(3, bytes);
    let any = match kind {
        0 => Any::new("containerd.runc.v1.Options", bytes.to_vec()),
        _ => Any::new("types.containerd.io/runtimeoptions.v1.Options", body.finish()),
    };
    if let Ok(options) = Options::from_any(&any) {
        assert_eq!(Options::decode(&options.encode()), Ok(options));
    }
}

/// Each message, filled in.
pub fn message_seeds() -> Vec<Vec<u8>> {
    let options = Options { root: "/x".into(), systemd_cgroup: true, io_uid: 7, ..Options::default() };
    let mount = Mount {
        kind: "overlay".into(),
        source: "o".into(),
        target: "/t".into(),
        options: vec!["lowerdir=/a".into(), "ro".into()],
    };
    let any = Any::new("containerd.runc.v1.Options", options.encode()).encode();
    let mut create = Writer::new();
    create.text(1, "c1");
    create.text(2, "/bundle");
    create.message(3, &mount.encode());
    create.uint(4, 1);
    create.text(5, "/run/fifo");
    create.message(10, &any);
    let mut exec = Writer::new();
    exec.text(1, "c1");
    exec.text(2, "e1");
    exec.message(7, &Any::new("types.containerd.io/x", b"{}".to_vec()).encode());
    let bodies = [
        options.encode(),
        mount.encode(),
        any,
        create.finish(),
        exec.finish(),
        task::pid_response(7),
        b"BinaryName = \"\"\nRoot = \"/x\"\nSystemdCgroup = true\nIoUid = 7\n".to_vec(),
    ];
    bodies.iter().enumerate().map(|(at, body)| [vec![u8::from(at == 6)], body.clone()].concat()).collect()
}

/// A message of a bus: the head says how much follows, and what is read is written and read again as the same.
pub fn dbus(input: &[u8]) {
    let head: Option<&[u8; 16]> = input.first_chunk();
    if let Some(len) = head.and_then(bus::rest_len) {
        assert!(len <= 1 << 24);
    }
    let Some(message) = bus::parse(input) else { return };
    let bytes = bus::call(METHOD, 1, &message.body, true);
    let again = bus::parse(&bytes).expect("what is written is read");
    // As text, since NaN is no equal of itself.
    assert_eq!(format!("{:?}", again.body), format!("{:?}", message.body));
    let head = bytes.first_chunk().expect("a head");
    assert_eq!(bus::rest_len(head), Some(bytes.len() - 16));
}

const METHOD: bus::Method<'_> = bus::Method {
    destination: None,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "JobRemoved",
};

/// A call, an answer, an error and a signal.
pub fn dbus_seeds() -> Vec<Vec<u8>> {
    use bus::Value;
    let args = [
        Value::U32(9),
        Value::Path("/org/freedesktop/systemd1/job/9".into()),
        Value::Str("a.scope".into()),
        Value::Str("done".into()),
        Value::Variant(Box::new(Value::F64(0.5))),
        Value::Signature("a(sv)".into()),
    ];
    let call = bus::call(METHOD, 5, &args, true);
    let of_kind = |kind: u8| {
        let mut bytes = call.clone();
        bytes[1] = kind;
        bytes
    };
    vec![call.clone(), of_kind(2), of_kind(3), of_kind(4)]
}
