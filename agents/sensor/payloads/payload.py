"""Look-up in payloads: logins and refusals in cleartext, attack strings, scanner probes.

Two steps, because a look at every payload would cost more than all the rest of the sensor: the
first bytes and the ports of a whole block are compared at once, and only the packets left are
read one by one. Payloads are hostile: at most `MAX_BYTES` of one are read, patterns have bounded
repeats only. Of the line protocols `agents.sensor.payloads.content` puts cut lines together; other
strings that segmentation cuts are not found, and TLS hides everything.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.answered import Answers
from agents.sensor.flows.marks import CONTENT_COLUMNS, Marks
from agents.sensor.flows.packets import TCP, Ints, Packets
from agents.sensor.payloads.content import (
    ACCESS_FILE_ASKED,
    MAX_LINES,
    ContentReader,
    Said,
    readable,
)
from agents.sensor.payloads.http_requests import doubtful
from agents.sensor.payloads.login_refusals import refusals
from agents.sensor.payloads.pattern_sets import PatternSet
from agents.sensor.payloads.port_readers import FROM_PORTS, TO_PORTS, PortReaders
from agents.sensor.payloads.reading_shares import ReadingShares, costs
from agents.sensor.payloads.request_reader import RequestReader
from agents.sensor.payloads.service_abuse import PORTS as SERVICES
from agents.sensor.payloads.service_abuse import ServiceAbuse
from datasets.captures.pcap import rows
from ontology.records import INDICATORS

MAX_BYTES = 2048
"""Read of one payload."""

SSH_BANNER, VERSION_PROBE, TRUST_CHANGE = (
    1 << INDICATORS.index(name) for name in ("SshBanner", "VersionProbe", "TrustChange")
)

Found = tuple[int, int, int]
"""(failed logins, login attempts, indicators)."""
_NOTHING: Found = (0, 0, 0)

_IMAP, _TELNET = (143,), (23, 2323)
_SHELLS = (512, 513, 514)
"""rexec, rlogin, rsh."""
_HERE, _READERS = 1, 2
"""Who reads a port: `PayloadReader` itself, `PortReaders`."""
_FROM_PORT, _TO_PORT = np.zeros((2, 1 << 16), np.uint8)
_FROM_PORT[[*_IMAP, *_TELNET]] = _HERE
_TO_PORT[[*_IMAP, *_SHELLS, *SERVICES]] = _HERE
_FROM_PORT[[*FROM_PORTS]] |= _READERS
_TO_PORT[[*TO_PORTS]] |= _READERS

_AUTH = rb"^AUTH +(?:PLAIN|LOGIN|CRAM-MD5|DIGEST-MD5|XOAUTH2|NTLM)\b"
_LOGIN_WORDS = rb"pass|auth|login|logon|credential|denied|invalid|incorrect"
_IMAP_LOGIN = rb"^\S+ (?:LOGIN|AUTHENTICATE) "
_IMAP_REFUSAL = rb"^\S+ NO [^\r\n]*(?:auth|login|credential|password)"
_TELNET_REFUSAL = (
    rb"login incorrect|login failed|authentication failed|(?:bad|incorrect|invalid) password"
    rb"|access denied|invalid login"
)
# Everybody from everywhere is let in from then on (hosts.equiv(5)).
_TRUST_CHANGE = rb"\+ *\+?['\"]? *>+ *[^\s;]*(?:\.rhosts|hosts\.equiv)"

_METHODS = (
    b"GET ",
    b"POST",
    b"HEAD",
    b"PUT ",
    b"DELE",
    b"OPTI",
    b"PATC",
    b"PROP",
    b"TRAC",
    b"CONN",
)

# First bytes of the probes that nmap's service detection sends (nmap-service-probes), and
# whether the payload holds no more than these: some are also how an honest client could begin.
_PROBES: tuple[tuple[bytes, bool], ...] = (
    (b"\r\n\r\n", True),
    (b"GET / HTTP/1.0\r\n\r\n", True),
    (b"OPTIONS / HTTP/1.0\r\n\r\n", True),
    (b"OPTIONS / RTSP/1.0\r\n\r\n", True),
    (b"GET /nice%20ports%2C/Tri%6Eity.txt%2ebak", False),
    (b"OPTIONS sip:nm SIP/2.0\r\n", False),
    (b"HELP\r\n", True),
    (b"help\r\n\r\n", True),
    (b"EHLO\r\n", True),
    (b"\x80\0\0\x28\x72\xfe\x1d\x13", False),
    (b"\x72\xfe\x1d\x13\0\0\0\0", False),
    (b"\0\x1e\0\x06\x01\0\0\x01", False),
    (b"\0\x06\x01\0\0\x01\0\0", False),
    (b"\0\x0c\0\0\x10\0\0\0\0\0\0\0\0\0", True),
    (b"\0\0\x10\0\0\0\0\0\0\0\0\0", True),
    (b"\x80\xf0\0\x10\0\x01", False),
    (b"\x16\x03\0\0S\x01\0\0O\x03\0?G\xd7\xf7\xba", False),
    (b"\x16\x03\0\0i\x01\0\0e\x03\x03U\x1c\xa7\xe4random1random2", False),
    (b"\x03\0\0*%\xe0\0\0\0\0\0Cookie: mstshash=nmap", False),
    (b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", True),
    (b"\0\0\0\x71\x6a\x81\x6e\x30", False),
    (b"\x6a\x81\x6e\x30\x81\x6b", False),
    (b"\0\0\0\xa4\xffSMBr\0\0\0\0\x08\x01\x40", False),
    (b"\x6c\0\x0b\0\0\0\0\0\0\0\0\0", True),
    (b"\x01default\n", True),
    (b"\x30\x84\0\0\0\x2d\x02\x01\x07\x63\x84", False),
    (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x02\x04\0\x80\0", True),
    (b"TNMP\x04\0\0\0TNME", False),
    (b"DmdT\0\0\0\x17\0\0\0\x01", False),
    (b"DIST00000001ARGC00000005ARGV00000002cc", False),
    (b"JRMI\0\x02K", True),
    (b"0\x82\0/\x02\x01\0\x04\x06public", False),
    (b"\xe3\0\x04\xfa\0\x01\0\0\0\x01", False),
)


def _key(first: bytes) -> int:
    """The first four bytes as the block look-up sees them: letters in lower case."""
    return int.from_bytes(first[:4], "little") | 0x20202020


_REQUEST, _ANSWER, _SSH, _LINE, _PROBE = range(5)
"""What is read of a payload with such first bytes; of all of them, whether it is a probe."""
_KINDS: dict[int, int] = {
    **{_key(probe): _PROBE for probe, _ in _PROBES},
    **{_key(method): _REQUEST for method in _METHODS},
    _key(b"HTTP"): _ANSWER,
    _key(b"SSH-"): _SSH,
    **{_key(word): _LINE for word in (b"530 ", b"530-", b"535 ", b"-ERR", b"PASS", b"AUTH")},
}
_KEYS = np.array(sorted(_KINDS), np.uint32)
_IS_REQUEST = np.array([_KINDS[int(key)] == _REQUEST for key in _KEYS])
_PAIRS = np.zeros(1 << 16, np.bool_)
_PAIRS[_KEYS & 0xFFFF] = True
_RESPONSE = np.uint32(_key(b"HTTP"))
_REFUSED = np.uint32(int.from_bytes(b" 401", "little"))
_PROBES_BY_KEY: dict[int, tuple[tuple[bytes, bool], ...]] = {
    key: tuple(entry for entry in _PROBES if _key(entry[0]) == key)
    for key in {_key(probe) for probe, _ in _PROBES}
}
_NONE: Ints = np.zeros(0, np.int64)
_LONGEST_EXACT = max(len(probe) for probe, exact in _PROBES if exact)


class PayloadReader:
    """Reads the payloads of one sensor. Not thread-safe.

    Args:
        shares: of whose payloads how many are read when there are too many; None reads all.
        one_sided: the capture shows one direction only, so that nobody is ever seen to answer:
            what nobody answered is read as well.
    """

    def __init__(self, *, shares: ReadingShares | None = None, one_sided: bool = False) -> None:
        self.content = ContentReader()
        self._requests = RequestReader()
        self._services = ServiceAbuse()
        self._readers = PortReaders()
        self._shares = shares
        self.one_sided = one_sided
        self._auth, self._imap_login, self._imap_refusal = (
            PatternSet(pattern, lines=True) for pattern in (_AUTH, _IMAP_LOGIN, _IMAP_REFUSAL)
        )
        self._login_words, self._telnet_refusal, self._trust_change = (
            PatternSet(pattern) for pattern in (_LOGIN_WORDS, _TELNET_REFUSAL, _TRUST_CHANGE)
        )
        self.payloads = 0
        """Read."""
        self.unanswered = 0
        """Payloads not read, because the responder had not spoken in their connection."""
        self.thinned = 0
        """Payloads not read, because there were more than there is time for."""

    def look_up(self, packets: Packets, answers: Answers | None = None) -> Marks:
        """What the payloads of a block say. Without ``answers`` everything counts as answered."""
        chosen, keys = _by_first_bytes(packets)
        by_content = readable(packets)
        ports = _FROM_PORT.take(packets.src_port) | _TO_PORT.take(packets.dst_port)
        by_port, by_reader = np.zeros(len(packets), np.bool_), _NONE
        anyway = np.zeros(0, np.bool_)
        if ports.any():
            by_port = (ports & _HERE > 0) & (packets.payload_length >= 4)
            by_port &= packets.protocol == TCP
            by_reader, anyway = self._readers.choose(packets, ports & _READERS > 0)
        refused = refusals(packets)
        # Of other protocols nothing but first bytes is compared, which costs next to nothing.
        tcp = packets.protocol[chosen] == TCP
        wanted = by_content | by_port
        wanted[chosen[tcp]] = True
        wanted[refused] = True
        wanted[by_reader] = True
        read = self._choose(packets, np.flatnonzero(wanted), answers, by_reader[anyway])
        found: dict[int, Found] = {}
        said = self.content.read(packets, np.flatnonzero(by_content & read))
        for packet, (_, _, failed, attempts) in said.items():
            found[packet] = (failed, attempts, 0)  # of lines that began in an earlier packet
        some = ~tcp | read[chosen]
        self._first_bytes(packets, chosen[some], keys[some], tcp[some], found, said)
        for packet in np.flatnonzero(by_port & read).tolist():
            found[packet] = _add(found.get(packet, _NOTHING), self._by_port(packets, packet))
        for packet in refused[read[refused]].tolist():
            found[packet] = _add(found.get(packet, _NOTHING), (1, 0, 0))
        if len(by_reader):
            for packet, one in self._readers.read(packets, by_reader[read[by_reader]]).items():
                found[packet] = _add(found.get(packet, _NOTHING), one)
        return _marks(found, said)

    def _choose(
        self, packets: Packets, which: Ints, answers: Answers | None, anyway: Ints
    ) -> NDArray[np.bool_]:
        """Which packets are read, of those that there is something to read of; ``anyway``: though
        nobody has answered."""
        read = np.zeros(len(packets), np.bool_)
        if answers is not None and len(which) and not self.one_sided:
            spoken = answers.spoken(which)
            spoken[np.searchsorted(which, anyway)] = True
            self.unanswered += len(which) - int(spoken.sum())
            which = which[spoken]
        if self._shares is not None and len(which):
            sources = packets.src[which] if answers is None else answers.sources(which)
            chosen = self._shares.choose(
                costs(packets.payload_length[which]), sources, int(packets.time_us[-1])
            )
            self.thinned += len(which) - int(chosen.sum())
            which = which[chosen]
        self.payloads += len(which)
        read[which] = True
        return read

    def _first_bytes(
        self,
        packets: Packets,
        which: Ints,
        keys: NDArray[np.uint32],
        tcp: NDArray[np.bool_],
        found: dict[int, Found],
        said: dict[int, Said],
    ) -> None:
        """Read the payloads that are known by their first bytes."""
        block = packets.data.data
        begins = packets.payload_offset[which]
        ends = begins + np.minimum(packets.payload_length[which], MAX_BYTES)
        requests: list[tuple[int, bytes]] = []
        for packet, key, begin, end, reads in zip(
            which.tolist(), keys.tolist(), begins.tolist(), ends.tolist(), tcp.tolist(), strict=True
        ):
            payload = block[begin:end].tobytes()
            failed = attempts = indicators = 0
            kind = _KINDS[key] if reads else _PROBE
            if kind == _REQUEST:
                requests.append((packet, payload))
            elif kind == _ANSWER:
                failed = int(payload[8:12] == b" 401")
            elif kind == _SSH:
                indicators = SSH_BANNER * payload.startswith((b"SSH-2.0-", b"SSH-1."))
            elif kind == _LINE:
                failed, attempts = self._lines(payload)
            for probe, exact in _PROBES_BY_KEY.get(key, ()):
                if payload == probe or (not exact and payload.startswith(probe)):
                    indicators |= VERSION_PROBE
            found[packet] = _add(found.get(packet, _NOTHING), (failed, attempts, indicators))
        asked = self._requests.read([payload for _, payload in requests])
        for (packet, _), one in zip(requests, asked, strict=True):
            found[packet] = _add(found[packet], (0, one.attempts, one.indicators))
            if one.access_file:
                said[packet] = ACCESS_FILE_ASKED

    def _lines(self, payload: bytes) -> tuple[int, int]:
        """(refused logins, logins) in lines of FTP, SMTP and POP3."""
        text = b"\n" + payload.lower()
        failed = text.count(b"\n530 ") + text.count(b"\n535 ")
        if payload.startswith(b"-ERR"):
            failed += self._login_words.found(payload[:200])
        attempts = text.count(b"\npass ") + text.count(b"\npass\r")
        if b"\npass\n" in text:
            # Each line feed ends one and begins the next.
            attempts += text.replace(b"\n", b"\n\n").count(b"\npass\n")
        if b"\nauth " in text:
            attempts += _in_lines(self._auth, payload)
        return failed, attempts

    def _by_port(self, packets: Packets, packet: int) -> Found:
        """Protocols whose messages have no fixed first bytes."""
        payload = _payload(packets, packet)
        if packets.dst_port[packet] in _IMAP:
            return 0, _in_lines(self._imap_login, payload), 0
        if packets.dst_port[packet] in SERVICES:
            return 0, 0, self._services.look(payload, int(packets.dst_port[packet]))
        if packets.dst_port[packet] in _SHELLS:
            return 0, 0, TRUST_CHANGE * self._trust_change.found(payload)
        if packets.src_port[packet] in _IMAP:
            return _in_lines(self._imap_refusal, payload), 0, 0
        asks = payload[-10:].lower().removesuffix(b" ").endswith(b"password:")
        return self._telnet_refusal.found(payload), int(asks), 0


def _by_first_bytes(packets: Packets) -> tuple[Ints, NDArray[np.uint32]]:
    """Packets whose first bytes are known and that may say something, and those bytes."""
    some = np.flatnonzero(packets.payload_length >= 4)
    offsets = packets.payload_offset.take(some)
    starts = rows(packets.data, offsets, 4).view("<u4")[:, 0] | 0x20202020
    chosen = np.flatnonzero(_PAIRS.take(starts & 0xFFFF))
    places = np.searchsorted(_KEYS, starts[chosen])
    chosen = chosen[_KEYS.take(places, mode="clip") == starts[chosen]]
    # Most responses are not refusals: the status is compared for all at once.
    responses = starts[chosen] == _RESPONSE
    if responses.any():
        status = rows(packets.data, offsets[chosen] + 8, 4).view("<u4")[:, 0]
        refused = status == _REFUSED
        chosen = chosen[~responses | refused]
    begins = offsets[chosen]
    ends = begins + np.minimum(packets.payload_length[some[chosen]], MAX_BYTES)
    keys = starts[chosen]
    # Requests that hold nothing, and are too long for one of the exact probes, need no reading.
    tcp = packets.protocol[some[chosen]] == TCP
    requests = np.flatnonzero(tcp & _IS_REQUEST[np.searchsorted(_KEYS, keys)])
    plain = ~doubtful(packets.data, begins[requests], ends[requests])
    read = np.ones(len(chosen), np.bool_)
    read[requests[plain & (ends - begins > _LONGEST_EXACT)[requests]]] = False
    return some[chosen[read]], keys[read]


def _marks(found: dict[int, Found], said: dict[int, Said]) -> Marks:
    telling = sorted({packet for packet, result in found.items() if result != _NOTHING} | set(said))
    results = [found.get(packet, _NOTHING) for packet in telling]
    columns = np.array(results, np.int64).reshape(len(telling), 3)
    index = np.array(telling, np.int64)
    marks = Marks(index, columns[:, 0], columns[:, 1], columns[:, 2])
    if said:
        counts = np.zeros((len(telling), len(CONTENT_COLUMNS)), np.uint8)
        by_server = np.zeros(len(telling), np.bool_)
        for row, packet in enumerate(telling):
            if packet in said:
                counts[row], by_server[row] = said[packet][:2]
        marks = replace(marks, content=counts, by_server=by_server)
    return marks


def _add(one: Found, other: Found) -> Found:
    return one[0] + other[0], one[1] + other[1], one[2] | other[2]


def _in_lines(patterns: PatternSet, payload: bytes) -> int:
    """How many lines hold a pattern; the lines behind the first few count as one."""
    if b"\n" not in payload:
        return len(patterns.which(payload))
    return sum(len(patterns.which(line)) for line in payload.split(b"\n", MAX_LINES))


def _payload(packets: Packets, packet: int) -> bytes:
    start = int(packets.payload_offset[packet])
    length = min(int(packets.payload_length[packet]), MAX_BYTES)
    return packets.data[start : start + length].tobytes()
