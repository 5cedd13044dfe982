"""Both halves of sessions, forged on the strangers' side of a real gateway: real frames, routes,
forwarding and AF_PACKET, in a namespace of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether

from agents.analyzer.core import AnalyzerCore, load_model
from agents.main import main
from agents.sensor.capture.packet_sources import Sources
from agents.sensor.core import SensorCore
from agents.sensor.grounds import Ground, make_grounds
from agents.sensor.sides import MAX_COPIES, SideJudge
from agents.settings.honeynet import Node
from datasets.captures.pcap import PADDING, RawPackets, write_capture
from ontology.records import Alert, ConnectionBatch
from tests.factories import T0, make_packets

Namespace = Callable[[Callable[[], None]], None]
VICTIM, VICTIM6 = "192.0.2.80", "2001:db8:1::80"
POT, POT6, NEIGHBOUR = "198.51.100.18", "2001:db8:2:1::2", "198.51.100.20"
OTHER_POT, OTHER_GATEWAY = "198.51.100.34", "192.0.2.102"
GATEWAY, GATEWAY6 = "192.0.2.101", "2001:db8:1::101"
STRANGER = "203.0.113.80"
OWN = [ip_address(a) for a in (POT, POT6, GATEWAY)]
OTHERS = [ip_address(a) for a in (OTHER_POT, OTHER_GATEWAY)]
SESSIONS = 12
LINK = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")


def session(one: str, other: str, port: int) -> Iterator[tuple[str, Any]]:
    """(whose, packet) of an SSH session as an attacker has it who guesses a password."""
    header = IPv6 if ":" in one else IP
    f, b = header(src=one, dst=other), header(src=other, dst=one)
    ask, answer = {"sport": port, "dport": 22}, {"sport": 22, "dport": port}
    yield "f", f / TCP(**ask, flags="S", seq=100)
    yield "b", b / TCP(**answer, flags="SA", seq=900, ack=101)
    yield "f", f / TCP(**ask, flags="A", seq=101, ack=901)
    yield "b", b / TCP(**answer, flags="PA", seq=901, ack=101) / b"SSH-2.0-OpenSSH_9.2\r\n"
    yield "f", f / TCP(**ask, flags="PA", seq=101, ack=922) / b"SSH-2.0-libssh\r\n"
    yield "f", f / TCP(**ask, flags="PA", seq=117, ack=922) / (b"x" * 900)
    yield "b", b / TCP(**answer, flags="PA", seq=922, ack=1017) / (b"y" * 900)
    yield "f", f / TCP(**ask, flags="FA", seq=1017, ack=1822)
    yield "b", b / TCP(**answer, flags="FA", seq=1822, ack=1018)


def block(*frames: bytes, **options: Any) -> RawPackets:
    """As a capture gives them, with bytes behind the last one."""
    raw = make_packets(*frames, **options)
    return replace(raw, data=np.concatenate((raw.data, np.zeros(PADDING, np.uint8))))


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True, capture_output=True)


def mac(interface: str) -> str:
    return Path(f"/sys/class/net/{interface}/address").read_text().strip()


def gateway(rp_filter: int) -> dict[str, str]:
    """A gateway with strangers behind ``b0`` and the honeypots behind ``p0``; its own addresses."""
    # The namespace's own view of /sys, for the hardware addresses.
    macs = {}
    for near, far in (("wan0", "b0"), ("lan0", "p0")):
        macs[near] = f"02:00:00:00:01:0{len(macs) + 1}"
        ip(f"link add {near} address {macs[near]} type veth peer name {far}")
        ip(f"link set {far} up")
        ip(f"link set {near} up")
    for key in ("all", "default", "wan0", "lan0", "b0", "p0"):
        setting = f"net.ipv4.conf.{key}.rp_filter={rp_filter}"
        subprocess.run(["sysctl", "-qw", setting], check=True)
    subprocess.run(
        ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"], check=True
    )
    ip("addr add 192.0.2.101/24 dev wan0")
    ip("addr add 198.51.100.17/28 dev lan0")
    ip("addr add 2001:db8:1::101/64 dev wan0 nodad")
    ip("addr add 2001:db8:2:1::1/64 dev lan0 nodad")
    ip("route add default via 192.0.2.1")
    for address, device, last in (
        (VICTIM, "wan0", 80), (VICTIM6, "wan0", 80), ("192.0.2.1", "wan0", 99),
        (POT, "lan0", 18), (POT6, "lan0", 18), (NEIGHBOUR, "lan0", 20),
    ):  # fmt: skip
        ip(f"neigh add {address} lladdr 02:00:00:00:02:{last} dev {device}")
    return macs


def capture(
    frames: list[tuple[str, bytes]], node: dict[str, Any]
) -> tuple[list[ConnectionBatch], Counter[str]]:
    """What a sensor makes of frames that are put on wires, in this order."""
    sources = Sources(
        Node.model_validate({"name": "gw1", "agents": ["sensor", "analyzer"], **node}),
        "sensor.gw1@h",
        own=OWN,
        others=OTHERS,
    )
    sources.start()
    names = {*node["interfaces"], *(f"nflog:{group}" for group in node.get("nflog", ()))}
    wires = {}
    try:
        for wire in {wire for wire, _ in frames}:
            wires[wire] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            wires[wire].bind((wire, 0))
        deadline = time.monotonic() + 20
        while sources.capturing != names:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for wire, frame in frames:
            wires[wire].send(frame)
            time.sleep(0.001)
        time.sleep(0.3)
    finally:
        batches = sources.stop()
        for sock in wires.values():
            sock.close()
    return batches, sources.counters()


def verified(batches: list[ConnectionBatch]) -> set[str]:
    """Sources of the alerts that may block."""
    core = AnalyzerCore(
        load_model(), analyzer="a", honeypots=[a for a in OWN if str(a) != GATEWAY], protected=OWN
    )
    alerts: list[Alert] = [alert for batch in batches for alert in core.on_batch(batch)]
    return {str(a.source) for a in alerts if a.verified_source}


def frames_of(
    macs: dict[str, str], one: str, other: str, *, forged: bool, tags: Any = None
) -> list[tuple[str, bytes]]:
    out = []
    for number in range(SESSIONS):
        for whose, packet in session(one, other, 40000 + number):
            wire, near = ("b0", "wan0") if forged or whose == "f" else ("p0", "lan0")
            link = Ether(dst=macs[near], src="02:00:00:00:02:80")
            out.append((wire, bytes(link / tags / packet if tags is not None else link / packet)))
    return out


OUTSIDE = {"interfaces": ["wan0"], "sides": {"wan0": "outside"}}


@pytest.mark.root
@pytest.mark.parametrize(
    ("one", "other", "rp_filter", "tags", "counter"),
    [
        pytest.param(VICTIM, POT, 1, None, "forged", id="honeypot"),
        pytest.param(VICTIM, POT, 0, None, "forged", id="honeypot-without-rp_filter"),
        pytest.param(VICTIM6, POT6, 1, None, "forged", id="IPv6"),
        pytest.param(VICTIM, OTHER_POT, 1, None, "elsewhere", id="honeypot-of-another-node"),
        pytest.param(VICTIM, OTHER_GATEWAY, 0, None, "elsewhere", id="another-node"),
        pytest.param(VICTIM, GATEWAY, 1, None, "forged", id="own-address"),
        pytest.param(VICTIM6, GATEWAY6, 1, None, "forged", id="own-address-not-in-the-file"),
        pytest.param(VICTIM, NEIGHBOUR, 1, None, "forged", id="network-routed-inside"),
        pytest.param(VICTIM, POT, 1, Dot1Q(vlan=10), "forged", id="VLAN"),
        pytest.param(VICTIM, POT, 1, Dot1AD(vlan=9) / Dot1Q(vlan=10), "forged", id="QinQ"),
        pytest.param(VICTIM, STRANGER, 0, None, "passing", id="two-strangers"),
    ],
)
def test_sessions_forged_from_outside_verify_nothing(
    namespace: Namespace, one: str, other: str, rp_filter: int, tags: Any, counter: str
) -> None:
    def body() -> None:
        frames = frames_of(gateway(rp_filter), one, other, forged=True, tags=tags)
        batches, counters = capture(frames, OUTSIDE)
        assert verified(batches) == set()
        # Every packet of the other end was seen, and seen through.
        assert counters[counter] >= SESSIONS * (4 if counter != "passing" else 6)
        if counter == "forged":
            assert counters["capture.wan0.forged"] == counters["forged"]
        # Nobody is let off: that somebody knocked is still told.
        rows = np.concatenate([b.connections for b in batches])
        assert (rows["orig_packets"] > 0).any() and not (rows["resp_bytes"] > 0).any()

    namespace(body)


@pytest.mark.root
@pytest.mark.parametrize(("one", "other"), [(VICTIM, POT), (VICTIM6, POT6)])
@pytest.mark.parametrize(
    "node",
    [
        OUTSIDE,
        {"interfaces": ["wan0"]},
        {"interfaces": ["lan0"], "sides": {"lan0": "inside"}},
        {"interfaces": ["lan0"], "sides": {"lan0": "tap"}},
    ],
)
def test_real_sessions_through_the_gateway_verify_their_source(
    namespace: Namespace, one: str, other: str, node: dict[str, Any]
) -> None:
    def body() -> None:
        batches, counters = capture(frames_of(gateway(0), one, other, forged=False), node)
        assert verified(batches) == {one}
        assert counters["forged"] == counters["elsewhere"] == counters["passing"] == 0

    namespace(body)


@pytest.mark.root
def test_scapys_socket_knows_which_way_frames_came(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.sensor.capture.capture._PACKET_RX_RING", 199)

    def body() -> None:
        macs = gateway(1)
        batches, counters = capture(frames_of(macs, VICTIM, POT, forged=True), OUTSIDE)
        assert verified(batches) == set()
        assert counters["capture.wan0.forged"] == SESSIONS * 4
        batches, counters = capture(frames_of(macs, VICTIM, POT, forged=False), OUTSIDE)
        assert verified(batches) == {VICTIM}
        assert counters["forged"] == 0

    namespace(body)


@pytest.mark.root
def test_the_same_forgery_succeeds_where_no_direction_is_known(namespace: Namespace) -> None:
    """So the forger of these tests can do what he should not; a tap outside is no `tap`."""

    def body() -> None:
        frames = frames_of(gateway(1), VICTIM, POT, forged=True)
        batches, counters = capture(frames, {"interfaces": ["wan0"], "sides": {"wan0": "tap"}})
        assert verified(batches) == {VICTIM}
        assert counters["forged"] == 0

    namespace(body)


@pytest.mark.root
@pytest.mark.parametrize("rp_filter", [0, 1])
@pytest.mark.parametrize(("one", "other"), [(VICTIM, POT), (VICTIM6, POT6)])
def test_inside_a_session_forged_from_outside_is_not_even_seen(
    namespace: Namespace, one: str, other: str, rp_filter: int
) -> None:
    def body() -> None:
        frames = frames_of(gateway(rp_filter), one, other, forged=True)
        node = {"interfaces": ["lan0"], "sides": {"lan0": "inside"}}
        assert verified(capture(frames, node)[0]) == set()

    namespace(body)


@pytest.mark.root
def test_a_honeypot_that_was_taken_over_cannot_speak_for_strangers(namespace: Namespace) -> None:
    """Both halves written by the honeypot: what it says in a stranger's name came from inside."""

    def body() -> None:
        macs = gateway(0)
        frames = [
            ("p0", bytes(Ether(dst=macs["lan0"], src="02:00:00:00:02:18") / packet))
            for number in range(SESSIONS)
            for _, packet in session(VICTIM, POT, 40000 + number)
        ]
        batches, counters = capture(frames, {"interfaces": ["lan0"], "sides": {"lan0": "inside"}})
        assert verified(batches) == set()
        assert counters["capture.lan0.forged"] >= SESSIONS * 5

    namespace(body)


