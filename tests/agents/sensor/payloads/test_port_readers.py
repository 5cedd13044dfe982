"""Which packets are read by their port, through the look-up of a whole block."""

from __future__ import annotations

import struct

import pytest

from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from agents.sensor.payloads import sip
from agents.sensor.payloads.payload import PayloadReader
from ontology.records import INDICATORS
from tests.factories import make_packets

NAMES = {1 << bit: name for bit, name in enumerate(INDICATORS)}
SMB_PROBE = b"\0\0\0\x50\xffSMB\x25" + bytes(56) + b"\x23\0\0\0"
SCAN = b"OPTIONS sip:100@h SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"


def frame(payload: bytes, sport: int, dport: int, *, udp: bool = False) -> bytes:
    head = struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, 24, 9, 0, 0)
    if udp:
        head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    size = 20 + len(head) + len(payload)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0, 64, 17 if udp else 6, 0, 1, 2)
    return bytes(12) + b"\x08\0" + ip + head + payload


def marked(payload: bytes, port: int, *, udp: bool = False) -> tuple[str, ...]:
    """Indicators of one packet to a port, among others that say nothing."""
    silent = frame(b"nothing here", 1, port)
    frames = (silent, frame(payload, 40000, port, udp=udp), silent)
    marks = PayloadReader().look_up(decode(make_packets(*frames)))
    assert marks.index.tolist() in ([], [1])
    bits = int(marks.indicators.sum())
    return tuple(name for bit, name in NAMES.items() if bits & bit)


@pytest.mark.parametrize(
    ("payload", "port", "udp", "expected"),
    [
        (SCAN, 5060, True, ("SipScanner",)),
        (SCAN, 5060, False, ("SipScanner",)),
        (SCAN, 5080, True, ("SipScanner",)),
        (SCAN, 5061, True, ()),
        (b"NOTIFY" + SCAN, 5060, True, ()),
        (b"\0\1\0\0\0\6\1\6\0\0\0\7", 502, False, ("ControllerWritten",)),
        (b"\0\1\0\0\0\6\1\6\0\0\0\7", 502, True, ()),
        (b"/bin/busybox ECCHI\r\n", 2323, False, ("BotProbe",)),
        (SMB_PROBE, 445, False, ("SmbHoleTried",)),
        (SMB_PROBE, 446, False, ()),
        (b"\3\0\0\x40\2\xf0\x80\x7f\x65MS_T120\0", 3389, False, ("RdpHoleTried",)),
        (b"\0\1\0\0\0\6\1\6\0\0\0\7", 503, False, ()),
    ],
)
def test_what_is_read_by_its_port(
    payload: bytes, port: int, udp: bool, expected: tuple[str, ...]
) -> None:
    assert marked(payload, port, udp=udp) == expected


def test_a_refusal_is_the_servers() -> None:
    refusal = b"SIP/2.0 403 Forbidden\r\nCSeq: 1 REGISTER\r\n\r\n"
    block = make_packets(frame(refusal, 5060, 40000, udp=True))
    assert PayloadReader().look_up(decode(block)).failed_logins.tolist() == [1]
    core = SensorCore("s")
    core.on_packets(block)
    (batch,) = core.take_batches(core.last_us, final=True)
    assert batch.connections["failed_logins"].tolist() == [0]  # nobody had asked


def test_datagrams_are_read_though_nobody_answered_and_segments_are_not() -> None:
    for udp, expected in ((True, 1), (False, 0)):
        core = SensorCore("s")
        core.on_packets(make_packets(frame(SCAN, 40000, sip.PORTS[0], udp=udp)))
        (batch,) = core.take_batches(core.last_us, final=True)
        assert (batch.connections["indicators"] > 0).sum() == expected
        assert core.counters["unanswered"] == 1 - expected
