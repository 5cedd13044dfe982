"""Requests for leases as frames, through the decoder."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor import dhcp_watch
from agents.sensor.dhcp_watch import CLIENTS, DhcpWatch
from agents.sensor.flows.decode import decode
from ontology.records import Alert
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
NOBODY = "0.0.0.0"  # noqa: S104
SERVER, SECOND = "192.0.2.1", 1_000_000


def ask(number: int, kind: str = "discover", relay: str = NOBODY) -> bytes:
    hardware = b"\2\0\0" + number.to_bytes(3, "big")
    ends = LINK / IP(src=NOBODY, dst="255.255.255.255") / UDP(sport=68, dport=67)
    told = DHCP(options=[("message-type", kind), "end"])
    return bytes(ends / BOOTP(op=1, chaddr=hardware, giaddr=relay) / told)


def offer() -> bytes:
    ends = LINK / IP(src=SERVER, dst="255.255.255.255") / UDP(sport=67, dport=68)
    return bytes(ends / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"]))


def watch(frames: list[bytes], *, pause: float = 0.01, block: int = 1000) -> list[Alert]:
    core, found = DhcpWatch("sensor"), []
    for begin in range(0, len(frames), block):
        times = [round((begin + i) * pause * SECOND) for i in range(len(frames[begin:][:block]))]
        found += core.on_packets(decode(make_packets(*frames[begin:][:block], times_us=times)))
    return found


@pytest.mark.parametrize("block", [1000, 1])
def test_many_hardware_addresses_in_a_minute_starve_the_server(block: int) -> None:
    alert = watch([offer(), *(ask(i) for i in range(CLIENTS))], block=block)[-1]
    assert (alert.classification, alert.source) == ("DhcpStarvation", None)
    assert (str(alert.target), alert.source_count, alert.verified_source) == (
        SERVER,
        CLIENTS,
        False,
    )
    assert watch([ask(i) for i in range(CLIENTS - 1)], block=block) == []


def test_the_same_clients_again_a_slow_day_and_renewals_are_none() -> None:
    assert watch([ask(i % 50) for i in range(1000)]) == []
    assert watch([ask(i) for i in range(300)], pause=1.0, block=1) == []
    assert watch([ask(i, "release") for i in range(300)]) == []


def test_segments_behind_relays_are_apart() -> None:
    frames = [ask(i, relay=f"10.0.{i % 8}.1") for i in range(8 * (CLIENTS - 1))]
    assert watch(frames) == []


def test_relays_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dhcp_watch, "MAX_RELAYS", 10)
    core = DhcpWatch("sensor")
    frames = [ask(i, relay=f"10.0.{i}.1") for i in range(30)]
    core.on_packets(decode(make_packets(*frames)))
    assert core.evicted == 20


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    frame = bytes(LINK / IP(src=NOBODY, dst=SERVER) / UDP(sport=68, dport=67) / Raw(data))
    DhcpWatch("sensor").on_packets(decode(make_packets(frame, ask(1) + data)))