@pytest.mark.root
def test_a_log_group_before_rp_filter_is_judged_by_routes(namespace: Namespace) -> None:
    def body() -> None:
        macs = gateway(1)
        subprocess.run(
            ["nft", "add table inet t; add chain inet t c { type filter hook prerouting priority "
             "-300; }; add rule inet t c iifname { wan0, lan0 } log group 7"],
            check=True,
        )  # fmt: skip
        node = {"interfaces": [], "nflog": [7]}
        batches, counters = capture(frames_of(macs, VICTIM, POT, forged=True), node)
        assert verified(batches) == set()
        assert counters["capture.wan0.forged"] == SESSIONS * 4
        batches, counters = capture(frames_of(macs, VICTIM, POT, forged=False), node)
        assert verified(batches) == {VICTIM}
        assert counters["forged"] == 0

    namespace(body)


# -- without a kernel -----------------------------------------------------------------------------

LINKS = [{"ifname": "lo"}, {"ifname": "wan0"}, {"ifname": "lan0"}, {"ifname": "mgmt0"}]
ROUTES = [
    {"dst": "default", "dev": "wan0", "family": 4},
    {"dst": "default", "dev": "wan0", "family": 6},
    {"dst": "192.0.2.0/24", "dev": "wan0", "family": 4},
    {"dst": "198.51.100.16/28", "dev": "lan0", "family": 4},
    {"dst": "2001:db8:2:1::/64", "dev": "lan0", "family": 6},
    {"dst": "203.0.113.0/24", "dev": "mgmt0", "family": 4},
    {"type": "local", "dst": "192.0.2.101", "dev": "wan0", "family": 4},
    {"dst": "fe80::/64", "dev": "lan0", "family": 6},
]


