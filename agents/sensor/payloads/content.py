"""Content features of KDD Cup 99: what FTP, Telnet, SMTP and HTTP say in cleartext.

KDD Cup 99 counts what happens inside a connection (table 2 of the task description). The task names
the features and Lee's programs for them were never published, so docs/records.md says what counts
here. Commands count only from the originator, answers only from the responder (`by_server`).

Lines that segmentation cuts are put together: a connection of one of the line protocols keeps up to
`MAX_LINE` bytes of either direction, `MAX_CONNECTIONS` of them at once, longest silent forgotten.

No payload takes long: `MAX_LINES` of its lines are counted one by one, of the others it is only
said whether they hold a thing; Telnet's own commands and erased characters are undone
`telnet.MAX_EDITS` times a payload, and a client that sends more of them is doing something hot.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.marks import CONTENT_COLUMNS
from agents.sensor.flows.packets import TCP, Ints, Packets
from agents.sensor.flows.segments import sequence_numbers
from agents.sensor.payloads import telnet
from agents.sensor.payloads.pattern_sets import PatternSet
from ontology.records import CONTENT_COUNTS, CONTENT_FLAGS

MAX_CONNECTIONS = 4096
MAX_LINE = 512
MAX_BYTES = 2048
"""Read of one payload."""
MAX_LINES = 6
"""Of one payload, counted one by one."""
_FORGET_US = 300_000_000
_BEHIND = 1 << 20
"""A segment that begins at most so far behind what was read is a retransmission."""

_FTP, _TELNET, _SMTP = (21,), (23, 2323), (25, 587)
_READ = np.zeros(1 << 16, np.bool_)
_READ[[*_FTP, *_TELNET, *_SMTP]] = True

_HOT, _COMPROMISED, _ROOT, _CREATED, _SHELL, _ACCESS = range(len(CONTENT_COUNTS))
_FLAG = len(CONTENT_COUNTS)
"""Where `_Lines` counts what only sets a flag."""
_LOGGED_IN, _ROOT_SHELL, _SU, _HOST_LOGIN, _GUEST_LOGIN = (
    1 << i for i in range(len(CONTENT_FLAGS))
)

_SECRETS = (
    rb"/etc/(?:master\.)?(?:passwd|shadow|group|gshadow|sudoers|hosts\.(?:allow|deny|equiv))\b"
)
_DOT_FILES = rb"\.(?:rhosts|shosts|netrc|forward|htpasswd|htaccess)\b"
ACCESS_FILES = _SECRETS + rb"|(?:^|[\s/=])" + _DOT_FILES + rb"|\bauthorized_keys\b"
_PLACE = (
    rb"/?(?:\.\./)*/?(?:etc|s?bin|dev|boot|proc|sys|root|lib|usr/s?bin|usr/lib)(?:/|$|[\s;\"'])"
)
_FTP_PATH = rb"^(?:CWD|RETR|STOR|STOU|APPE|DELE|RNFR|RNTO|MKD|RMD|SIZE|LIST|NLST|MLSD) "
_MISSING = rb"no such file|not found|cannot find|does not exist"
_COMMAND = rb"(?:^|[;|&(`][ \t]*|\bexec[ \t]+)(?:\S*/)?"

# What a line counts for, and the pattern that says so.
_FTP_SAYS = (
    (_HOT, _FTP_PATH + rb"(?:[^\n]*[ \t=\"'])?" + _PLACE + rb"|" + _FTP_PATH + rb"[^\n]*~root\b"),
    (
        _ACCESS,
        _FTP_PATH + rb"(?:[^\n]*(?:" + _SECRETS + rb"|\bauthorized_keys\b)"
        rb"|(?:[^\n]*[ \t/=])?" + _DOT_FILES + rb")",
    ),
    (_HOT, rb"^SITE +(?:EXEC|CHMOD)\b"),
    (_CREATED, rb"^(?:STOR|STOU|APPE|MKD|RNTO)\b"),
)
_SMTP_SAYS = (
    (
        _HOT,
        rb"^(?:WIZ|DEBUG|SHOWQ|KILL)\b|^(?:VRFY|EXPN) +<?(?:root|decode|uudecode|lp|bin|daemon)\b"
        rb"|^(?:MAIL|RCPT) +[^:\n]*: *<?\"?[ \t]*[|/]|^RCPT +[^:\n]*: *<?(?:decode|uudecode)\b",
    ),
)
_TYPED_SAYS = (
    (_HOT, rb"(?:^|[\s=\"'])" + _PLACE + rb"|~root\b"),
    (
        _HOT,
        _COMMAND + rb"(?:g?cc|make|chmod|perl|python\d?|gdb)[ \t]|^\./\S|;[ \t]*\./\S",
    ),
    (_ACCESS, ACCESS_FILES),
    (
        _CREATED,
        _COMMAND + rb"(?:touch|mkdir|cp|mv|ln|tee|install|mknod)[ \t]"
        rb"|(?:^|[^<\d&>])>+[ \t]*[^\s&]",
    ),
    (_SHELL, _COMMAND + rb"(?:ba|da|z|k|c|tc|a)?sh(?:[ \t;|&]|$)"),
    (
        _FLAG,
        _COMMAND + rb"(?:su(?:[ \t]+-l?)?(?:[ \t]+root)?[ \t]*$|sudo\b)",
    ),
)
_FTP_ANSWERS = ((_COMPROMISED, rb"^550 [^\n]*(?:" + _MISSING + rb")"), (_FLAG, rb"^230 "))
_SMTP_ANSWERS = (rb"^354 ", rb"^235 ")
_SHOWN = ((_COMPROMISED, _MISSING), (_FLAG, rb"\blast login\b|\bwelcome to\b"))
_GUESTS = frozenset((b"anonymous", b"ftp", b"guest", b"visitor"))
_HOSTS = frozenset((b"root", b"toor", b"adm", b"admin", b"administrator", b"sysadm", b"operator"))

Said = tuple[NDArray[np.uint8], bool, int, int]
"""(counts, as `CONTENT_COLUMNS`; said by a server?; refused logins, logins of lines cut in two)."""


ACCESS_FILE_ASKED: Said = (np.eye(1, len(CONTENT_COLUMNS), _ACCESS, np.uint8)[0], False, 0, 0)
"""What it says that a web request asks for such files."""


def readable(packets: Packets) -> NDArray[np.bool_]:
    """Which packets `ContentReader` would read: those of a line protocol's port with a payload."""
    near = _READ.take(packets.dst_port) | _READ.take(packets.src_port)
    if near.any():
        near &= (packets.payload_length > 0) & (packets.protocol == TCP)
    return near


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


