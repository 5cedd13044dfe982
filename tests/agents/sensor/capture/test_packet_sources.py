"""All kinds of sources with their threads, in a namespace of its own."""

from __future__ import annotations

import logging
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.capture.packet_sources import Sources
from agents.sensor.capture.scapy_capture import ScapyCapture
from agents.settings.honeynet import Node
from datasets.captures.pcap import CaptureError, write_capture
from ontology.records import ConnectionBatch

Namespace = Callable[[Callable[[], None]], None]
# Each with an identification of its own: a frame that comes twice counts once.
FRAMES = [
    bytes(12)
    + (b"\x08\0\x45\0\0\x1d\0%c\0\0\x40\x11\0\0\xc0\0\2\1\xc0\0\2\2" % number)
    + b"\x0f\xa0\x0f\xa1\0\x09\0\0x"
    for number in range(4)
]


def node(**settings: object) -> Node:
    return Node.model_validate(
        {"name": "gw1", "agents": ["sensor", "analyzer"], "capture_filter": "udp", **settings}
    )


def send(port: int, count: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(b"x", ("127.0.0.1", port))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def packets_to(batches: list[ConnectionBatch], port: int) -> int:
    rows = [b.connections[b.connections["dst_port"] == port] for b in batches]
    return int(np.concatenate(rows)["orig_packets"].sum()) if rows else 0


@pytest.mark.root
def test_rings_groups_and_files_at_once_and_each_is_counted(
    namespace: Namespace, tmp_path: Path
) -> None:
    path = tmp_path / "x.pcap"
    offered: list[int] = []

    def body() -> None:
        sources = Sources(
            node(interfaces=["lo"], capture_workers=2, nflog=[7], captures=[path]),
            "sensor.gw1@h",
        )
        sources.start(lambda raw: offered.append(len(raw)))
        try:
            subprocess.run(
                ["nft", "add table inet t; add chain inet t c { type filter hook output priority 0;"
                 " }; add rule inet t c udp dport 4002 log group 7"],
                check=True,
            )  # fmt: skip
            until(lambda: sources.capturing == {"lo", "nflog:7", f"file:{path}"})
            until(lambda: "capture.lo#1.packets" in sources.counters() or not send(4000))
            send(4001, 5)
            send(4002, 3)
            write_capture(path, FRAMES, [1_000_000] * 4)
            until(lambda: sources.counters()[f"capture.file:{path}.packets"] == 4)
            until(lambda: sources.counters()["capture.nflog:7.packets"] == 3)
            until(lambda: sum(offered) >= 15)
        finally:
            batches = sources.stop()
        assert packets_to(batches, 4001) == 5 + 4  # the file's go to this port, too
        assert packets_to(batches, 4002) == 3 + 3  # by the ring and by the rule
        counters = sources.counters()
        assert counters["packets"] == sum(offered)
        assert counters["capture.lo#0.packets"] + counters["capture.lo#1.packets"] == (
            counters["packets"] - 3 - 4
        )
        assert counters["dropped"] == counters["malformed"] == 0
        assert not sources.capturing

    namespace(body)


def test_a_growing_file_is_read_on_after_a_restart(tmp_path: Path) -> None:
    path, state = tmp_path / "x.pcap", tmp_path / "state"
    state.mkdir()
    seen = []
    for part in (FRAMES[:1], FRAMES[:3], FRAMES):
        # Written while no sensor runs; the first one finds nothing and waits.
        if len(part) > 1:
            write_capture(path, part, [1_000_000] * len(part))
        sources = Sources(node(captures=[path]), "sensor.gw1@h", state)
        sources.start()
        try:
            if len(part) > 1:
                until(lambda s=sources: s.counters()["packets"] > 0)  # type: ignore[misc]
            else:
                until(lambda: len(list(state.iterdir())) == 1)
        finally:
            batches = sources.stop()
        seen.append(packets_to(batches, 4001))
    assert seen == [0, 3, 1]


@pytest.mark.root
def test_without_a_ring_scapys_socket_is_used_and_said(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agents.sensor.capture.capture._PACKET_RX_RING", 199)
    caplog.set_level(logging.WARNING)

    def body() -> None:
        sources = Sources(node(interfaces=["lo"], capture_workers=2), "sensor.gw1@h")
        sources.start()
        try:
            until(lambda: sources.capturing == {"lo"})
            send(4001, 5)
            until(lambda: sources.counters()["packets"] == 5)
        finally:
            batches = sources.stop()
        assert packets_to(batches, 4001) == 5

    namespace(body)
    assert [r.getMessage() for r in caplog.records] == [
        "no capture ring for 'lo' (Protocol not available);"
        " using scapy's socket: some 5,000 packets a second at most"
    ]


@pytest.mark.root
def test_scapys_socket_filters_and_ends_with_a_reason(namespace: Namespace) -> None:
    def body() -> None:
        with ScapyCapture("lo", "udp port 4002") as capture:
            send(4001, 3)
            send(4002, 2)
            seen = 0
            deadline = time.monotonic() + 5
            while seen < 2 and time.monotonic() < deadline:
                seen += len(capture.read(0.1))
            assert seen + len(capture.read(0.2)) == 2
            assert capture.dropped() == 0
        with pytest.raises(CaptureError, match=r"scapy's socket on 'no-such0': .*no-such0"):
            ScapyCapture("no-such0")

    namespace(body)


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True, capture_output=True)


def wan0_comes() -> None:
    ip("link add wan0 type veth peer name far0")
    for name in ("wan0", "far0"):
        ip(f"link set {name} up")
    ip("addr add 192.0.2.1/24 dev far0")
    ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev far0")


def wan0_renamed() -> None:
    """Its packets still come to a socket that was opened before, and would be the wrong ones."""
    for step in ("set wan0 down", "set wan0 name lan7", "set lan7 up"):
        ip(f"link {step}")


def wan0_back() -> None:
    for step in ("set lan7 down", "set lan7 name wan0", "set wan0 up"):
        ip(f"link {step}")


@pytest.mark.root
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("goes", "comes", "why"),
    [
        (lambda: ip("link del wan0"), wan0_comes, "captures nothing: no interface wan0"),
        (wan0_renamed, wan0_back, "captures nothing: no interface wan0"),
        (
            lambda: ip("link set wan0 down"),
            lambda: ip("link set wan0 up"),
            "captures nothing: interface wan0 is down",
        ),
        (
            lambda: ip("link set far0 down"),
            lambda: ip("link set far0 up"),
            "captures nothing: interface wan0 has no carrier, nothing is at its other end",
        ),
    ],
)
def test_an_interface_that_brings_nothing_is_told_and_is_taken_up_again(
    namespace: Namespace,
    workers: int,
    goes: Callable[[], None],
    comes: Callable[[], None],
    why: str,
) -> None:
    def body() -> None:
        sources = Sources(node(interfaces=["wan0"], capture_workers=workers), "sensor.gw1@h")
        sources.start()
        batches: list[ConnectionBatch] = []

        def captured(port: int) -> bool:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                try:
                    sock.sendto(b"x", ("192.0.2.2", port))
                except OSError:
                    return False  # the route is not there yet
            batches.extend(sources.take())
            return packets_to(batches, port) > 0

        def within(condition: Callable[[], bool]) -> None:
            began = time.monotonic()
            until(condition)
            assert time.monotonic() - began < 5

        try:
            within(lambda: sources.troubles() == {"wan0": "captures nothing: no interface wan0"})
            wan0_comes()
            within(lambda: sources.troubles() == {})
            until(lambda: captured(4001))
            goes()
            within(lambda: sources.troubles() == {"wan0": why})
            comes()
            within(lambda: sources.troubles() == {})
            ip("addr replace 192.0.2.1/24 dev far0")
            ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev far0")
            until(lambda: captured(4002))
        finally:
            sources.stop()

    namespace(body)


@pytest.mark.root
def test_what_still_captures_is_told_apart_from_what_does_not(
    namespace: Namespace, tmp_path: Path
) -> None:
    missing, damaged = tmp_path / "none.pcap", tmp_path / "x.pcap"
    damaged.write_bytes(b"no capture" * 10)

    def body() -> None:
        sources = Sources(node(interfaces=["lo", "wan0"], captures=[missing, damaged]), "s@h")
        sources.start()
        try:
            until(lambda: len(sources.troubles()) == 3)
            troubles = sources.troubles()
            assert troubles["wan0"] == "captures only a part: no interface wan0"
            assert troubles[f"file:{missing}"] == f"captures only a part: no file {missing}"
            assert str(damaged) in troubles[f"file:{damaged}"]
        finally:
            sources.stop()

    namespace(body)
