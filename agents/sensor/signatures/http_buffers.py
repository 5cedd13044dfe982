"""The parts of an HTTP/1 message that signatures name, taken from the bytes at hand.

A part that isn't there is absent, not empty; one that may go on in the next packet is *cut*, and
then nothing can be said of what it lacks. Bodies are dechunked and inflated, bounded.
"""

from __future__ import annotations

import string
import zlib
from collections.abc import Callable

from agents.sensor.payloads.percent import decoded

METHODS = (
    *(b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"PROP", b"TRAC", b"CONN"),
    *(b"SEAR", b"MOVE", b"COPY", b"MKCO", b"LOCK", b"UNLO", b"DEBU"),
)
MAX_INFLATED = 65_536
"""Bytes of a body after inflating; the rest is not looked at."""
_MAX_CHUNKS = 256
_UPPER = string.ascii_uppercase.encode()
FIELDS = {
    b"user-agent": "http.user_agent",
    b"referer": "http.referer",
    b"accept": "http.accept",
    b"accept-encoding": "http.accept_enc",
    b"accept-language": "http.accept_lang",
    b"content-type": "http.content_type",
    b"content-length": "http.content_len",
    b"connection": "http.connection",
    b"location": "http.location",
    b"server": "http.server",
}
_OF_REQUESTS = {
    *("http.user_agent", "http.referer", "http.accept", "http.accept_enc", "http.accept_lang"),
}
_OF_RESPONSES = {"http.location", "http.server"}


class HttpMessage:
    """One message from its first byte.

    Attributes:
        parts: what is there, by name; the dear ones are made by `get` when asked for.
        cut: names of what may go on.
    """

    def __init__(self, data: bytes) -> None:
        self.parts: dict[str, bytes | None] = {}
        self.cut: set[str] = set()
        self.is_response = data[:5] == b"HTTP/"
        head, end, body = data.partition(b"\r\n\r\n")
        line, feed, rest = head.partition(b"\n")
        if not feed and not end:
            # The first line isn't whole, except of an old client's that ends with the packet.
            feed = b""
        self._line = line.removesuffix(b"\r")
        self._body = body if end else b""
        rows = rest.split(b"\n")
        if not end:
            rows.pop()
            self.cut |= {"http.header", "http.header.raw", "http.header_names", "http.start"}
        self._raw = b"".join(row + b"\n" for row in rows)
        if end and not self._raw.endswith(b"\r\n"):
            self._raw = self._raw.removesuffix(b"\n") + b"\r\n" if rest else b""
        self._fields = [_field(row) for row in rows if row.strip()]
        self.valid = self._response() if self.is_response else self._request()
        if self.valid:
            self._named()
        self._late: dict[str, Callable[[], bytes | None]] = {
            "http.header": self._header,
            "http.header.raw": lambda: self._raw,
            "http.header_names": self._names,
            "http.start": lambda: self._line + b"\r\n" + self._raw + b"\r\n",
            "http.request_body": lambda: None if self.is_response else self._bare("request_body"),
            "http.response_body": lambda: self._bare("response_body") if self.is_response else None,
            "file.data": lambda: self.get("http.response_body"),
        }

    def get(self, name: str) -> bytes | None:
        """None if the message has no such part."""
        if not self.valid:
            return None
        if name not in self.parts:
            late = self._late.get(name)
            self.parts[name] = late() if late is not None else None
        return self.parts[name]

    def _request(self) -> bool:
        found = _request(self._line)
        if found is None:
            return False
        method, target, version = found
        parts = self.parts
        parts["http.method"], parts["http.uri.raw"] = method, target
        parts["http.request_line"] = self._line
        if version:
            parts["http.protocol"] = version
        host, path = _split(target)
        parts["http.uri"] = decoded((path,), plus=False)[0] if b"%" in path else path
        if host is None:
            host = next((value for name, value in self._fields if name.lower() == b"host"), None)
        if host is not None:
            parts["http.host.raw"] = host
            bare = host.rpartition(b"@")[2]
            if not bare.startswith(b"["):
                bare = bare.partition(b":")[0]
            parts["http.host"] = bare.lower()
        return True

    def _response(self) -> bool:
        version, _, rest = self._line.partition(b" ")
        code, _, message = rest.strip(b" ").partition(b" ")
        if len(version) != 8 or not code.isdigit():
            return False
        self.parts["http.protocol"] = version
        self.parts["http.stat_code"] = code
        self.parts["http.stat_msg"] = message
        self.parts["http.response_line"] = self._line
        return True

    def _named(self) -> None:
        cookie = b"set-cookie" if self.is_response else b"cookie"
        other = _OF_REQUESTS if self.is_response else _OF_RESPONSES
        for name, value in self._fields:
            lower = name.lower()
            known = "http.cookie" if lower == cookie else FIELDS.get(lower)
            if known is not None and known not in other and known not in self.parts:
                self.parts[known] = value

    def _header(self) -> bytes:
        cookie = b"set-cookie" if self.is_response else b"cookie"
        return b"".join(
            name + b": " + value + b"\r\n" for name, value in self._fields if name.lower() != cookie
        )

    def _names(self) -> bytes | None:
        if not self._fields:
            return None
        return b"\r\n" + b"".join(name + b"\r\n" for name, _ in self._fields) + b"\r\n"

    def _value(self, wanted: bytes) -> bytes | None:
        return next((value for name, value in self._fields if name.lower() == wanted), None)

    def _bare(self, kind: str) -> bytes | None:
        """The body without its chunks and compression; None if there is none or no way."""
        body, whole = self._body, False
        length = self._value(b"content-length")
        if (self._value(b"transfer-encoding") or b"").lower().endswith(b"chunked"):
            body, whole = _dechunked(body)
        elif length is not None and length.isdigit() and len(length) < 12:
            whole = len(body) >= int(length)
            body = body[: int(length)]
        if not body:
            return None
        coding = (self._value(b"content-encoding") or b"identity").strip().lower()
        if coding in (b"gzip", b"x-gzip", b"deflate"):
            found = _inflated(body, deflate=coding == b"deflate")
            if found is None:
                return None
            body, ended = found
            whole &= ended
        elif coding != b"identity":
            return None
        if not whole:
            self.cut |= {f"http.{kind}", "file.data"}
        return body