class _Lines:
    """What the lines of a payload count for."""

    def __init__(self, says: tuple[tuple[int, bytes], ...]) -> None:
        self._columns = [column for column, _ in says]
        self._which = PatternSet(*(pattern for _, pattern in says), lines=True).which

    def count(self, lines: list[bytes]) -> list[int]:
        """By column; of what only the last of ``lines`` holds, which may be many, one each."""
        counts = [0] * (_FLAG + 1)
        # One search says for nearly all payloads that there is nothing to count.
        if len(lines) > 1 and not self._which(b"\n".join(lines)):
            return counts
        for line in lines:
            for number in self._which(line):
                counts[self._columns[number]] += 1
        return counts


class ContentReader:
    """Reads the line protocols of one sensor. Not thread-safe."""

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._max = max_connections
        self._open: OrderedDict[bytes, _Connection] = OrderedDict()
        self._ftp_says, self._ftp_answers, self._smtp_says, self._typed_says, self._shown = map(
            _Lines, (_FTP_SAYS, _FTP_ANSWERS, _SMTP_SAYS, _TYPED_SAYS, _SHOWN)
        )
        self._smtp_answers = PatternSet(*_SMTP_ANSWERS, lines=True)
        self.forgotten = 0
        """Connections whose carried lines were dropped because there were too many."""

    def __len__(self) -> int:
        return len(self._open)

    def read(self, packets: Packets, which: Ints) -> dict[int, Said]:
        """What packets ``which`` (ascending, of the `readable` ones) say; only those that do."""
        found: dict[int, Said] = {}
        to_servers = _READ.take(packets.dst_port[which])
        begins = packets.payload_offset[which]
        ends = begins + packets.payload_length[which]
        data = packets.data.data
        for packet, to_server, source, target, sport, dport, number, begin, end, time_us in zip(
            which.tolist(),
            to_servers.tolist(),
            _keys(packets.src[which], packets.src_port[which]),
            _keys(packets.dst[which], packets.dst_port[which]),
            packets.src_port[which].tolist(),
            packets.dst_port[which].tolist(),
            sequence_numbers(packets, which).tolist(),
            begins.tolist(),
            ends.tolist(),
            packets.time_us[which].tolist(),
            strict=True,
        ):
            connection = self._connection(
                source + target if to_server else target + source, time_us
            )
            side = connection.client if to_server else connection.server
            payload = _unread(side, data[begin:end].tobytes(), number)
            if payload:
                port = dport if to_server else sport
                said = self._payload(connection, side, port, payload[:MAX_BYTES], to_server)
                if said is not None:
                    found[packet] = said
        return found

    def _payload(
        self, connection: _Connection, side: _Side, port: int, payload: bytes, to_server: bool
    ) -> Said | None:
        counts = [0] * (len(CONTENT_COLUMNS))
        logins = [0, 0]
        if port in _TELNET:
            payload, whole = telnet.without_commands(payload)
            if to_server:
                counts[_HOT] += not whole
                self._typed(connection, side, payload, counts)
            else:
                self._screen(connection, side, payload, counts)
        else:
            cut = len(side.tail) > 0
            lines = _lines(side, payload)
            if cut and lines:
                # Begun in an earlier packet, and so not seen by who looks at first bytes.
                logins[0] += not to_server and lines[0][:4] in (b"530 ", b"535 ")
                logins[1] += to_server and lines[0][:5].upper() in (b"PASS ", b"AUTH ")
            reader = self._ftp if port in _FTP else self._smtp
            if lines:
                reader(connection, lines, to_server, counts)
        if not any(counts) and not any(logins):
            return None
        columns = np.array([min(count, 255) for count in counts], np.uint8)
        return columns, not to_server, logins[0], logins[1]

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

    def _ftp(self, c: _Connection, lines: list[bytes], to_server: bool, counts: list[int]) -> None:
        if not to_server:
            said = self._ftp_answers.count(lines)
            if said[_FLAG] and not c.logged_in:
                c.logged_in = True
                counts[-1] |= _LOGGED_IN
            counts[_COMPROMISED] += said[_COMPROMISED]
            return
        for line in lines:
            if line[:5].upper() == b"USER ":
                c.logged_in = False
                counts[-1] |= _login_flags(line[5:].split(b"\n", 1)[0].strip()[:64])
        counts[:_FLAG] = self._ftp_says.count(lines)[:_FLAG]

    def _smtp(self, c: _Connection, lines: list[bytes], to_server: bool, counts: list[int]) -> None:
        if not to_server:
            found = self._smtp_answers.found(b"\n".join(lines))
            c.text |= bool(found & 1)
            counts[-1] |= _LOGGED_IN * (found >> 1 & 1)
            return
        if c.text:
            # The message's own lines say nothing; it ends with a line that is a full stop.
            text = b"\n".join((b"", *lines, b""))
            end = text.find(b"\n.\n")
            c.text = end < 0
            lines = [] if end < 0 else _few(text[end + 3 : -1])
        counts[:_FLAG] = self._smtp_says.count(lines)[:_FLAG]

    def _screen(self, c: _Connection, side: _Side, payload: bytes, counts: list[int]) -> None:
        """What a Telnet server shows."""
        text = side.tail + payload
        whole, _, tail = text.rpartition(b"\n")
        side.tail = tail[-MAX_LINE:]
        said = self._shown.count(_few(whole))
        counts[_COMPROMISED] += said[_COMPROMISED]
        line = telnet.without_colours(side.tail)
        welcome = said[_FLAG] or bool(line and self._shown.count([line])[_FLAG])
        asked = telnet.asks(line)
        if asked == "name":
            c.asked, c.logged_in, c.root = asked, False, False
        elif asked:
            c.asked = asked
        elif not c.asked:
            prompt = telnet.prompt(line)
            if (prompt or welcome) and not c.logged_in:
                c.logged_in = True
                counts[-1] |= _LOGGED_IN
            if prompt:
                c.root = prompt == b"#"
                counts[-1] |= _ROOT_SHELL * c.root

    def _typed(self, c: _Connection, side: _Side, payload: bytes, counts: list[int]) -> None:
        """What a Telnet client sends: a name, a password, commands."""
        lines = _lines(side, payload, edited=counts)
        if lines and c.asked:
            name = lines.pop(0)
            if c.asked == "name":
                counts[-1] |= _login_flags(name.strip())
            c.asked = ""
        if not lines:
            return
        counts[_ROOT] += c.root * sum(1 for line in lines if not line.isspace())
        said = self._typed_says.count(lines)
        counts[-1] |= _SU * (said[_FLAG] > 0)
        for column, count in enumerate(said[:_FLAG]):
            counts[column] += count


