"""The worker process behind its pipes: matches, reloads, dies, is started again."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import numpy as np
import pytest

from agents.clock import now_us
from agents.sensor.signatures import match_process
from agents.sensor.signatures.match_process import QUEUE_BLOCKS, MatchProcess
from agents.settings.honeynet import Node
from datasets.captures.pcap import RawPackets
from ontology.records import Alert

ATTACKER, SERVER, POT = "198.51.100.7", "192.0.2.80", "192.0.2.99"
RULES = """\
alert tcp any any -> $HOME_NET 80 (msg:"one"; content:"first"; classtype:web-application-attack; sid:1;)
alert udp any any -> any any (msg:"chat"; content:"hello"; classtype:policy-violation; sid:2;)
"""  # noqa: E501
SECOND = (
    'alert tcp any any -> any 80 (msg:"two"; content:"later"; classtype:attempted-admin; sid:3;)\n'
)


def packet(
    payload: bytes, target: str = SERVER, protocol: int = 6, source: str = ATTACKER
) -> bytes:
    head = struct.pack(">HHIIBBHHH", 40000, 80, 1, 1, 0x50, 24, 9, 0, 0)
    if protocol == 17:
        head = struct.pack(">HHHH", 40000, 80, 8 + len(payload), 0)
    ends = ip_address(source).packed + ip_address(target).packed
    size = 20 + len(head) + len(payload)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, protocol, 0) + ends
    return bytes(12) + b"\x08\0" + ip + head + payload


def block(*frames: bytes) -> RawPackets:
    lengths = np.array([len(f) for f in frames], np.int64)
    times = np.full(len(frames), now_us(), np.int64)
    data = np.frombuffer(b"".join(frames) + bytes(64), np.uint8)
    return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, 1)


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


class Watched:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "own.rules"
        self.file.write_text(RULES)
        node = Node(
            name="gw1", agents=("sensor", "analyzer"), interfaces=("lo",),
            signatures=(self.file,), signature_variables={"HOME_NET": "[192.0.2.0/24]"},
        )  # fmt: skip
        self.watch = MatchProcess(
            node,
            sensor="sensor.gw1@x.y",
            honeypots=[ip_address(POT)],
            wait_us=100_000,
            look_us=100_000,
        )
        self.alerts: list[Alert] = []

    def count(self, name: str) -> int:
        self.alerts += self.watch.take(100)
        return self.watch.counters().get(f"signatures.{name}", 0)

    def found(self, sid: int) -> list[Alert]:
        self.alerts += self.watch.take(100)
        return [a for a in self.alerts if f"signature 1:{sid} " in a.explanation]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.watch.close()


def test_the_packet_that_matched_comes_before_its_alert(watched: Watched) -> None:
    watched.watch.start()
    until(lambda: watched.count("in_use") == 2)
    watched.watch.offer(block(packet(b"the first"), packet(b"no")))
    until(lambda: len(watched.found(1)) == 1)
    (citation,) = watched.watch.take_citations()
    assert citation.signature == "urn:ontoidps:signature:1:1" and not citation.proven
    assert citation.cited.data == packet(b"the first")
    assert (citation.packets, citation.number) == (2, 1)  # both are of one conversation
    assert watched.watch.take_citations() == []


def test_packets_that_nobody_takes_are_bounded(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_process, "MAX_CITATIONS", 2)
    watched.watch.start()
    until(lambda: watched.count("in_use") == 2)
    watched.watch.offer(block(*(packet(b"first", source=f"198.51.100.{n}") for n in range(8))))
    until(lambda: watched.count("evidence.lost") == 6)
    assert len(watched.watch.take_citations()) == 2


def test_alerts_reload_and_a_bad_file(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    watch = watched.watch
    watch.start()
    until(lambda: watched.count("in_use") == 2)
    watch.offer(block(packet(b"the first"), packet(b"first", "203.0.113.9"), packet(b"no")))
    watch.offer(block(packet(b"hello", POT, 17), packet(b"hello", SERVER, 17)))
    until(lambda: len(watched.found(1)) == len(watched.found(2)) == 1)
    (one,), (chat,) = watched.found(1), watched.found(2)
    assert (one.classification, one.source, one.target) == (
        "WebAttack", ip_address(ATTACKER), ip_address(SERVER),
    )  # fmt: skip
    assert (one.sensor, one.verified_source) == ("sensor.gw1@x.y", False)
    # What is no attack elsewhere is a contact at a honeypot.
    assert (chat.classification, chat.target) == ("HoneypotContact", IPv4Address(POT))
    # Another file: the new rule is in use soon, and none is lost.
    watched.file.write_text(RULES + SECOND)
    until(lambda: watched.count("in_use") == 3)
    # A bad one: the last good rules stay, one line says why.
    watched.file.write_text(RULES + SECOND + "alert tcp any any -> any any (msg:broken;\n")
    until(lambda: watched.count("bad_reloads") == 1)
    watched.file.unlink()
    until(lambda: watched.count("bad_reloads") == 2)
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 2 and "line 4" in said[0] and "no such file" in said[1]
    assert all("the last good rules stay in use" in line for line in said)
    watch.offer(block(packet(b"later")))
    until(lambda: len(watched.found(3)) == 1)
    assert watched.count("packets") == 6
    assert watched.count("dropped") == watched.count("restarts") == 0


def test_a_flood_of_matches_is_few_alerts(watched: Watched) -> None:
    watch = watched.watch
    watch.start()
    until(lambda: watched.count("in_use") == 2)
    for part in range(4):
        frames = [
            packet(b"first", source=str(IPv4Address(0x0B000000 + part * 1000 + i)))
            for i in range(1000)
        ]
        watch.offer(block(*frames))
    until(lambda: watched.count("matches") == 4_000)
    until(lambda: watched.count("crowded") + watched.count("alerts") == 4_000)
    assert len(watched.found(1)) == 8


def test_offering_never_waits(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = block(packet(b"x"), packet(b"y"))
    for _ in range(QUEUE_BLOCKS + 3):
        watched.watch.offer(raw)  # nobody takes them: the worker was not started
    assert watched.count("dropped") == 6


def test_a_worker_that_dies_is_started_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(match_process, "_RESTART_S", 0.05)
    watched.watch.start()
    until(lambda: watched.count("in_use") == 2)
    process = watched.watch._process
    assert process is not None
    os.kill(process.pid, 9)
    until(lambda: watched.count("restarts") == 1 and watched.count("in_use") == 2)
    watched.watch.offer(block(packet(b"first")))
    until(lambda: len(watched.found(1)) == 1)
