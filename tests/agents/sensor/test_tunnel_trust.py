"""A stranger's tunnel proves nothing, a mirror's counts as what it mirrors, none is accused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address

import numpy as np
import pytest
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, GRE, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from agents.sensor.core import MAX_LAYER_NAMES, SensorCore
from agents.sensor.flows.decode import decode
from agents.sensor.signatures.alerts import SignatureAlerts
from agents.sensor.tunnel_trust import TunnelTrust
from ontology.records import CONNECTION
from rules.signatures.parse import read_rule
from tests.factories import T0, make_packets, packed

VICTIM, POT, MIRROR, COLLECTOR = "192.0.2.66", "198.51.100.18", "203.0.113.1", "203.0.113.2"
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x0800)
RULE = (
    'alert tcp any any -> any 80 (msg:"x"; flow:to_server,established; content:"/evil"; '
    "classtype:web-application-attack; sid:1; rev:1;)"
)
Wrap = Callable[[bytes, str, str], bytes]


def vxlan(inner: bytes, source: str, target: str) -> bytes:
    packet = UDP(sport=5000, dport=4789) / VXLAN(flags=8, vni=9) / Raw(bytes(LINK) + inner)
    return bytes(IP(src=source, dst=target) / packet)


WRAPS: dict[str, Wrap] = {
    "vxlan": vxlan,
    "geneve": lambda p, s, t: bytes(
        IP(src=s, dst=t) / UDP(dport=6081) / GENEVE(proto=0x6558) / Raw(bytes(LINK) + p)
    ),
    "gre": lambda p, s, t: bytes(IP(src=s, dst=t) / GRE(proto=0x0800) / Raw(p)),
    "ip-in-ip": lambda p, s, t: bytes(IP(src=s, dst=t, proto=4) / Raw(p)),
}


def talk(port: int = 40000) -> list[bytes]:
    """IP packets of a whole conversation, an attack in it."""
    request = b"GET /evil?id=1'+union+select+user,password+from+users-- HTTP/1.1\r\nHost: x\r\n\r\n"
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    out, numbers = [], [1000, 5000]
    for ours, flags, data in (
        (1, "S", b""), (0, "SA", b""), (1, "A", b""), (1, "PA", request), (0, "PA", reply),
        (1, "FA", b""), (0, "FA", b""), (1, "A", b""),
    ):  # fmt: skip
        mine, theirs = (0, 1) if ours else (1, 0)
        ends = (VICTIM, POT) if ours else (POT, VICTIM)
        ports = (port, 80) if ours else (80, port)
        ip = IP(src=ends[0], dst=ends[1])
        tcp = TCP(
            sport=ports[0], dport=ports[1], flags=flags, seq=numbers[mine],
            ack=numbers[theirs] if "A" in flags else 0,
        )  # fmt: skip
        out.append(bytes(ip / tcp / Raw(data)))
        numbers[mine] += len(data) + ("S" in flags or "F" in flags)
    return out


def records(core: SensorCore, packets: list[bytes]) -> np.ndarray:
    core.on_packets(make_packets(*(bytes(LINK) + p for p in packets)))
    done = core.take_batches(core.last_us, final=True)
    return np.concatenate([np.zeros(0, CONNECTION), *(batch.connections for batch in done)])


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_a_stranger_sends_in_a_tunnel_is_seen_and_never_verified(wrap: str) -> None:
    core = SensorCore("s")
    rows = records(core, [WRAPS[wrap](p, "192.0.2.99", POT) for p in talk()])
    assert len(rows) == 1
    assert rows["src"][0].tobytes() == packed(VICTIM).tobytes()
    assert rows["indicators"][0] > 0
    assert rows["conversation"].tolist() == [0]
    assert core.counters["unverified_tunnels"] == 8


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_a_named_mirror_sends_counts_as_what_it_mirrors(wrap: str) -> None:
    core = SensorCore("s", tunnels=TunnelTrust([ip_address(MIRROR)]))
    wrapped = records(core, [WRAPS[wrap](p, MIRROR, COLLECTOR) for p in talk()])
    plain = records(SensorCore("s"), talk())
    assert wrapped.tobytes() == plain.tobytes()
    assert plain["conversation"].tolist() == [1]


@pytest.mark.parametrize("order", [0, 1])
def test_a_strangers_tunnel_changes_nothing_of_the_real_connection(order: int) -> None:
    """Same ends, same ports, before or behind: each has a record of its own."""
    forged = [vxlan(p, "192.0.2.99", POT) for p in talk()]
    parts = [forged, talk()]
    rows = records(SensorCore("s"), parts[order] + parts[1 - order])
    assert sorted(rows["conversation"].tolist()) == [0, 1]
    real = rows[rows["conversation"] == 1]
    assert real["orig_packets"].tolist() == [5]
    assert real["indicators"][0] > 0


def test_a_named_tunnel_does_not_vouch_for_a_strangers_inside_it() -> None:
    """A mirror shows the VXLAN that a stranger sent to a honeypot."""
    forged = [vxlan(vxlan(p, "192.0.2.99", POT), MIRROR, COLLECTOR) for p in talk()]
    rows = records(SensorCore("s", tunnels=TunnelTrust([ip_address(MIRROR)])), forged)
    assert rows["conversation"].tolist() == [0]


def test_what_cannot_be_opened_of_a_named_tunnel_is_nobodys_act() -> None:
    macsec = struct.pack("!12xH", 0x88E5) + bytes(60)
    packet = UDP(sport=5000, dport=4789) / VXLAN(flags=8) / Raw(macsec)
    rest = [
        bytes(IP(src=MIRROR, dst=COLLECTOR) / packet),
        bytes(IP(src=MIRROR, dst=COLLECTOR, proto=17, frag=100) / Raw(bytes(64))),
    ]
    core = SensorCore("s", tunnels=TunnelTrust([ip_address(MIRROR)]))
    assert len(records(core, rest)) == 0
    assert core.counters["tunnel_rests"] == 2
    assert core.counters["unopened.EtherType-0x88e5"] == 1
    assert len(records(SensorCore("s"), rest)) > 0  # of an unnamed one they are packets


def test_arp_in_a_strangers_tunnel_claims_nothing() -> None:
    def claims(wrapped: bool) -> int:
        core = SensorCore("s")
        for n in range(12):
            arp = bytes(
                Ether(src="02:00:00:00:00:07", dst="ff:ff:ff:ff:ff:ff")
                / ARP(op=2, hwsrc=f"02:00:00:00:00:{n % 2:02x}", psrc="192.0.2.7", pdst="192.0.2.8",
                      hwdst="02:00:00:00:00:09")
            )  # fmt: skip
            frame = arp
            if wrapped:
                outer = IP(src="192.0.2.99", dst=POT) / UDP(dport=4789) / VXLAN(flags=8)
                frame = bytes(LINK / outer / Raw(arp))
            core.on_packets(make_packets(frame, times_us=[T0 + n * 1_000_000]))
        return len(core.take_alerts())

    assert claims(wrapped=False) > 0
    assert claims(wrapped=True) == 0


@pytest.mark.parametrize(
    ("source", "target", "own", "more", "guessed"),
    [
        (MIRROR, COLLECTOR, [], [], True),
        (MIRROR, COLLECTOR, [COLLECTOR], [], False),  # strangers can reach it
        (MIRROR, POT, [], [], False),  # a tunnel to the very honeypot
        (VICTIM, COLLECTOR, [], [], False),
        (MIRROR, COLLECTOR, [], [vxlan(talk(5)[0], "192.0.2.99", COLLECTOR)], False),
        (MIRROR, COLLECTOR, [], [talk(5)[0]], False),  # something else is on that wire
    ],
)
def test_a_capture_that_is_all_a_mirrors_is_known_as_such(
    source: str, target: str, own: list[str], more: list[bytes], guessed: bool
) -> None:
    trust = TunnelTrust(guess=True, own=[ip_address(text) for text in own])
    rows = records(
        SensorCore("s", tunnels=trust), [vxlan(p, source, target) for p in talk()] + more
    )
    assert (1 in rows["conversation"].tolist()) == guessed


@pytest.mark.parametrize("named", [False, True])
def test_signatures_see_the_packet_inside(named: bool) -> None:
    trust = TunnelTrust([ip_address(MIRROR)] if named else [])
    found = SignatureAlerts([read_rule(RULE)], sensor="s", tunnels=trust)
    alerts = found.on_packets(
        make_packets(*(bytes(LINK) + vxlan(p, MIRROR, COLLECTOR) for p in talk()))
    )
    alerts += found.finish()
    assert [(str(a.source), str(a.target), a.verified_source) for a in alerts] == [
        (VICTIM, POT, named)
    ]


def test_sort_says_what_is_loose_and_what_is_left() -> None:
    trust = TunnelTrust([ip_address(MIRROR)])
    frames = [
        talk()[0],
        vxlan(talk()[0], MIRROR, COLLECTOR),
        vxlan(talk()[0], "192.0.2.99", POT),
        bytes(IP(src=MIRROR, dst=COLLECTOR, proto=47) / Raw(bytes(2))),
    ]
    loose, left = trust.sort(decode(make_packets(*(bytes(LINK) + f for f in frames))))
    assert loose is not None and loose.tolist() == [False, False, True, False]
    assert left is not None and left.tolist() == [False, False, False, True]
    assert trust.sort(decode(make_packets(bytes(LINK) + frames[0]))) == (None, None)


def test_layer_names_are_bounded() -> None:
    core = SensorCore("s")
    for n in range(40):
        frames = [struct.pack("!12xH", 0xA000 + 8 * n + k) + bytes(50) for k in range(8)]
        core.on_packets(make_packets(*frames, times_us=range(T0 + n * 100, T0 + n * 100 + 8)))
    named = {name: count for name, count in core.counters.items() if name.startswith("unread.")}
    assert sum(named.values()) == 320
    assert len(named) <= MAX_LAYER_NAMES + 1