def _keys(addresses: NDArray[np.uint8], ports: NDArray[np.uint16]) -> list[bytes]:
    ends = np.concatenate((addresses, ports.reshape(-1, 1).view(np.uint8)), axis=1)
    return [end.tobytes() for end in np.ascontiguousarray(ends)]


def _unread(side: _Side, payload: bytes, number: int) -> bytes:
    """What of the payload was not read before; ``number``: its sequence number or -1."""
    if number >= 0 and side.next >= 0:
        behind = (side.next - number) & 0xFFFFFFFF
        if 0 < behind <= _BEHIND:
            payload = payload[behind:]
            if not payload:
                return payload  # a retransmission
            number = side.next
        elif behind:
            side.tail = b""  # something was lost, or this is another connection
    side.next = (number + len(payload)) & 0xFFFFFFFF if number >= 0 else -1
    return payload


def _login_flags(name: bytes) -> int:
    name = name.lower()
    return _GUEST_LOGIN * (name in _GUESTS) | _HOST_LOGIN * (name in _HOSTS)


def _lines(side: _Side, payload: bytes, edited: list[int] | None = None) -> list[bytes]:
    """The lines that end in this payload, `MAX_LINES` of them and all others as one text; what is
    begun is kept for the next.

    ``edited``: the lines are typed, so that backspace and delete take a character away; counts.
    """
    text = side.tail + payload
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text, end, tail = text.rpartition(b"\n")
    side.tail = tail[:MAX_LINE]
    if not end:
        return []
    if edited is not None and (b"\x08" in text or b"\x7f" in text):
        text, whole = telnet.erased(text)
        edited[_HOT] += not whole
    return _few(text)


def _few(text: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n", MAX_LINES) if line]
