"""Nobody is blocked on what an off-path forger writes in his name (decision 5).

``ONTOIDPS_FORGED_CAPTURES=10000 pytest tests/e2e/test_forged.py`` makes more captures than the
suite does. Captures go through sensor, analyzer and correlation as in ``ontoidps replay``; rules
are evaluated by the chainer (`ontology.chainer`), which other tests hold to Pellet's word.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.analyzer.core import load_model
from agents.offline.replay import Replay
from agents.sensor.signatures.alerts import SignatureAlerts
from datasets.captures.pcap import write_capture
from ontology.chainer.chainer import Chainer
from ontology.chainer.joins import Joins
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import (
    DerivedMember,
    DerivedPair,
    Explanation,
    Inferences,
    Reasoner,
)
from ontology.reasoner.window import Window
from ontology.records import Alert, Decision, HostProfile
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from rules.shipped_files import rule_paths
from rules.signatures.parse import read_rule
from tests.e2e.forger import (
    ACK,
    ATTACKS,
    BASIC,
    FIN,
    FORM,
    PLAIN,
    POTS,
    PSH,
    RAW_IP,
    RST,
    SERVERS,
    SYN,
    VICTIMS,
    Ends,
    Packet,
    World,
    make,
)

CAPTURES = int(os.environ.get("ONTOIDPS_FORGED_CAPTURES", "150"))
TOLD = 12
PELLET = 8
RULES = (
    'alert tcp any any -> any any (msg:"guess"; content:"guess"; '
    "classtype:web-application-attack; sid:1000001; rev:1;)",
    'alert tcp any any -> any 80 (msg:"union"; flow:to_server,established; content:"UNION"; '
    "classtype:web-application-attack; sid:1000002; rev:1;)",
)
HOSTS = tuple(
    HostProfile(id=f"urn:ontoidps:profile:{pot}", address=ip_address(pot), roles=("Honeypot",))
    for pot in POTS.values()
)
INNOCENT = ("HoneypotContact", "UnknownAnomaly")
"""What the victim's own traffic amounts to: it does visit the honeypot."""


@pytest.fixture(scope="module")
def theory() -> Theory:
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        return Theory.from_ntriples(base.ntriples())


class ByChainer:
    """The rules without Java."""

    def __init__(self, theory: Theory) -> None:
        self._chainer = Chainer(theory.ntriples)

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        pairs, members = {}, {}
        for firing in self._chainer.close(window.ntriples).firings:
            why = Explanation(firing.rule, "", (firing.rule,), ())
            for head in firing.heads:
                name = str(head[0]).removeprefix(NAMESPACE)
                if len(head) == 2:
                    members[head] = DerivedMember(name, str(head[1]), why)
                elif isinstance(head[2], str):
                    pairs[head] = DerivedPair(name, str(head[1]), head[2], why)
        return Inferences(tuple(pairs.values()), tuple(members.values()))


@cache
def joins_of(ntriples: bytes) -> Joins:
    return Joins(ntriples)


def replayed(
    path: Path,
    seed: int,
    reasoner: Reasoner,
    theory: Theory,
    *,
    told: bool = False,
    forge: bool = True,
) -> list[Alert | Decision]:
    """What is alerted of, and decided, on one random capture."""
    captured = make(seed, told=told, forge=forge)
    return judged(path, captured, reasoner, theory, signatures=seed % 10 == 0)


def judged(
    path: Path,
    captured: list[tuple[int, bytes]],
    reasoner: Reasoner,
    theory: Theory,
    *,
    signatures: bool = True,
) -> list[Alert | Decision]:
    """The same on packets (time, frame)."""
    write_capture(path, [frame for _, frame in captured], [when for when, _ in captured], RAW_IP)
    matching = None
    if signatures:
        matching = SignatureAlerts([read_rule(rule) for rule in RULES], sensor="replay")
    replay = Replay(
        load_model(),
        reasoner,
        hosts=HOSTS,
        joins=joins_of(theory.ntriples),
        signatures=matching,
    )
    records = (*replay.capture(path), *replay.finish())
    return [one for one in records if isinstance(one, Alert | Decision)]


def unfounded(records: list[Alert | Decision]) -> set[tuple[object, ...]]:
    """Verified alerts, by what they are about, apart from what is expected of anybody."""
    return {(a.classification, a.target, a.target_port) for a in unfounded_alerts(records)}


def test_forged_packets_block_nobody(theory: Theory, tmp_path: Path) -> None:
    reasoner = ByChainer(theory)
    path = tmp_path / "forged.pcap"
    alerts = verified = 0
    for seed in range(CAPTURES):
        found = replayed(path, seed, reasoner, theory)
        assert not [one for one in found if isinstance(one, Decision)], seed
        own = unfounded(found)
        if own:  # then it is the victim's own doing
            own -= unfounded(replayed(path, seed, reasoner, theory, forge=False))
        assert not own, (seed, own)
        alerts += len(found)
        verified += sum(isinstance(a, Alert) and a.verified_source for a in found)
    assert alerts > 3 * CAPTURES, "a forger is seen, he only doesn't count"
    assert verified > CAPTURES // 10, "the victim's own visits are verified"


def blocked(found: list[Alert | Decision]) -> set[str]:
    return {str(one.source) for one in found if isinstance(one, Decision)}


