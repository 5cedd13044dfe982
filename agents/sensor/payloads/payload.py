"""Look-up in payloads: logins and refusals in cleartext, attack strings, scanner probes.

Two steps, because a look at every payload would cost more than all the rest of the sensor: the
first bytes and the ports of a whole block are compared at once, and only the packets left are
read one by one. Payloads are hostile: at most `MAX_BYTES` of one are read, patterns have bounded
repeats only. Of the line protocols `agents.sensor.payloads.content` puts cut lines together; other
strings that segmentation cuts are not found, and TLS hides everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote_to_bytes

import numpy as np

from agents.sensor.flows.marks import CONTENT_COLUMNS, Marks
from agents.sensor.flows.packets import TCP, Packets
from agents.sensor.payloads.content import ContentReader, Said, http_request
from agents.sensor.payloads.http_requests import doubtful
from agents.sensor.payloads.login_refusals import refusals
from datasets.captures.pcap import rows
from ontology.records import INDICATORS

MAX_BYTES = 2048
"""Read of one payload."""

SQL_INJECTION, XSS, TRAVERSAL, COMMAND, SSH_BANNER, VERSION_PROBE, TRUST_CHANGE, FORM_LOGIN = (
    1 << INDICATORS.index(name)
    for name in (
        "SqlInjection",
        "CrossSiteScripting",
        "PathTraversal",
        "CommandInjection",
        "SshBanner",
        "VersionProbe",
        "TrustChange",
        "FormLogin",
    )
)

Found = tuple[int, int, int]
"""(failed logins, login attempts, indicators)."""
_NOTHING: Found = (0, 0, 0)

_IMAP, _TELNET = (143,), (23, 2323)
_SHELLS = (512, 513, 514)
"""rexec, rlogin, rsh."""
_FROM_PORT, _TO_PORT = np.zeros((2, 1 << 16), np.bool_)
_FROM_PORT[[*_IMAP, *_TELNET]] = True
_TO_PORT[[*_IMAP, *_SHELLS]] = True

# The patterns see decoded lower case, with NUL for "&" between parameters: no \s matches it.
_SQL = re.compile(
    rb"\bunion\b[\s(]{1,20}(?:all\b|distinct\b)?[\s(]{0,20}select\b"
    rb"|['\")]\s{0,9}(?:or\b|and\b|\|\||&&)\s{0,9}\(?['\"]?\w{1,30}['\"]?\s{0,9}(?:=|<|>|\blike\b)"
    rb"|[=\s(](?:or|and)\s{1,9}(\d{1,9})\s{0,9}=\s{0,9}\1\b"
    rb"|['\"]\s{0,9}(?:;|\))?\s{0,9}(?:--(?:[\s+-]|$|\x00)|#|/\*)"
    rb"|;\s{0,9}(?:drop|insert|update|delete|alter|create|exec|declare|truncate)\s{1,9}\w"
    rb"|\b(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|load_file|xp_cmdshell|dbms_\w{1,20})\s{0,9}\("
    rb"|\bwaitfor\s{1,9}delay\b|\binformation_schema\b|\binto\s{1,9}(?:out|dump)file\b"
)
_XSS = re.compile(
    rb"<\s{0,9}/?script\b|\bjavascript\s{0,9}:\s{0,9}\w|<\s{0,9}(?:iframe|embed|object|applet)\b"
    rb"|<\s{0,9}+\w{1,20}+[^<>\x00]{0,200}[\s/'\"]on[a-z]{3,20}\s{0,9}="
    rb"|['\"]\s{0,9}on(?:error|load|click|focus|mouse\w{2,6}|toggle)\s{0,9}="
    rb"|\bdocument\s{0,9}\.\s{0,9}(?:cookie|write|location)\b"
)
_TRAVERSAL = re.compile(
    rb"(?:\.\.[/\\]){2}|\.\.[/\\]{1,4}(?:etc|windows|winnt|boot\.ini|proc|var|web-inf)\b"
    rb"|/etc/(?:passwd|shadow|group|hosts)\b|\bwin\.ini\b|\bboot\.ini\b|/proc/self/"
    rb"|(?:\.\.(?:\xc0\xaf|\xc1\x9c|%c0%af|%c1%9c)){1}|\.\.\.\.//|\bphp://(?:filter|input)\b|\bfile:///"
)
_COMMANDS = (
    rb"(?:cat|ls|id|whoami|uname|wget|curl|nc|ncat|bash|sh|ping|nslookup|cmd|powershell|rm|echo|"
    rb"python\d?|perl|chmod|ifconfig|netstat|dir|type|sleep|touch)"
)
_COMMAND = re.compile(
    rb"(?:[;|`&\n]|\$\()\s{0,9}(?:/(?:usr/)?s?bin/)?" + _COMMANDS + rb"(?=[\s/;|&)`'\"<>$]|$)"
    rb"|/winnt/system32/|\bcmd\.exe\?|/system32/cmd\.exe|\$\{jndi:|\bexpect://"
    rb"|(?:^|[=?\s])/bin/(?:ba|da|z|k|c)?sh\b"
)
_SUSPICIOUS = re.compile(rb"[%'\"<>;|`$\\(+:]|\.\.|/\*|/etc/|system32|/bin/|/proc/", re.I)
_HEADER_ATTACK = re.compile(rb"\(\)\s{0,5}\{|\$\{jndi:|<script\b", re.I)
# Names of headers and of schemes have no case (RFC 9110, sections 5.1 and 11.1).
_BASIC_LOGIN = re.compile(rb"authorization:[ \t]{0,9}basic ", re.I)
_FORM_LOGIN = re.compile(rb"(?:^|&)(?:user_?)?(?:pass|passw(?:or)?d|pwd)=[^&]", re.I)
_FTP_REFUSAL = re.compile(rb"^530 ", re.MULTILINE)
_SMTP_REFUSAL = re.compile(rb"^535 ", re.MULTILINE)
_PASSWORD = re.compile(rb"^PASS[ \r\n]", re.MULTILINE | re.IGNORECASE)
_AUTH = re.compile(rb"^AUTH {1,9}(?:PLAIN|LOGIN|CRAM-MD5|DIGEST-MD5|XOAUTH2|NTLM)\b", re.I | re.M)
_LOGIN_WORDS = re.compile(rb"pass|auth|login|logon|credential|denied|invalid|incorrect", re.I)
_IMAP_LOGIN = re.compile(rb"^[^\s]{1,32} (?:LOGIN|AUTHENTICATE) ", re.I | re.M)
_IMAP_REFUSAL = re.compile(
    rb"^[^\s]{1,32} NO [^\r\n]{0,200}?(?:auth|login|credential|password)", re.I | re.M
)
_TELNET_REFUSAL = re.compile(
    rb"login incorrect|login failed|authentication failed|(?:bad|incorrect|invalid) password"
    rb"|access denied|invalid login",
    re.I,
)
# Everybody from everywhere is let in from then on (hosts.equiv(5)).
_TRUST_CHANGE = re.compile(
    rb"\+ {0,4}\+?['\"]? {0,9}>{1,2} {0,9}[^\s;]{0,200}(?:\.rhosts|hosts\.equiv)"
)
_TELNET_PROMPT = re.compile(rb"password: ?\Z", re.I)

_METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"PROP", b"TRAC")

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


def _line_look_up(payload: bytes) -> Found:
    """FTP, SMTP and POP3 lines."""
    failed = len(_FTP_REFUSAL.findall(payload)) + len(_SMTP_REFUSAL.findall(payload))
    if payload.startswith(b"-ERR"):
        failed += bool(_LOGIN_WORDS.search(payload, 0, 200))
    return failed, len(_PASSWORD.findall(payload)) + len(_AUTH.findall(payload)), 0


def _http_response(payload: bytes) -> Found:
    return int(payload[8:12] == b" 401"), 0, 0


def _http_request(payload: bytes) -> Found:
    attempts = int(_BASIC_LOGIN.search(payload) is not None)
    head, _, body = payload.partition(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    indicators = 0
    if _SUSPICIOUS.search(line):
        indicators |= _attacks(line[line.find(b" ") + 1 :])
    if line.startswith(b"POST ") and _FORM_LOGIN.search(body):
        attempts += 1
        indicators |= FORM_LOGIN
    if body and _SUSPICIOUS.search(body):
        indicators |= _attacks(body)
    found = _HEADER_ATTACK.search(headers)
    if found:
        indicators |= XSS if found[0][:1] == b"<" else COMMAND
    return 0, attempts, indicators


def _decoded(payload: bytes) -> bytes:
    """A request's target and form, decoded once."""
    return unquote_to_bytes(payload.replace(b"+", b" "))


