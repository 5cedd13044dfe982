"""Questions as frames, through the decoder."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor import dns_watch
from agents.sensor.dns_watch import LONG, NAMES, DnsWatch
from agents.sensor.flows.decode import decode
from ontology.records import Alert
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
CLIENT, RESOLVER, SECOND = "192.0.2.66", "192.0.2.53", 1_000_000


def question(name: str, client: str = CLIENT, flags: int = 0x0100) -> bytes:
    head = b"\x12\x34" + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0"
    body = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    data = head + body + b"\0\0\x10\0\1"
    return bytes(LINK / IP(src=client, dst=RESOLVER) / UDP(sport=4000, dport=53) / Raw(data))


def watch(names: list[str], *, pause: float = 0.1, **more: int) -> list[Alert]:
    core = DnsWatch("sensor")
    frames = [question(name, **more) for name in names]  # type: ignore[arg-type]
    times = [round(i * pause * SECOND) for i in range(len(frames))]
    return core.on_packets(decode(make_packets(*frames, times_us=times)))


def encoded(count: int, domain: str = "t.example.org", length: int = 40) -> list[str]:
    dice = random.Random(1)
    return [
        "".join(dice.choices("abcdefghijklmnopqrstuvwxyz234567", k=length)) + f".x{i}.{domain}"
        for i in range(count)
    ]


def test_many_long_names_under_one_domain_are_a_tunnel() -> None:
    [alert] = watch(encoded(NAMES))
    assert (alert.classification, str(alert.source)) == ("Tunnelling", CLIENT)
    assert (str(alert.target), alert.target_port) == (RESOLVER, 53)
    assert not alert.verified_source and "'example.org'" in alert.explanation
    assert watch(encoded(NAMES - 1)) == []


def test_short_names_and_the_same_again_are_none() -> None:
    """A mail server asks a block list about each client, a content network has long names."""
    assert watch([f"{i}.2.0.192.zen.example.org" for i in range(255)]) == []
    assert watch(encoded(NAMES - 1) * 20) == []
    short = LONG - len(".x99.t.example.org") - 1
    assert watch([n.lower() for n in encoded(99, length=short)]) == []


def test_reverse_look_ups_of_ipv6_are_none() -> None:
    nibbles = ".".join("0123456789abcdef" * 2)
    names = [f"{i % 10}.{i // 10}.{nibbles[4:]}.ip6.arpa" for i in range(100)]
    assert len(names[0]) > LONG and watch(names) == []


def test_domains_of_a_countrys_registry_are_apart() -> None:
    """Each of a hundred shops has one long name."""
    names = [f"{'a' * 50}.shop{i}.co.uk" for i in range(100)]
    assert watch(names) == []
    assert watch(encoded(NAMES, "example.co.uk"))


def test_a_slow_client_and_answers_are_none() -> None:
    assert watch(encoded(NAMES), pause=20.0) == []
    assert watch(encoded(NAMES), flags=0x8180) == []


def test_it_is_told_again_when_it_has_doubled() -> None:
    assert [a.count for a in watch(encoded(100))] == [20, 40, 80]
    assert len({a.id for a in watch(encoded(100))}) == 1


def test_a_flood_of_domains_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_watch, "MAX_DOMAINS", 10)
    core = DnsWatch("sensor")
    frames = [question(f"{'a' * 60}.d{i}.org") for i in range(30)]
    core.on_packets(decode(make_packets(*frames, times_us=[0] * 30)))
    assert core.evicted == 20
    monkeypatch.setattr(dns_watch, "BLOCK_NAMES", 5)
    core.on_packets(decode(make_packets(*frames, times_us=[0] * 30)))
    assert core.evicted == 20 + 25 + 5


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=60, max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    frame = bytes(LINK / IP(src=CLIENT, dst=RESOLVER) / UDP(dport=53) / Raw(b"\0\0\1\0\0\1" + data))
    DnsWatch("sensor").on_packets(decode(make_packets(*[frame] * 3, times_us=[0, 1, 2])))