def test_who_knows_the_servers_numbers_gets_his_block(theory: Theory, tmp_path: Path) -> None:
    """The same generator, told what the servers answer: then it was a real conversation."""
    reasoner = ByChainer(theory)
    for seed in range(TOLD):
        found = replayed(tmp_path / "told.pcap", seed, reasoner, theory, told=True)
        assert blocked(found) & set(VICTIMS.values()), seed


def visit(world: World, port: int, service: int, *said: bytes, end: int = FIN | ACK) -> Ends:
    """A real connection of the victim, all of it within a tenth of a second."""
    ends = (world.victim, port, world.target, service)
    seq = world.random.getrandbits(32)
    world.send(Packet(ends, SYN, seq), real=True)
    packets = [Packet(ends, ACK), *(Packet(ends, PSH | ACK, data=data) for data in said)]
    for packet in (*packets, *([Packet(ends, end)] if end else ())):
        world.now += 10_000
        packet.seq, packet.ack = world.truth[ends]
        world.send(packet, real=True)
    return ends


def forged(world: World, service: int, said: Callable[[int], bytes], count: int, way: str) -> None:
    """So many messages in the victim's name, each with other ports."""
    for number in range(count):
        world.now += 200_000
        ends = (world.victim, 2_000 + number, world.target, service)
        seq, ack = (world.random.getrandbits(32) for _ in range(2))
        if way != "bare":
            world.send(Packet(ends, SYN, seq))
        if way == "blind":
            world.send(Packet(ends, ACK, seq + 1, ack))
        world.send(Packet(ends, PSH | ACK, seq + 1, ack, said(number)))
        world.send(Packet(ends, FIN | ACK, seq + 1 + len(said(number)), ack))


def one_world(version: int, target: dict[int, str]) -> World:
    world = World(7, targets=target)
    world.version = version
    return world


SAID: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "forms": (80, lambda n: FORM % n),
    "basic": (80, lambda n: BASIC % n),
    "attack": (80, lambda n: ATTACKS[n % 4] % n),
    "ftp": (21, lambda n: b"PASS guess%d\r\n" % n),
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("way", ["bare", "syn", "blind"])
@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("target", [POTS, SERVERS], ids=["honeypot", "server"])
def test_one_real_login_vouches_for_nothing(
    theory: Theory, tmp_path: Path, version: int, way: str, what: str, target: dict[int, str]
) -> None:
    """A real login, a forged scan, then 200 forged messages of the same kind."""
    world = one_world(version, target)
    service, said = SAID[what]
    real = {"attack": FORM % 1, "ftp": b"PASS mistyped\r\n"}.get(what, said(1))
    if target is SERVERS and what == "ftp":
        real = said(1)  # that a signature matches once, for good reason, blocks nobody there
    visit(world, 50_000, service, real)
    for port in range(1, 60):
        world.now += 20_000
        world.send(Packet((world.victim, 3_000 + port, world.target, port), SYN, port))
    forged(world, service, said, 200, way)
    found = judged(tmp_path / "one.pcap", world.captured, ByChainer(theory), theory)
    assert not blocked(found)
    expected = {("WebAttack", 1)} if real == said(1) and what == "ftp" else set()
    assert {(a.classification, a.count) for a in unfounded_alerts(found)} == expected
    assert any(isinstance(a, Alert) and not a.verified_source for a in found)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("off", [9_000, 10**6, 2**31, 3 * 10**9])
@pytest.mark.parametrize("flags", [PSH | ACK, FIN | PSH | ACK, PSH])
@pytest.mark.parametrize("number", ["sequence", "acknowledgement"])
def test_what_is_out_of_the_window_is_no_part_of_a_real_connection(
    theory: Theory, tmp_path: Path, version: int, off: int, flags: int, number: str
) -> None:
    world = one_world(version, POTS)
    ends = visit(world, 50_000, 80, PLAIN % 1, end=0)
    for turn, said in enumerate(ATTACKS):
        seq, ack = world.truth[ends]
        if number == "sequence":
            seq += off
        else:
            ack += off
        world.send(Packet(ends, RST, seq + off, ack))
        world.send(Packet(ends, flags, seq, ack, said % turn))
    seq, ack = world.truth[ends]
    world.send(Packet(ends, PSH | ACK, seq, ack, PLAIN % 2), real=True)
    found = judged(tmp_path / "one.pcap", world.captured, ByChainer(theory), theory)
    assert not blocked(found) and not unfounded(found)
    contacts = [a for a in found if isinstance(a, Alert) and a.classification == "HoneypotContact"]
    (contact,) = (a for a in contacts if a.stage == "original")
    assert contact.verified_source and contact.count == 1


def test_the_same_in_the_window_is_the_attackers_own(theory: Theory, tmp_path: Path) -> None:
    """So that the test above can fail."""
    world = one_world(4, POTS)
    visit(world, 50_000, 80, PLAIN % 1, *(said % 1 for said in ATTACKS))
    found = judged(tmp_path / "one.pcap", world.captured, ByChainer(theory), theory)
    assert blocked(found) == {world.victim}


def unfounded_alerts(found: list[Alert | Decision]) -> list[Alert]:
    return [
        a for a in found
        if isinstance(a, Alert) and a.verified_source and a.classification not in INNOCENT
    ]  # fmt: skip


@pytest.mark.slow
def test_pellet_decides_the_same(theory: Theory, tmp_path: Path) -> None:
    with PelletWorker(theory) as worker:
        for seed in range(PELLET):
            for told in (False, True):
                path = tmp_path / "pellet.pcap"
                found = replayed(path, seed, worker, theory, told=told)
                assert bool(blocked(found)) == told, seed