def _attacks(text: bytes) -> int:
    """Indicators in a request target or a form, decoded once and twice."""
    indicators = 0
    text = text.replace(b"&", b"\0")
    for _ in range(2):
        decoded = unquote_to_bytes(text.replace(b"+", b" "))
        plain = re.sub(rb"/\*.{0,64}?\*/", b" ", decoded.lower())
        indicators |= SQL_INJECTION * bool(_SQL.search(plain))
        indicators |= XSS * bool(_XSS.search(plain))
        indicators |= TRAVERSAL * bool(_TRAVERSAL.search(plain))
        indicators |= COMMAND * bool(_COMMAND.search(plain))
        if decoded == text or b"%" not in decoded:
            break
        text = decoded
    return indicators


def _nothing(_: bytes) -> Found:
    return _NOTHING


def _ssh(payload: bytes) -> Found:
    return 0, 0, SSH_BANNER * payload.startswith((b"SSH-2.0-", b"SSH-1."))


def _key(first: bytes) -> int:
    """The first four bytes as the block look-up sees them: letters in lower case."""
    return int.from_bytes(first[:4], "little") | 0x20202020


_READERS: dict[int, Callable[[bytes], Found]] = {
    **{_key(probe): _nothing for probe, _ in _PROBES},
    **{_key(method): _http_request for method in _METHODS},
    _key(b"HTTP"): _http_response,
    _key(b"SSH-"): _ssh,
    **{
        _key(word): _line_look_up for word in (b"530 ", b"530-", b"535 ", b"-ERR", b"PASS", b"AUTH")
    },
}
_KEYS = np.array(sorted(_READERS), np.uint32)
_IS_REQUEST = np.array([_READERS[int(key)] is _http_request for key in _KEYS])
_PAIRS = np.zeros(1 << 16, np.bool_)
_PAIRS[_KEYS & 0xFFFF] = True
_RESPONSE = np.uint32(_key(b"HTTP"))
_REFUSED = np.uint32(int.from_bytes(b" 401", "little"))
_PROBES_BY_KEY: dict[int, tuple[tuple[bytes, bool], ...]] = {
    key: tuple(entry for entry in _PROBES if _key(entry[0]) == key)
    for key in {_key(probe) for probe, _ in _PROBES}
}
_LONGEST_EXACT = max(len(probe) for probe, exact in _PROBES if exact)


