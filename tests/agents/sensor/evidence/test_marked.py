"""Refused logins, forms and attack strings of real captures, through the whole sensor."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor.core import SensorCore
from agents.sensor.evidence.citation_shares import PER_PLACE
from agents.sensor.evidence.citations import Citation
from agents.sensor.evidence.marked import MAX_WAITING, MarkedPackets
from datasets.captures.pcap import read_capture
from tests.factories import make_packets

SAMPLES = Path(str(files("datasets").joinpath("samples")))


def cited(name: str, block_bytes: int = 4096) -> list[Citation]:
    core = SensorCore("s", evidence=MarkedPackets())
    found = []
    for raw in read_capture(SAMPLES / f"{name}.pcap.xz", block_bytes=block_bytes):
        core.on_packets(raw)
        found += core.take_citations()
    return found


@pytest.mark.parametrize(
    ("name", "said", "proven"),
    [
        ("ftp-guess", b"530 ", True),
        ("http-guess", b" 401", True),
        ("form-guess", b"POST", False),
        ("web-sql", b"GET", False),
    ],
)
def test_the_packet_is_the_one_that_says_it(name: str, said: bytes, proven: bool) -> None:
    found = cited(name)
    assert found
    assert any(said in citation.cited.data for citation in found)
    assert all(citation.signature == "" for citation in found)
    wanted = [c for c in found if said in c.cited.data]
    assert {c.proven for c in wanted} == {proven}
    for citation in wanted:
        # The guesser first, whoever spoke; and how the conversation began.
        assert citation.ends.one_port > citation.ends.other_port
        assert citation.packets > 1 and citation.cited.data in citation.capture


def test_what_nobody_asked_for_is_not_kept() -> None:
    core = SensorCore("s")
    for raw in read_capture(SAMPLES / "ftp-guess.pcap.xz"):
        core.on_packets(raw)
    assert core.take_citations() == []
    assert cited("benign-ssh") == []  # a banner is everybody's


def test_a_flood_of_refusals_is_cited_a_few_times_and_counted() -> None:
    core = SensorCore("s", evidence=MarkedPackets())
    made = 0
    for raw in read_capture(SAMPLES / "ftp-guess.pcap.xz", block_bytes=2048):
        core.on_packets(raw)
    made = len(core.take_citations())
    minutes = 1 + (core.last_us // 60_000_000 - raw.times_us[0] // 60_000_000)
    assert 0 < made <= min(MAX_WAITING, 20 * PER_PLACE * int(minutes))
    assert core.counters["evidence.held_back"] > 0


def test_what_the_sensor_tells_itself_cites_its_packet() -> None:
    """A session's cookie in somebody else's request."""
    cookie = b"sid=4f66ad9a0b2e4c7d9e81"
    said = (
        (
            "192.0.2.10",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: " + cookie + b"\r\n\r\nhello to all of you",
        ),
        ("192.0.2.10", b"GET /mine HTTP/1.1\r\nCookie: " + cookie + b"\r\n\r\n"),
        ("192.0.2.66", b"GET /his HTTP/1.1\r\nUser-Agent: x\r\nCookie: " + cookie + b"\r\n\r\n"),
    )
    frames = [
        bytes(
            Ether()
            / IP(src="198.51.100.18" if answer else who, dst=who if answer else "198.51.100.18")
            / TCP(sport=80 if answer else 4000, dport=4000 if answer else 80, flags="PA")
            / Raw(text)
        )
        for who, text in said
        for answer in [text.startswith(b"HTTP")]
    ]
    core = SensorCore("s", evidence=MarkedPackets())
    core.on_packets(make_packets(*frames))
    [alert] = core.take_alerts()
    [citation] = core.take_citations()
    assert alert.classification == "SessionHijacking"
    assert b"/his" in citation.cited.data
    assert citation.ends.addresses[0] == alert.source