def way(
    came: int, packet: Any, *, sides: dict[str, Any] | None = None, name: str = "wan0"
) -> tuple[bool, Counter[str]]:
    """Whether one packet is believed, and what was counted."""
    raw = block(bytes(LINK / packet))
    raw = replace(raw, came=np.array([came], np.int8), interfaces=(name,))
    grounds = make_grounds(
        sides or {"wan0": "outside", "lan0": "inside"}, OWN, OTHERS, LINKS, ROUTES
    )
    core = SensorCore("s", judge=SideJudge(grounds))
    return len(core.on_packets(raw)) == 1, core.counters


DHCP = IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)  # noqa: S104


def tcp(source: str, target: str, flags: str = "PA") -> Any:
    header = IPv6 if ":" in source else IP
    return header(src=source, dst=target) / TCP(sport=22, dport=40000, flags=flags) / b"x"


@pytest.mark.parametrize(
    ("came", "packet", "believed"),
    [
        (1, tcp(VICTIM, POT), True),
        (1, tcp(POT, VICTIM), False),
        (-1, tcp(POT, VICTIM), True),
        (1, tcp("203.0.113.5", POT), False),  # the management network lies behind
        (1, tcp("198.51.100.200", POT), True),  # beyond the routed network: a stranger
        (1, tcp("198.51.100.31", POT), False),  # its last address
        (1, tcp("2001:db8:2:1:ffff::1", POT6), False),
        (1, tcp("2001:db8:2:2::1", POT6), True),
        (1, tcp("fe80::1", POT6), True),
        (1, DHCP, True),
        (1, IP(src=POT, dst=VICTIM) / UDP(sport=53, dport=53) / b"x", False),
        (1, tcp(VICTIM, "198.51.100.200"), False),
        (-1, tcp(VICTIM, "198.51.100.200"), False),
        (1, IP(src=VICTIM, dst="198.51.100.200") / TCP(flags="S"), True),  # accuses nobody for sure
        (0, tcp(POT, VICTIM), True),  # which way is not known
    ],
)
def test_of_outside_only_what_has_its_end_on_the_right_side(
    came: int, packet: Any, believed: bool
) -> None:
    assert way(came, packet)[0] is believed


