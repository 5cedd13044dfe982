"""Nobody is blocked on what an off-path forger writes in his name (decision 5).

``ONTOIDPS_FORGED_CAPTURES=10000 pytest tests/e2e/test_forged.py`` makes more captures than the
suite does. Captures go through sensor, analyzer and correlation as in ``ontoidps replay``; rules
are evaluated by the chainer (`ontology.chainer`), which other tests hold to Pellet's word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
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
from tests.e2e.forger import POTS, RAW_IP, VICTIMS, make

CAPTURES = int(os.environ.get("ONTOIDPS_FORGED_CAPTURES", "150"))
TOLD = 12
PELLET = 8
RULES = (
    'alert tcp any any -> any any (msg:"form"; content:"password="; '
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
) -> Iterator[Alert | Decision]:
    """What is alerted of, and decided, on one random capture."""
    captured = make(seed, told=told, forge=forge)
    write_capture(path, [frame for _, frame in captured], [when for when, _ in captured], RAW_IP)
    matching = None
    if seed % 10 == 0:
        matching = SignatureAlerts([read_rule(rule) for rule in RULES], sensor="replay")
    replay = Replay(
        load_model(),
        reasoner,
        hosts=HOSTS,
        joins=joins_of(theory.ntriples),
        signatures=matching,
    )
    for record in (*replay.capture(path), *replay.finish()):
        if isinstance(record, Alert | Decision):
            yield record


def unfounded(records: list[Alert | Decision]) -> set[tuple[object, ...]]:
    """Verified alerts, by what they are about, apart from what is expected of anybody."""
    return {
        (alert.classification, alert.target, alert.target_port)
        for alert in records
        if isinstance(alert, Alert)
        and alert.verified_source
        and alert.classification not in INNOCENT
    }


def test_forged_packets_block_nobody(theory: Theory, tmp_path: Path) -> None:
    reasoner = ByChainer(theory)
    path = tmp_path / "forged.pcap"
    alerts = verified = 0
    for seed in range(CAPTURES):
        found = list(replayed(path, seed, reasoner, theory))
        assert not [one for one in found if isinstance(one, Decision)], seed
        own = unfounded(found)
        if own:  # then it is the victim's own doing
            own -= unfounded(list(replayed(path, seed, reasoner, theory, forge=False)))
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
        found = list(replayed(tmp_path / "told.pcap", seed, reasoner, theory, told=True))
        assert blocked(found) & set(VICTIMS.values()), seed


@pytest.mark.slow
def test_pellet_decides_the_same(theory: Theory, tmp_path: Path) -> None:
    with PelletWorker(theory) as worker:
        for seed in range(PELLET):
            for told in (False, True):
                path = tmp_path / "pellet.pcap"
                found = list(replayed(path, seed, worker, theory, told=told))
                assert bool(blocked(found)) == told, seed
