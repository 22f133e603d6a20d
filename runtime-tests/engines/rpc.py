"""A small gRPC client for containerd's services, without generated code: a
message is a dict of field number to value (int, str, bytes, dict, list)."""

import grpc


def encode(message):
    out = bytearray()
    for number, value in message.items():
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, int):
                out += varint(number << 3) + varint(v)
                continue
            if isinstance(v, dict):
                v = encode(v)
            elif isinstance(v, str):
                v = v.encode()
            out += varint(number << 3 | 2) + varint(len(v)) + v
    return bytes(out)


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def decode(data):
    """Field number to the list of its values: ints and bytes."""
    fields, at = {}, 0

    def number():
        nonlocal at
        v = shift = 0
        while True:
            byte = data[at]
            at += 1
            v |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return v

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            value = number()
        elif kind == 2:
            size = number()
            value = data[at : at + size]
            at += size
        else:
            size = 8 if kind == 1 else 4
            value = data[at : at + size]
            at += size
        fields.setdefault(key >> 3, []).append(value)
    return fields


class Client:
    def __init__(self, address, namespace="default"):
        self.channel = grpc.insecure_channel(f"unix://{address}")
        self.metadata = [("containerd-namespace", namespace)]

    def call(self, method, message, timeout=60):
        rpc = self.channel.unary_unary("/" + method)
        return decode(rpc(encode(message), timeout=timeout, metadata=self.metadata))


class Tasks:
    """containerd's task service for one container."""

    SERVICE = "containerd.services.tasks.v1.Tasks/"

    def __init__(self, client, container):
        self.client, self.container = client, container

    def call(self, method, message):
        return self.client.call(self.SERVICE + method, {1: self.container, **message})

    def create(self, snapshot):
        request = {1: "overlayfs", 2: snapshot}
        mounts = self.client.call("containerd.services.snapshots.v1.Snapshots/Mounts", request)
        return self.call("Create", {3: mounts.get(1, [])})

    def exec(self, exec_id, spec):
        """Runs a process to its end; returns its exit status."""
        any_spec = {1: "types.containerd.io/opencontainers/runtime-spec/1/Process", 2: spec}
        self.call("Exec", {6: any_spec, 7: exec_id})
        waiting = self.client.channel.unary_unary("/" + self.SERVICE + "Wait").future(
            encode({1: self.container, 2: exec_id}), timeout=60, metadata=self.client.metadata
        )
        self.call("Start", {2: exec_id})
        status = decode(waiting.result()).get(1, [0])[0]
        self.client.call(self.SERVICE + "DeleteProcess", {1: self.container, 2: exec_id})
        return status
