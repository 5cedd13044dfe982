"""ARP claims as frames, through the decoder."""

from __future__ import annotations

from ipaddress import IPv4Address

import numpy as np
import pytest

from agents.sensor import arp_watch
from agents.sensor.arp_watch import CERTAIN, CHANGED, SUSPICIOUS, ArpWatch
from agents.sensor.flows.packets import ARP, Packets
from ontology.records import Alert

GATEWAY, VICTIM, ATTACKER = "192.0.2.1", "192.0.2.10", "192.0.2.66"
MAC = {GATEWAY: "020000000001", VICTIM: "020000000010", ATTACKER: "020000000066"}
OTHER = "0200000000aa"
Claim = tuple[float, int, str, str, str]
"""Seconds, operation (1 request, 2 reply), sender's hardware and IP address, target's IP."""


def packets(claims: list[Claim]) -> Packets:
    body = b"".join(
        b"\0\1\x08\0\6\4" + operation.to_bytes(2, "big") + bytes.fromhex(mac)
        + IPv4Address(sender).packed + bytes(6) + IPv4Address(target).packed
        for _, operation, mac, sender, target in claims
    )  # fmt: skip
    n = len(claims)
    zeros = np.zeros(n, np.int64)
    return Packets(
        time_us=np.array([1_700_000_000_000_000 + round(c[0] * 1e6) for c in claims], np.int64),
        src=np.zeros((n, 16), np.uint8),
        dst=np.zeros((n, 16), np.uint8),
        src_port=zeros.astype(np.uint16),
        dst_port=zeros.astype(np.uint16),
        protocol=np.full(n, ARP, np.uint8),
        ip_version=np.full(n, 4, np.uint8),
        flags=np.zeros(n, np.uint8),
        payload_bytes=zeros,
        payload_offset=np.arange(1, n + 1) * 28,
        payload_length=zeros,
        fragment=np.zeros(n, np.bool_),
        wrong_fragment=np.zeros(n, np.bool_),
        urgent=np.zeros(n, np.bool_),
        index=np.arange(n),
        data=np.frombuffer(body + bytes(64), np.uint8),
        total=n,
        other=0,
    )


def watch(claims: list[Claim], *, whole: bool = False) -> list[Alert]:
    """The last report of every alert."""
    core = ArpWatch("sensor")
    parts = [claims] if whole else [[claim] for claim in claims]
    last = {alert.id: alert for part in parts for alert in core.on_packets(packets(part))}
    return list(last.values())


def talk() -> list[Claim]:
    return [(i, 1, MAC[host], host, GATEWAY) for i, host in enumerate(MAC)]


def spoof(claimed: str, told: str, count: int, begin: float = 10.0) -> list[Claim]:
    return [(begin + 2 * i, 2, MAC[ATTACKER], claimed, told) for i in range(count)]


def test_a_claim_that_never_changes_is_none() -> None:
    assert watch(talk() * 50) == []


def test_one_change_is_told_low() -> None:
    """A lease that went to another host, which announces it twice (RFC 5227)."""
    news: list[Claim] = [(1000 + i, 1, OTHER, VICTIM, VICTIM) for i in range(2)]
    [alert] = watch(talk() + news)
    assert (alert.classification, alert.confidence) == ("ArpSpoofing", CHANGED)
    assert (alert.source, str(alert.target)) == (None, VICTIM)
    assert "02:00:00:00:00:aa" in alert.explanation


def test_impersonating_the_gateway_grows_with_each_claim() -> None:
    [alert] = watch(talk() + spoof(GATEWAY, VICTIM, 10))
    assert alert.confidence == SUSPICIOUS
    assert (str(alert.source), str(alert.target)) == (ATTACKER, GATEWAY)
    assert not alert.verified_source


@pytest.mark.parametrize("whole", [False, True])
def test_standing_between_two_hosts_is_certain(whole: bool) -> None:
    both = sorted(spoof(GATEWAY, VICTIM, 10) + spoof(VICTIM, GATEWAY, 10, 10.1))
    alerts = watch(talk() + both, whole=whole)
    assert {str(alert.target) for alert in alerts} == {GATEWAY, VICTIM}
    assert all(str(alert.source) == ATTACKER for alert in alerts)
    if not whole:
        assert max(alert.confidence for alert in alerts) == CERTAIN


def test_the_owner_who_still_claims_it_tells_two_hosts_from_one() -> None:
    owner: list[Claim] = [(12.5, 2, MAC[GATEWAY], GATEWAY, VICTIM)]
    [alert] = watch(talk() + sorted(spoof(GATEWAY, VICTIM, 2) + owner))
    assert alert.confidence == SUSPICIOUS
    assert "the owner still claims it" in alert.explanation


def test_virtual_routers_probes_and_nonsense_are_none() -> None:
    claims = [
        *talk(),
        (20, 1, "00005e000107", GATEWAY, GATEWAY),
        (21, 1, OTHER, "0.0.0.0", VICTIM),  # noqa: S104
        (22, 2, "ffffffffffff", VICTIM, GATEWAY),
        (23, 2, "000000000000", VICTIM, GATEWAY),
    ]
    assert watch(claims) == []


def test_who_stays_alone_owns_the_address() -> None:
    news: list[Claim] = [(1000.0 + 100 * i, 1, OTHER, VICTIM, GATEWAY) for i in range(12)]
    core = ArpWatch("sensor")
    for claim in talk() + news:
        core.on_packets(packets([claim]))
    assert core.on_packets(packets([(2200.0, 1, OTHER, VICTIM, GATEWAY)])) == []


def test_a_flood_of_made_up_claims_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arp_watch, "MAX_ADDRESSES", 100)
    core = ArpWatch("sensor")
    claims: list[Claim] = [
        (i / 1000, 2, f"02{i:010x}", str(IPv4Address(0x0A000000 + i)), VICTIM) for i in range(2000)
    ]
    core.on_packets(packets(claims))
    assert core.evicted == 1900
    assert len(core._owned) == 100


def test_a_flood_of_conflicts_is_told_a_few_times_a_minute() -> None:
    claims: list[Claim] = [
        (i / 1000, 2, mac, str(IPv4Address(0x0A000000 + i % 1000)), VICTIM)
        for mac, begin in ((MAC[VICTIM], 0), (OTHER, 1000))
        for i in range(begin, begin + 1000)
    ]
    core = ArpWatch("sensor")
    alerts = core.on_packets(packets(claims))
    assert len(alerts) == arp_watch.ALERTS_MINUTE
    assert core.held_back >= 1000 - arp_watch.ALERTS_MINUTE
