"""Neighbour discovery as frames, through the decoder."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor import neighbour_watch
from agents.sensor.flows.decode import decode
from agents.sensor.neighbour_watch import (
    CERTAIN,
    CHANGED,
    FLOOD,
    REPEATS,
    SUSPICIOUS,
    NeighbourWatch,
)
from ontology.records import Alert
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="33:33:00:00:00:01")
ROUTER, OTHER, SECOND = "fe80::1", "fe80::66", 1_000_000
MAC, FOREIGN = "02:00:00:00:00:01", "02:00:00:00:00:66"


def router(source: str = ROUTER, mac: str = MAC, **said: Any) -> bytes:
    message = ICMPv6ND_RA(**({"prf": 0} | said)) / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    message /= ICMPv6NDOptPrefixInfo(prefix="2001:db8::")
    return bytes(LINK / IPv6(src=source, dst="ff02::1", hlim=255) / message)


def solicit(number: int, source: str = "fe80::9") -> bytes:
    asked = ICMPv6ND_NS(tgt=f"2001:db8::{number:x}")
    return bytes(LINK / IPv6(src=source, dst="ff02::1", hlim=255) / asked)


def watch(frames: list[bytes], *, pause: float = 0.001) -> list[Alert]:
    core = NeighbourWatch("sensor")
    times = [round(i * pause * SECOND) for i in range(len(frames))]
    return core.on_packets(decode(make_packets(*frames, times_us=times)))


def test_one_router_is_ordinary_and_a_second_told_low() -> None:
    assert watch([router()] * 50, pause=10.0) == []
    [alert, *_] = watch([router(), router(OTHER, FOREIGN)])
    assert (alert.classification, alert.confidence) == ("RogueRouter", CHANGED)
    assert str(alert.source) == OTHER and not alert.verified_source


def test_who_wants_to_be_preferred_and_repeats_itself_is_graver() -> None:
    high = watch([router(), router(OTHER, FOREIGN, prf=1)])
    assert high[-1].confidence == SUSPICIOUS
    both = watch([router(), *[router(OTHER, FOREIGN, prf=1)] * REPEATS], pause=5.0)
    assert both[-1].confidence == CERTAIN
    low = watch([router(), *[router(OTHER, FOREIGN)] * 3], pause=300.0)
    assert {a.confidence for a in low} == {CHANGED}


def test_an_impostor_names_the_router_as_its_victim() -> None:
    one = watch([router(), router(mac=FOREIGN)])
    assert (one[-1].source, str(one[-1].target)) == (None, ROUTER)
    assert one[-1].confidence == SUSPICIOUS and FOREIGN in one[-1].explanation
    ended = watch([router(), router(mac=FOREIGN, routerlifetime=0)])
    assert ended[-1].confidence == CERTAIN


def test_a_flood_of_neighbours_or_routers_accuses_nobody() -> None:
    [alert, *_] = watch([solicit(i) for i in range(FLOOD)])
    assert (alert.classification, alert.source, alert.target) == ("NeighbourFlood", None, None)
    found = watch([router(f"fe80::{i:x}") for i in range(2, 2 * FLOOD)])
    assert "NeighbourFlood" in {a.classification for a in found}


def test_a_busy_segment_is_none() -> None:
    """Three hundred hosts look for each other all the time; a router asks for them again."""
    assert watch([solicit(i % 300, f"fe80::{i % 200 + 1:x}") for i in range(6000)]) == []
    assert watch([solicit(i) for i in range(2000)], pause=0.1) == []


def test_routers_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_watch, "MAX_ROUTERS", 10)
    core = NeighbourWatch("sensor")
    core.on_packets(decode(make_packets(*[router(f"fe80::{i:x}") for i in range(1, 31)])))
    assert core.evicted == 20


@settings(max_examples=100, deadline=None)
@given(st.integers(133, 137), st.binary(max_size=80))
def test_no_bytes_make_it_fail(kind: int, data: bytes) -> None:
    body = Raw(bytes((kind, 0)) + data)
    frame = bytes(LINK / IPv6(src=OTHER, dst="ff02::1", nh=58) / body)
    NeighbourWatch("sensor").on_packets(decode(make_packets(frame, router(), frame)))
