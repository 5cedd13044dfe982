"""One packet's payload and the parts of the message in it that rules name, made when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from agents.sensor.payloads.percent import decoded
from agents.sensor.signatures.http_buffers import METHODS, HttpMessage
from agents.sensor.signatures.tls_buffers import read_tls
from rules.signatures.buffers import BUFFERS, PAYLOAD, base

PACKET_BUDGET = 20_000
"""Steps for one payload over all rules: some 20 ms."""
SEVERAL = frozenset(["dns.query", "tls.certs"])
"""Buffers that may come more than once in a message."""
_MAX_INSTANCES = 16
_SPACE = b" \t\n\r\x0b\x0c"
_TRANSFORMS: dict[str, Callable[[bytes], bytes]] = {
    "dotprefix": lambda data: b"." + data,
    "to_lowercase": bytes.lower,
    "to_uppercase": bytes.upper,
    "strip_whitespace": lambda data: data.translate(None, _SPACE),
    "compress_whitespace": lambda data: _compressed(data),
    "url_decode": lambda data: decoded((data,))[0],
    "to_md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "to_sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "to_sha256": lambda data: hashlib.sha256(data).digest(),
    "header_lowercase": lambda data: _names_lowered(data),
}


class Payload:
    """One packet's payload, and who sent it.

    Args:
        pool: steps left for all payloads of its source in a block, in a list of one; None: no end.
        application: what its conversation speaks, as far as that is known.
        to_server: the client sent it; None: not known, then either's parts are looked for.
        spoken: a packet that carries its end's words; not one that opens or resets a connection.
        tcp: a DNS message has its length before it.
    """

    def __init__(
        self,
        data: bytes,
        pool: list[int] | None = None,
        *,
        application: str = "",
        to_server: bool | None = None,
        spoken: bool = True,
        tcp: bool = True,
    ) -> None:
        self.data = data
        self.application = application
        self.instance = 0
        """Which of several instances `buffer` gives."""
        self.steps = PACKET_BUDGET
        """Left for all rules together."""
        self.pool = pool
        self._to_server = to_server
        self._spoken = spoken
        self._tcp = tcp
        self._http: HttpMessage | None = None
        self._several: dict[str, tuple[bytes, ...]] | None = None
        self._made: dict[tuple[str, int], bytes | None] = {(PAYLOAD, 0): data}
        self._lower: dict[tuple[str, int], bytes] = {}

    @property
    def is_http(self) -> bool:
        return self._spoken and (self.data[:4] in METHODS or self.data[:5] == b"HTTP/")

    def instances(self, name: str) -> int:
        """How often a buffer of `SEVERAL` is there."""
        if not self._speaks(base(name)):
            return 0
        return min(len(self._read().get(base(name), ())), _MAX_INSTANCES)

    def buffer(self, name: str) -> bytes | None:
        """None if the payload has no such part."""
        key = name, self._instance(name)
        if key not in self._made:
            plain, *transforms = name.split("|")
            found = self._part(plain)
            for transform in transforms:
                found = None if found is None else _TRANSFORMS[transform](found)
            self._made[key] = found
        return self._made[key]

    def lower(self, name: str) -> bytes:
        """As `buffer`, in lower case (ASCII); the buffer must be there."""
        key = name, self._instance(name)
        if key not in self._lower:
            self._lower[key] = (self.buffer(name) or b"").lower()
        return self._lower[key]

    def cut(self, name: str) -> bool:
        """Whether the part goes on, or may, behind what is here: what it lacks can't be said."""
        return self._http is not None and base(name) in self._http.cut

    def _instance(self, name: str) -> int:
        return self.instance if self.instance and base(name) in SEVERAL else 0

    def _speaks(self, name: str) -> bool:
        """Whether this sender's message may hold such a part."""
        buffer = BUFFERS[name]
        if not self._spoken or self.application not in ("", buffer.application):
            return False
        return None in (self._to_server, buffer.to_server) or self._to_server == buffer.to_server

    def _part(self, name: str) -> bytes | None:
        if name == PAYLOAD:
            return self.data
        if not self._speaks(name):
            return None
        if BUFFERS[name].application == "http":
            return self._message().get(name) if self.is_http else None
        found = self._read().get(name, ())
        return found[self.instance] if self.instance < len(found) else None

    def _message(self) -> HttpMessage:
        if self._http is None:
            self._http = HttpMessage(self.data)
            if self._to_server is not None and self._http.is_response == self._to_server:
                self._http.valid = False  # a server's words from a client, or the other way
        return self._http

    def _read(self) -> dict[str, tuple[bytes, ...]]:
        if self._several is None:
            if self.data[:2] == b"\x16\x03":
                self._several = read_tls(self.data)
            elif self.data[:4] == b"SSH-":
                self._several = _read_ssh(self.data)
            elif self.application == "dns":
                self._several = _read_dns(self.data[2:] if self._tcp else self.data)
            else:
                self._several = {}
        return self._several


def _read_ssh(data: bytes) -> dict[str, tuple[bytes, ...]]:
    line, feed, _ = data[:256].partition(b"\n")
    version, dash, software = line[4:].rstrip(b"\r").partition(b"-")
    if not feed or not dash:
        return {}
    return {"ssh.proto": (version,), "ssh.software": (software.partition(b" ")[0],)}


def _read_dns(data: bytes) -> dict[str, tuple[bytes, ...]]:
    """Names asked for in a query, their labels parted by dots."""
    if len(data) < 12 or data[2] & 0x80:
        return {}
    names: list[bytes] = []
    at = 12
    for _ in range(min(int.from_bytes(data[4:6], "big"), _MAX_INSTANCES)):
        labels: list[bytes] = []
        while at < len(data) and 0 < data[at] < 64:
            labels.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        if at + 5 > len(data) or data[at]:
            break
        at += 5
        names.append(b".".join(labels))
    return {"dns.query": tuple(names)} if names else {}


def _compressed(data: bytes) -> bytes:
    """Each run of white space as its first character."""
    out = bytearray()
    before = False
    for byte in data:
        space = byte in _SPACE
        if not (space and before):
            out.append(byte)
        before = space
    return bytes(out)


def _names_lowered(data: bytes) -> bytes:
    rows = (row.partition(b":") for row in data.split(b"\n"))
    return b"\n".join(name.lower() + colon + rest for name, colon, rest in rows)
