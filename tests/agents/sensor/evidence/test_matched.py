"""Matches of rules in real captures, and floods of forged ones."""

from __future__ import annotations

import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.evidence.citation_shares import UNPROVEN
from agents.sensor.evidence.citations import Citation
from agents.sensor.evidence.matched import HELD_BYTES, HELD_PER_SOURCE, MatchedPackets
from agents.sensor.flows.decode import decode
from agents.sensor.signatures.alerts import SignatureAlerts
from datasets.captures.pcap import RawPackets, read_capture
from rules.signatures.parse import read_rule

SAMPLE = Path(str(files("datasets").joinpath("samples"))) / "web-traversal.pcap.xz"
RULE = (
    'alert tcp any any -> any $HTTP_PORTS (msg:"own"; flow:to_server,established; '
    'uricontent:"../"; classtype:web-application-attack; sid:1000001; rev:3;)'
)
ANSWER = (
    'alert tcp $HTTP_SERVERS $HTTP_PORTS -> any any (msg:"own answer"; flow:to_client,established; '
    'content:"HTTP/1."; depth:7; classtype:successful-admin; sid:1000002;)'
)


def cited(rule: str, block_bytes: int = 4096) -> list[Citation]:
    evidence = MatchedPackets()
    alerts = SignatureAlerts([read_rule(rule)], sensor="s", evidence=evidence)
    for raw in read_capture(SAMPLE, block_bytes=block_bytes):
        alerts.on_packets(raw)
    assert alerts.finish()
    assert evidence._bytes.total() == 0 and not evidence._sources  # nothing waits any more
    return evidence.take()


@pytest.mark.parametrize("block_bytes", [4096, 1 << 22])
def test_an_alert_cites_the_packet_that_matched(block_bytes: int) -> None:
    (citation,) = cited(RULE, block_bytes)
    assert b"../" in citation.cited.data
    assert citation.signature == "urn:ontoidps:signature:1:1000001" and citation.proven
    assert [str(a) for a in citation.ends.addresses] == ["192.0.2.66", "192.0.2.80"]
    assert citation.ends.other_port == 80
    # Handshake, request, answer.
    assert citation.number > 3 and citation.packets > citation.number
    assert b"HTTP/1." in citation.capture


def test_the_attacker_comes_first_also_where_the_server_was_matched() -> None:
    citations = cited(ANSWER)
    assert citations
    assert {str(c.ends.addresses[0]) for c in citations} == {"192.0.2.66"}


def test_without_evidence_nothing_is_kept() -> None:
    alerts = SignatureAlerts([read_rule(RULE)], sensor="s")
    for raw in read_capture(SAMPLE):
        alerts.on_packets(raw)
    assert alerts.finish() and alerts.evidence is None


def forged(count: int, size: int) -> RawPackets:
    """Requests of as many addresses, in no connection."""
    parts = []
    for number in range(count):
        tcp = struct.pack(">HHIIBBHHH", 40000, 80, 1, 1, 0x50, 24, 9, 0, 0)
        ends = struct.pack(">II", 0x0A000000 + number, 0xC0000250)
        head = struct.pack(">BBHHHBBH", 0x45, 0, 44 + size, 0, 0, 64, 6, 0)
        parts.append(bytes(12) + b"\x08\0" + head + ends + tcp + b"/../" + bytes(size))
    lengths = np.array([len(part) for part in parts], np.int64)
    data = np.frombuffer(b"".join(parts) + bytes(64), np.uint8)
    times = np.arange(count, dtype=np.int64)
    return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, 1)


def test_forged_matches_leave_room_for_real_ones_and_are_counted() -> None:
    evidence = MatchedPackets()
    raw = forged(4_000, 1_400)
    packets = decode(raw)
    evidence.add(raw)
    held = [evidence.hold(raw, packets, n, answers=False, real=False) for n in range(len(raw))]
    waiting = [one for one in held if one is not None]
    assert sum(len(one.frame.data) for one in waiting) <= HELD_BYTES
    assert evidence.counters["unheld"] == held.count(None) > 0
    assert evidence.hold(raw, packets, 0, answers=False, real=True) is not None
    for one in waiting:
        evidence.cite(one, "urn:x", proven=False)
    assert len(evidence.take()) == UNPROVEN
    assert evidence.counters["held_back"] > 0


def test_one_source_holds_no_more_than_its_share() -> None:
    evidence = MatchedPackets()
    raw = forged(2, 10)
    packets = decode(raw)
    held = [evidence.hold(raw, packets, 0, answers=False, real=True) for _ in range(100)]
    assert sum(one is not None for one in held) == HELD_PER_SOURCE
    assert evidence.hold(raw, packets, 1, answers=False, real=True) is not None