def look_up(packets: Packets, content: ContentReader | None = None) -> Marks:
    """What the payloads of a block say; see `Marks`. ``content`` knows the blocks before."""
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
    found: dict[int, Found] = {}
    said: dict[int, Said] = content.read(packets) if content is not None else {}
    for packet, (_, _, failed, attempts) in said.items():
        found[packet] = (failed, attempts, 0)  # of lines that began in an earlier packet
    block = packets.data.data
    begins = offsets[chosen]
    ends = begins + np.minimum(packets.payload_length[some[chosen]], MAX_BYTES)
    keys = starts[chosen]
    # Requests that hold nothing, and are too long for one of the exact probes, need no reading.
    requests = np.flatnonzero(_IS_REQUEST[np.searchsorted(_KEYS, keys)])
    plain = ~doubtful(packets.data, begins[requests], ends[requests])
    read = np.ones(len(chosen), np.bool_)
    read[requests[plain & (ends - begins > _LONGEST_EXACT)[requests]]] = False
    for packet, key, begin, end in zip(
        some[chosen[read]].tolist(),
        keys[read].tolist(),
        begins[read].tolist(),
        ends[read].tolist(),
        strict=True,
    ):
        reader = _READERS[key]
        payload = block[begin:end].tobytes()
        failed, attempts, indicators = reader(payload)
        for probe, exact in _PROBES_BY_KEY.get(key, ()):
            if payload == probe or (not exact and payload.startswith(probe)):
                indicators |= VERSION_PROBE
        if reader is _http_request:
            asked = http_request(_decoded(payload))
            if asked is not None:
                said[packet] = (asked, False, 0, 0)
        found[packet] = _add(found.get(packet, _NOTHING), (failed, attempts, indicators))
    by_port = _FROM_PORT.take(packets.src_port) | _TO_PORT.take(packets.dst_port)
    if by_port.any():
        by_port &= (packets.payload_length >= 4) & (packets.protocol == TCP)
    for packet in np.flatnonzero(by_port).tolist():
        found[packet] = _add(found.get(packet, _NOTHING), _by_port(packets, packet))
    for packet in refusals(packets).tolist():
        found[packet] = _add(found.get(packet, _NOTHING), (1, 0, 0))
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


def _payload(packets: Packets, packet: int) -> bytes:
    start = int(packets.payload_offset[packet])
    length = min(int(packets.payload_length[packet]), MAX_BYTES)
    return packets.data[start : start + length].tobytes()


def _by_port(packets: Packets, packet: int) -> Found:
    """Protocols whose messages have no fixed first bytes."""
    payload = _payload(packets, packet)
    if packets.dst_port[packet] in _IMAP:
        return 0, len(_IMAP_LOGIN.findall(payload)), 0
    if packets.dst_port[packet] in _SHELLS:
        return 0, 0, TRUST_CHANGE * bool(_TRUST_CHANGE.search(payload))
    if packets.src_port[packet] in _IMAP:
        return len(_IMAP_REFUSAL.findall(payload)), 0, 0
    refused = bool(_TELNET_REFUSAL.search(payload))
    return int(refused), int(bool(_TELNET_PROMPT.search(payload))), 0
