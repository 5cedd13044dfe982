"""ARP claims as frames, through the decoder."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import ARP, Ether

from agents.sensor import arp_pushes
from agents.sensor.arp_pushes import ONE, REPEATS, SEVERAL, ArpPushes
from agents.sensor.flows.decode import decode
from ontology.records import Alert
from tests.factories import make_packets

GATEWAY, VICTIM, ATTACKER, SECOND = "192.0.2.1", "192.0.2.10", "192.0.2.66", 1_000_000
MAC = {GATEWAY: "02:00:00:00:00:01", VICTIM: "02:00:00:00:00:10", ATTACKER: "02:00:00:00:00:66"}
EVERYBODY = "ff:ff:ff:ff:ff:ff"


def answer(claimed: str, told: str, mac: str = MAC[ATTACKER]) -> bytes:
    said = ARP(op=2, hwsrc=mac, psrc=claimed, hwdst=MAC[told], pdst=told)
    return bytes(Ether(src=mac, dst=MAC[told]) / said)


def ask(source: str, target: str) -> bytes:
    said = ARP(op=1, hwsrc=MAC[source], psrc=source, hwdst="00:00:00:00:00:00", pdst=target)
    return bytes(Ether(src=MAC[source], dst=EVERYBODY) / said)


def announce(address: str, mac: str, kind: int = 2) -> bytes:
    said = ARP(op=kind, hwsrc=mac, psrc=address, hwdst=EVERYBODY, pdst=address)
    return bytes(Ether(src=mac, dst=EVERYBODY) / said)


def watch(frames: list[bytes], *, pause: float = 2.0, block: int = 1000) -> list[Alert]:
    core, found = ArpPushes("sensor"), []
    for begin in range(0, len(frames), block):
        part = frames[begin : begin + block]
        times = [round((begin + i) * pause * SECOND) for i in range(len(part))]
        found += core.on_packets(decode(make_packets(*part, times_us=times)))
    return found


@pytest.mark.parametrize("block", [1000, 1])
def test_both_ends_pushed_by_one_host_though_nobody_heard_them(block: int) -> None:
    both = [answer(GATEWAY, VICTIM), answer(VICTIM, GATEWAY)] * REPEATS
    alert = watch(both, block=block)[-1]
    assert (alert.classification, alert.confidence) == ("ArpSpoofing", SEVERAL)
    assert (alert.source, alert.verified_source) == (None, False)
    assert GATEWAY in alert.explanation and VICTIM in alert.explanation
    named = watch([ask(ATTACKER, VICTIM), *both], block=block)[-1]
    assert str(named.source) == ATTACKER


def test_one_address_alone_is_low() -> None:
    [alert] = watch([answer(GATEWAY, VICTIM)] * REPEATS)
    assert (alert.confidence, str(alert.target)) == (ONE, GATEWAY)
    assert watch([answer(GATEWAY, VICTIM)] * (REPEATS - 1)) == []
    assert watch([answer(GATEWAY, VICTIM)] * 60, pause=20.0) == []


def test_answers_and_announcements_are_none() -> None:
    """A gateway that answers all day, also for others (proxy ARP); a standby with two addresses."""
    asked = [
        frame
        for address in (GATEWAY, "192.0.2.99", "192.0.2.98")
        for frame in [ask(VICTIM, address), answer(address, VICTIM, MAC[GATEWAY])] * 20
    ]
    assert watch(asked, pause=0.5) == []
    told = [announce(a, MAC[GATEWAY], kind) for a in (GATEWAY, "192.0.2.2") for kind in (1, 2)]
    assert watch(told * 20, pause=0.5) == []


def test_claimers_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arp_pushes, "MAX_CLAIMERS", 10)
    core = ArpPushes("sensor")
    frames = [answer(GATEWAY, VICTIM, f"02:00:00:00:01:{i:02x}") for i in range(30)]
    core.on_packets(decode(make_packets(*frames)))
    assert core.evicted == 20