@pytest.mark.parametrize(
    ("packet", "believed"),
    [
        (tcp(POT, VICTIM), True),
        (tcp(VICTIM, POT), False),
        (tcp("203.0.113.5", POT), False),
        (tcp(GATEWAY, POT), False),
        (tcp(POT6, VICTIM6), True),
        (tcp(VICTIM6, POT6), False),
        (DHCP, True),
    ],
)
def test_of_inside_only_what_is_routed_there(packet: Any, believed: bool) -> None:
    assert way(1, packet, name="lan0")[0] is believed
    assert way(-1, packet, name="lan0")[0]


def test_without_a_route_through_it_the_inside_is_not_judged() -> None:
    """A sensor's own card without an address, or a host that routes nothing."""
    assert way(1, tcp(VICTIM, POT), sides={"span0": "inside"}, name="span0")[0]


def test_without_routes_what_the_file_names_is_inside() -> None:
    ground = Ground(frozenset({"wan0"}), OWN, OTHERS)
    many = [{"dst": "198.51.100.16/28", "dev": "lan0", "family": 4}] * 65_537
    for known in (ground, Ground(frozenset({"wan0"}), OWN, OTHERS, many)):
        grounds = make_grounds({"wan0": "outside"}, OWN, OTHERS)
        assert grounds.by_name["wan0"].reached is known.reached is False
        core = SensorCore("s", judge=SideJudge(assumed=known))
        claims = ((POT, VICTIM), (POT6, VICTIM6), (OTHER_POT, VICTIM))
        raw = block(*(bytes(LINK / tcp(a, b)) for a, b in claims))
        assert len(core.on_packets(raw)) == 0