def _field(row: bytes) -> tuple[bytes, bytes]:
    name, _, value = row.partition(b":")
    return name.strip(b" \t\r"), value.strip(b" \t\r")


def _request(line: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Method, target and version (or nothing) of a request's line; None if it is none."""
    method, blank, target = line.partition(b" ")
    if not blank or not 3 <= len(method) <= 20 or method.translate(None, _UPPER) or b"\r" in target:
        return None
    target = target.lstrip(b" ")
    before, blank, version = target.rpartition(b" ")
    shape = version[:5] + version[6:7]
    if (
        blank
        and len(version) == 8
        and shape == b"HTTP/."
        and (version[5:6] + version[7:]).isdigit()
    ):
        return method, before.rstrip(b" "), version
    return method, target, b""


def _split(target: bytes) -> tuple[bytes | None, bytes]:
    """Host, if the target names one, and the rest."""
    scheme, there, rest = target.partition(b"://")
    if not there or scheme.lower() not in (b"http", b"https"):
        return None, target
    host, slash, path = rest.partition(b"/")
    return host, slash + path or b"/"


def _dechunked(body: bytes) -> tuple[bytes, bool]:
    """What is there of the chunks, and whether the last one was."""
    out: list[bytes] = []
    at = 0
    for _ in range(_MAX_CHUNKS):
        end = body.find(b"\r\n", at, at + 40)
        if end < 0:
            break
        size = body[at:end].partition(b";")[0].strip()
        if not size or len(size) > 8 or size.translate(None, b"0123456789abcdefABCDEF"):
            break
        count = int(size, 16)
        if not count:
            return b"".join(out), True
        out.append(body[end + 2 : end + 2 + count])
        at = end + 2 + count + 2
        if at > len(body):
            break
    return b"".join(out), False


def _inflated(body: bytes, *, deflate: bool) -> tuple[bytes, bool] | None:
    """At most `MAX_INFLATED` bytes, and whether that is all; None if it is no such stream."""
    ways = (15, -15) if deflate else (31,)
    for bits in ways:
        stream = zlib.decompressobj(bits)
        try:
            found = stream.decompress(body, MAX_INFLATED)
        except zlib.error:
            continue
        return found, stream.eof
    return None
