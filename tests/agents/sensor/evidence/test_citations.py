"""What is cut out of a conversation, and that it stays within its bounds."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.evidence.citations import (
    MAX_FRAME,
    MAX_PACKETS,
    Ends,
    Frame,
    address_of,
    cite,
    from_frame,
    is_about,
    to_frame,
)
from datasets.captures.pcap import read_capture
from ontology.packet_evidence import MAX_CAPTURE
from ontology.records import Alert

CLIENT, SERVER = b"\0" * 10 + b"\xff\xff\xc0\0\2\7", b"\0" * 10 + b"\xff\xff\xc6\x33\x64\5"
ENDS = Ends(6, CLIENT, 40000, SERVER, 80)
frames = st.builds(
    Frame,
    data=st.binary(max_size=80) | st.integers(0, MAX_FRAME).map(bytes),
    time_us=st.integers(0, 2**32 * 1_000_000 - 1),
    wire_length=st.integers(0, 1 << 40),
)


def frame(number: int, size: int = 60) -> Frame:
    return Frame(data=bytes([number]) * size, time_us=number, wire_length=size)


@given(frames, st.lists(frames, max_size=100))
def test_a_capture_is_bounded_and_holds_the_cited_packet(cited: Frame, others: list[Frame]) -> None:
    made = cite(ENDS, cited, sorted(others, key=lambda f: f.time_us), link_type=1)
    assert len(made.capture) <= MAX_CAPTURE and 1 <= made.number <= made.packets <= MAX_PACKETS
    assert made.packets + made.omitted - len(others) in (0, 1)
    assert from_frame(*to_frame(made)) == made


def test_the_file_is_a_pcap_with_the_cited_packet_at_its_number(tmp_path: Path) -> None:
    cited = replace(frame(90), wire_length=9000)
    made = cite(ENDS, cited, [frame(n) if n != 90 else cited for n in range(200)], link_type=101)
    path = tmp_path / "one.pcap"
    path.write_bytes(made.capture)
    (raw,) = read_capture(path)
    assert (raw.link_type, len(raw)) == (101, made.packets)
    assert raw.frame(made.number - 1) == cited.data
    assert raw.wire_lengths[made.number - 1] == 9000
    # How it began, and what is nearest.
    assert raw.times_us[:4].tolist() == [0, 1, 2, 3]
    assert raw.times_us[-1] - 90 in (29, 30)
    assert made.omitted == 200 - MAX_PACKETS


def alert(**changes: object) -> Alert:
    made = Alert(
        id="urn:uuid:1",
        classification="WebAttack",
        source=ip_address("192.0.2.7"),
        target=ip_address("198.51.100.5"),
        target_port=80,
        protocol=6,
        begin_us=0,
        end_us=1,
        confidence=0.5,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({}, True),
        ({"target_port": None}, True),
        ({"target_port": 81}, False),
        ({"protocol": 17}, False),
        ({"source": ip_address("192.0.2.8")}, False),
        ({"target": ip_address("192.0.2.8")}, False),
        ({"source": None, "sources": (ip_address("192.0.2.7"),)}, True),
        ({"source": None, "sources": (ip_address("192.0.2.9"),)}, False),
        ({"source": ip_address("198.51.100.5"), "target": ip_address("192.0.2.7")}, False),
    ],
)
def test_an_alert_speaks_of_a_conversation(changes: dict[str, object], about: bool) -> None:
    assert is_about(ENDS, alert(**changes)) is about
    assert is_about(ENDS.turned(), alert(**changes)) is about


def test_addresses_of_both_families() -> None:
    assert address_of(CLIENT) == ip_address("192.0.2.7")
    assert address_of(ip_address("2001:db8::1").packed) == ip_address("2001:db8::1")