@pytest.mark.parametrize("link", [CookedLinux, CookedLinuxV2])
def test_a_cooked_capture_says_itself_which_way_a_frame_came(link: Any) -> None:
    kinds = {"f": 0, "b": 4}
    proto = {"proto": 0x0800}
    number = 113 if link is CookedLinux else 276
    frames = {
        forged: [
            bytes(link(pkttype=0 if forged else kinds[whose], **proto) / packet)
            for n in range(SESSIONS)
            for whose, packet in session(VICTIM, POT, 40000 + n)
        ]
        for forged in (False, True)
    }
    for forged, some in frames.items():
        core = SensorCore("s", judge=SideJudge(assumed=Ground(frozenset(), OWN, OTHERS)))
        core.on_packets(block(*some, link_type=number))
        batches = core.take_batches(core.last_us, final=True)
        assert verified(batches) == (set() if forged else {VICTIM})
        assert core.counters["forged"] == (4 * SESSIONS if forged else 0)


def test_a_replay_says_on_which_side_the_capture_was_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cooked.pcap"
    frames = [
        bytes(CookedLinux(pkttype=0, proto=0x0800) / packet)
        for number in range(SESSIONS)
        for _, packet in session(VICTIM, POT, 40000 + number)
    ]
    write_capture(path, frames, [T0 + 1000 * n for n in range(len(frames))], 113)
    decided = {}
    for side in ("outside", "inside"):
        assert main(["replay", "--json", "--honeypot", POT, "--side", side, str(path)]) == 0
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        decided[side] = {line["source"] for line in told if line["type"] == "decision"}
    assert decided == {"outside": set(), "inside": {VICTIM}}


def test_forged_segments_are_remembered_for_a_moment_and_not_without_bound() -> None:
    judge = SideJudge(assumed=Ground(frozenset(), OWN))
    core = SensorCore("s", judge=judge)
    forged = [
        bytes(LINK / IP(src=POT, dst=VICTIM) / TCP(sport=22, dport=1024, flags="PA", seq=n) / b"x")
        for n in range(64)
    ]
    times = range(1_700_000_000_000_000, 1_700_000_000_000_000 + MAX_COPIES + 640)
    raw = block(*(forged[n % 64] for n in range(len(times))), times_us=times)
    core.on_packets(raw)
    assert core.counters["forged"] == len(times)
    assert core.counters["copies_forgotten"] == 640


def tunnelled(source: str, target: str, inner: Any) -> Any:
    header = IPv6 if ":" in source else IP
    return header(src=source, dst=target) / GRE(proto=0x0800) / inner


@pytest.mark.parametrize(
    ("packet", "believed"),
    [
        (tunnelled(VICTIM, POT, tcp(POT, VICTIM)), True),  # its inside lives somewhere else
        (tunnelled(POT, VICTIM, tcp(VICTIM, POT)), False),  # in the name of a host inside
        (tunnelled("203.0.113.5", POT, tcp(VICTIM, POT)), False),  # of a mirror that is inside
        (tunnelled(POT6, "2001:db8:9::1", tcp(VICTIM, POT)), False),
        (tunnelled(VICTIM, VICTIM, tcp(VICTIM, VICTIM)), True),  # not TCP of two strangers
    ],
)
def test_a_tunnel_comes_from_where_its_own_packet_does(packet: Any, believed: bool) -> None:
    assert way(1, packet)[0] == believed
