"""Content features of KDD Cup 99: what FTP, Telnet, SMTP and HTTP say in cleartext.

KDD Cup 99 counts what happens inside a connection (table 2 of the task description). The task names
the features and Lee's programs for them were never published, so docs/records.md says what counts
here. Commands count only from the originator, answers only from the responder (`by_server`).

Lines that segmentation cuts are put together: a connection of one of the line protocols keeps up to
`MAX_LINE` bytes of either direction, `MAX_CONNECTIONS` of them at once, longest silent forgotten.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.marks import CONTENT_COLUMNS
from agents.sensor.flows.packets import TCP, Packets
from agents.sensor.flows.segments import sequence_number
from ontology.records import CONTENT_COUNTS, CONTENT_FLAGS

MAX_CONNECTIONS = 4096
MAX_LINE = 512
MAX_BYTES = 2048
"""Read of one payload."""
_FORGET_US = 300_000_000
_BEHIND = 1 << 20
"""A segment that begins at most so far behind what was read is a retransmission."""

_FTP, _TELNET, _SMTP = (21,), (23, 2323), (25, 587)
_READ = np.zeros(1 << 16, np.bool_)
_READ[[*_FTP, *_TELNET, *_SMTP]] = True

_HOT, _COMPROMISED, _ROOT, _CREATED, _SHELL, _ACCESS = range(len(CONTENT_COUNTS))
_LOGGED_IN, _ROOT_SHELL, _SU, _HOST_LOGIN, _GUEST_LOGIN = (
    1 << i for i in range(len(CONTENT_FLAGS))
)

_ACCESS_FILES = re.compile(
    rb"/etc/(?:master\.)?(?:passwd|shadow|group|gshadow|sudoers|hosts\.(?:allow|deny|equiv))\b"
    rb"|(?:^|[\s/=])\.(?:rhosts|shosts|netrc|forward|htpasswd|htaccess)\b|\bauthorized_keys\b"
)
_SYSTEM_PLACES = re.compile(
    rb"(?:^|[\s=\"'])/?(?:\.\./){0,8}/?(?:etc|s?bin|dev|boot|proc|sys|root|lib|usr/s?bin|usr/lib)(?:/|$|[\s;\"'])"
    rb"|~root\b"
)
_FTP_PATH = re.compile(
    rb"^(?:CWD|RETR|STOR|STOU|APPE|DELE|RNFR|RNTO|MKD|RMD|SIZE|LIST|NLST|MLSD) +", re.I
)
_FTP_CREATES = re.compile(rb"^(?:STOR|STOU|APPE|MKD|RNTO)\b", re.I)
_FTP_HOT = re.compile(rb"^SITE +(?:EXEC|CHMOD)\b", re.I)
_MISSING = re.compile(rb"no such file|not found|cannot find|does not exist", re.I)
_USER = re.compile(rb"^USER +(\S{1,64})", re.I)
_GUESTS = frozenset((b"anonymous", b"ftp", b"guest", b"visitor"))
_HOSTS = frozenset((b"root", b"toor", b"adm", b"admin", b"administrator", b"sysadm", b"operator"))
_SMTP_HOT = re.compile(
    rb"^(?:WIZ|DEBUG|SHOWQ|KILL)\b|^(?:VRFY|EXPN) +<?(?:root|decode|uudecode|lp|bin|daemon)\b"
    rb"|^(?:MAIL|RCPT) +[^:]{0,9}: *<?\"?\s*[|/]|^RCPT +[^:]{0,9}: *<?(?:decode|uudecode)\b",
    re.I,
)
_TELNET_CONTROL = re.compile(rb"\xff(?:[\xfb-\xfe].?|\xfa[^\xff]{0,200}(?:\xff\xf0)?|.)", re.S)
_ANSI = re.compile(rb"\x1b\[[0-9;?]{0,16}[A-Za-z]|\x1b\][^\x07]{0,128}\x07")
_PROMPT = re.compile(rb"(?:^|[\r\n])[^\r\n]{0,128}?([#$%>]) ?\Z")
_ASKS_NAME = re.compile(rb"(?:login|username|user name): ?\Z", re.I)
_ASKS_PASSWORD = re.compile(rb"password[^\r\n]{0,32}: ?\Z", re.I)
_WELCOME = re.compile(rb"\blast login\b|\bwelcome to\b", re.I)
_COMMAND = rb"(?:^|[;|&(`]\s{0,9}|\bexec\s{1,9})(?:\S{0,64}/)?"
_TYPED_SU = re.compile(_COMMAND + rb"(?:su(?:\s{1,9}-l?)?(?:\s{1,9}root)?\s*$|sudo\b)")
_TYPED_SHELL = re.compile(_COMMAND + rb"(?:ba|da|z|k|c|tc|a)?sh(?:\s|$|[;|&])")
_TYPED_CREATES = re.compile(
    _COMMAND + rb"(?:touch|mkdir|cp|mv|ln|tee|install|mknod)\s|(?<![<\d&>])>{1,2}\s{0,9}[^\s&]"
)
_TYPED_RUNS = re.compile(_COMMAND + rb"(?:g?cc|make|chmod|perl|python\d?|gdb)\s|^\./\S|;\s*\./\S")

Said = tuple[NDArray[np.uint8], bool, int, int]
"""(counts, as `CONTENT_COLUMNS`; said by a server?; refused logins, logins of lines cut in two)."""


def http_request(payload: bytes) -> NDArray[np.uint8] | None:
    """Access control files that a decoded request asks for; None if there is none."""
    found = len(_ACCESS_FILES.findall(payload.lower()))
    if not found:
        return None
    counts = np.zeros(len(CONTENT_COLUMNS), np.uint8)
    counts[_ACCESS] = min(found, 255)
    return counts


@dataclass(slots=True)
class _Side:
    tail: bytes = b""
    next: int = -1


@dataclass(slots=True)
class _Connection:
    client: _Side = field(default_factory=_Side)
    server: _Side = field(default_factory=_Side)
    last_us: int = 0
    logged_in: bool = False
    root: bool = False
    asked: str = ""  # what the next line of the client answers: "name", "password"
    text: bool = False  # SMTP: inside a message


class ContentReader:
    """Reads the line protocols of one sensor. Not thread-safe."""

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max = max_connections
        self._open: OrderedDict[bytes, _Connection] = OrderedDict()
        self.forgotten = 0
        """Connections whose carried lines were dropped because there were too many."""

    def __len__(self) -> int:
        return len(self._open)

    def read(self, packets: Packets) -> dict[int, Said]:
        """What the packets of a block say; by position in ``packets``, only those that do."""
        near = _READ.take(packets.dst_port) | _READ.take(packets.src_port)
        if not near.any():
            return {}
        near &= (packets.payload_length > 0) & (packets.protocol == TCP)
        found: dict[int, Said] = {}
        for packet in np.flatnonzero(near).tolist():
            said = self._packet(packets, packet)
            if said is not None:
                found[packet] = said
        return found

    def _packet(self, packets: Packets, packet: int) -> Said | None:
        to_server = bool(_READ[packets.dst_port[packet]])
        ends = (
            packets.src[packet].tobytes() + packets.src_port[packet].tobytes(),
            packets.dst[packet].tobytes() + packets.dst_port[packet].tobytes(),
        )
        port = int(packets.dst_port[packet] if to_server else packets.src_port[packet])
        connection = self._connection(
            ends[0] + ends[1] if to_server else ends[1] + ends[0], int(packets.time_us[packet])
        )
        side = connection.client if to_server else connection.server
        start = int(packets.payload_offset[packet])
        payload = packets.data[start : start + int(packets.payload_length[packet])].tobytes()
        number = sequence_number(packets, packet)
        if number >= 0 and side.next >= 0:
            behind = (side.next - number) & 0xFFFFFFFF
            if 0 < behind <= _BEHIND:
                payload = payload[behind:]
                if not payload:
                    return None  # a retransmission
                number = side.next
            elif behind:
                side.tail = b""  # something was lost, or this is another connection
        side.next = (number + len(payload)) & 0xFFFFFFFF if number >= 0 else -1
        payload = payload[:MAX_BYTES]
        counts = np.zeros(len(CONTENT_COLUMNS), np.int64)
        logins = [0, 0]
        if port in _TELNET:
            self._telnet(connection, side, payload, to_server, counts)
        else:
            reader = self._ftp if port in _FTP else self._smtp
            cut = len(side.tail) > 0
            for line in _lines(side, payload):
                reader(connection, line, to_server, counts)
                if cut:
                    logins[0] += not to_server and line[:4] in (b"530 ", b"535 ")
                    logins[1] += to_server and line[:5].upper() in (b"PASS ", b"AUTH ")
                cut = False
        if not counts.any() and not any(logins):
            return None
        return np.minimum(counts, 255).astype(np.uint8), not to_server, logins[0], logins[1]

    def _connection(self, key: bytes, now_us: int) -> _Connection:
        connection = self._open.pop(key, None)
        if connection is None or abs(now_us - connection.last_us) > _FORGET_US:
            connection = _Connection()
            if len(self._open) >= self._max:
                self._open.popitem(last=False)
                self.forgotten += 1
        connection.last_us = now_us
        self._open[key] = connection
        return connection

    def _ftp(self, c: _Connection, line: bytes, to_server: bool, counts: NDArray[np.int64]) -> None:
        if not to_server:
            if line[:4] == b"230 " and not c.logged_in:
                c.logged_in = True
                counts[-1] |= _LOGGED_IN
            counts[_COMPROMISED] += line[:4] == b"550 " and bool(_MISSING.search(line))
            return
        user = _USER.match(line)
        if user:
            c.logged_in = False
            counts[-1] |= _login_flags(user[1])
            return
        path = _FTP_PATH.match(line)
        if path:
            counts[_HOT] += bool(_SYSTEM_PLACES.search(line, path.end() - 1))
            counts[_ACCESS] += bool(_ACCESS_FILES.search(line.lower(), path.end() - 1))
        counts[_HOT] += bool(_FTP_HOT.match(line))
        counts[_CREATED] += bool(_FTP_CREATES.match(line))

    def _smtp(
        self, c: _Connection, line: bytes, to_server: bool, counts: NDArray[np.int64]
    ) -> None:
        if not to_server:
            if line[:4] == b"354 ":
                c.text = True
            elif line[:4] == b"235 ":
                counts[-1] |= _LOGGED_IN
        elif c.text:
            c.text = line != b"."
        else:
            counts[_HOT] += bool(_SMTP_HOT.match(line))

    def _telnet(
        self,
        c: _Connection,
        side: _Side,
        payload: bytes,
        to_server: bool,
        counts: NDArray[np.int64],
    ) -> None:
        payload = _TELNET_CONTROL.sub(b"", payload).replace(b"\0", b"")
        if to_server:
            for line in _lines(side, payload):
                self._typed(c, _erased(line), counts)
            return
        text = side.tail + _ANSI.sub(b"", payload)
        whole, _, tail = text.rpartition(b"\n")
        side.tail = tail[-MAX_LINE:]
        counts[_COMPROMISED] += len(_MISSING.findall(whole))
        if _ASKS_NAME.search(side.tail):
            c.asked, c.logged_in, c.root = "name", False, False
        elif _ASKS_PASSWORD.search(side.tail):
            c.asked = "password"
        elif not c.asked:
            prompt = _PROMPT.search(side.tail)
            if (prompt or _WELCOME.search(text)) and not c.logged_in:
                c.logged_in = True
                counts[-1] |= _LOGGED_IN
            if prompt:
                c.root = prompt[1] == b"#"
                counts[-1] |= _ROOT_SHELL * c.root

    def _typed(self, c: _Connection, line: bytes, counts: NDArray[np.int64]) -> None:
        """A line that the client sent: a name, a password, or a command."""
        asked, c.asked = c.asked, ""
        if asked:
            if asked == "name":
                counts[-1] |= _login_flags(line.strip())
            return
        if not line.strip():
            return
        counts[_ROOT] += c.root
        counts[_HOT] += bool(_SYSTEM_PLACES.search(line)) + bool(_TYPED_RUNS.search(line))
        counts[_ACCESS] += bool(_ACCESS_FILES.search(line))
        counts[_CREATED] += bool(_TYPED_CREATES.search(line))
        counts[_SHELL] += bool(_TYPED_SHELL.search(line))
        counts[-1] |= _SU * bool(_TYPED_SU.search(line))


def _login_flags(name: bytes) -> int:
    name = name.lower()
    return _GUEST_LOGIN * (name in _GUESTS) | _HOST_LOGIN * (name in _HOSTS)


def _lines(side: _Side, payload: bytes) -> list[bytes]:
    """The lines that end in this payload; what is begun is kept for the next."""
    *lines, tail = re.split(rb"\r\n|\r|\n", side.tail + payload)
    side.tail = tail[:MAX_LINE]
    return [line for line in lines if line]


def _erased(line: bytes) -> bytes:
    """The line as edited: backspace and delete take a character away."""
    if b"\x08" not in line and b"\x7f" not in line:
        return line
    out = bytearray()
    for byte in line:
        if byte in (8, 0x7F):
            del out[-1:]
        else:
            out.append(byte)
    return bytes(out)
