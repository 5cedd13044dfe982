"""Reasoning by locality, tick by tick, concludes what one run over everything concludes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from agents.correlation import memory, packing
from agents.correlation.engine import CorrelationEngine
from agents.correlation.memory import Allowance
from agents.settings.honeynet import Policy
from ontology.chainer.chainer import Chainer
from ontology.chainer.joins import Joins
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window, build_window
from ontology.records import Address, Alert, HostProfile
from ontology.taxonomy import ATTACK_CLASSES
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from ontology.window_terms import PAPER

S = 1_000_000
POTS: list[Address] = [IPv4Address("198.51.100.1") + i for i in range(3)]
PROFILES: dict[Address, HostProfile] = {
    a: HostProfile(id=f"urn:p:{a}", address=a, roles=("Honeypot",)) for a in POTS
}
CLASSES = ("SynScan", "TcpSweep", "SshBruteForce", "SqlInjection", "UdpFlood", "UnknownAnomaly")
Facts = set[tuple[str, ...]]


def facts_of(found: Inferences) -> Facts:
    return {(p.property, p.subject, p.object) for p in found.pairs} | {
        (m.name, m.individual) for m in found.members
    }


class Recorder:
    """A reasoner that keeps what it answered."""

    def __init__(self, worker: PelletWorker) -> None:
        self._worker = worker
        self.found: Facts = set()
        self.windows = 0

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        found = self._worker.reason(window, timeout_s)
        self.found |= facts_of(found)
        self.windows += 1
        return found


class SecondOpinion:
    """The chainer in Pellet's place, so that many streams can be looked at."""

    def __init__(self, theory: Theory) -> None:
        self._theory = theory
        self._chainer = Chainer(theory.ntriples)
        self.found: Facts = set()

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        self.found |= self.conclusions(window)
        return Inferences()

    def conclusions(self, window: Window) -> Facts:
        closure = self._chainer.close(window.ntriples)
        assert not closure.contradiction
        return {
            (name.removeprefix(NAMESPACE), *rest)
            for name, *rest in closure.conclusions(self._theory)
        }


def stream(seed: int, alerts: int, hosts: int, classes: Sequence[str] = CLASSES) -> list[Alert]:
    """Alerts far enough apart not to be fused, over half a day; hosts attack each other, too."""
    rnd = random.Random(seed)
    plain = [IPv4Address("203.0.113.1") + i for i in range(hosts)]
    attackers = [IPv4Address("192.0.2.1") + i for i in range(hosts)] + plain[:3] + POTS[:1]
    return [
        Alert(
            id=f"urn:uuid:{i:032x}",
            classification=rnd.choice(classes),
            source=rnd.choice(attackers) if rnd.random() < 0.95 else None,
            target=rnd.choice([*POTS, *plain]) if rnd.random() < 0.9 else None,
            sources=tuple(rnd.sample(attackers, 2)) if rnd.random() < 0.05 else (),
            targets=tuple(rnd.sample([*POTS, *plain], 4)) if rnd.random() < 0.2 else (),
            protocol=6,
            begin_us=i * 120 * S,
            end_us=i * 120 * S + S,
            confidence=0.9,
            verified_source=rnd.random() < 0.5,
            sensor="s",
            analyzer="a",
            explanation="",
        )
        for i in range(alerts)
    ]


def in_ticks(core: CorrelationEngine, alerts: list[Alert], size: int, seed: int) -> None:
    todo = list(alerts)
    random.Random(seed).shuffle(todo)  # late ones too
    while todo:
        tick, todo = todo[:size], todo[size:]
        core.on_alerts(tick, 86_000 * S)


def remembered(core: CorrelationEngine) -> Window:
    """Everything at once, with all hosts."""
    return build_window([e.alert for e in core._memory._entries.values()], PROFILES)


@pytest.mark.parametrize("seed", range(4))
def test_tick_by_tick_is_the_same_as_one_run(seed: int, worker: PelletWorker, joins: Joins) -> None:
    recorder = Recorder(worker)
    core = CorrelationEngine(
        tuple(PROFILES.values()), Policy(), origin="c@test", reasoner=recorder, joins=joins
    )
    in_ticks(core, stream(seed, 60, 20), 7, seed)
    assert recorder.windows > 5 and core.counters["failed_windows"] == 0
    assert core.counters["left_out"] == 0
    assert recorder.found == facts_of(worker.reason(remembered(core), 30.0))
    assert recorder.found


@pytest.mark.parametrize("seed", range(8))
def test_with_room_for_all_nothing_is_lost(
    seed: int, theory: Theory, joins: Joins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the choice of alerts nor by that of their hosts; all classes, few hosts."""
    for name in ("PAIRS", "CHAINS"):
        monkeypatch.setattr(memory, name, Allowance(hosts=10**6, newest=10**6))
    for name in ("PAIRED_HOSTS", "SOURCE_ALERTS"):
        monkeypatch.setattr(packing, name, 10**6)
    opinion = SecondOpinion(theory)
    core = CorrelationEngine(
        tuple(PROFILES.values()), Policy(), origin="c@test", reasoner=opinion, joins=joins
    )
    classes = sorted(ATTACK_CLASSES) if seed % 2 else CLASSES
    in_ticks(core, stream(seed, 50, 4, classes), 1 + seed, seed)
    assert core.counters["left_out"] == 0
    assert opinion.conclusions(remembered(core)) == opinion.found
    assert len(opinion.found) > 10


def test_what_has_no_room_is_counted(worker: PelletWorker, joins: Joins) -> None:
    core = CorrelationEngine((), Policy(), origin="c@test", reasoner=worker, joins=joins)
    core.on_alerts(stream(1, 80, 1, ["SynScan"]), 86_000 * S)
    assert core.counters["left_out"] > 0


OF_COUNTS = {PAPER + name for name in ("RiskFinding", "risk", "reliability")}
"""What is concluded by counts depends on when it was asked."""


@pytest.mark.parametrize("seed", range(6))
def test_with_room_for_all_the_rules_of_the_paper_lose_nothing(
    seed: int, paper_theory: Theory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAIRS", "CHAINS"):
        monkeypatch.setattr(memory, name, Allowance(hosts=10**6, newest=10**6))
    for name in ("PAIRED_HOSTS", "SOURCE_ALERTS"):
        monkeypatch.setattr(packing, name, 10**6)
    opinion = SecondOpinion(paper_theory)
    core = CorrelationEngine(
        tuple(replace(pot, asset_value=5) for pot in PROFILES.values()),
        Policy(paper_rules=True, minimum_risk=1.0),
        origin="c@test",
        reasoner=opinion,
        joins=Joins(paper_theory.ntriples),
    )
    in_ticks(core, stream(seed, 50, 4, [*CLASSES, "BufferOverflow", "NetBiosScan"]), 1 + seed, seed)
    whole = core._rater.window([e.alert for e in core._memory._entries.values()])
    expected = opinion.conclusions(whole)
    assert {f for f in opinion.found ^ expected if f[0] not in OF_COUNTS} == set()
    names = {fact[0] for fact in expected}
    wanted = {"NodeUnderBufferOverflow", "alertCorrelation", "stateReached"}
    assert wanted <= {name.rpartition("#")[2] for name in names}
    # What no other rule can use goes to the reasoner for its risk, and for that alone.
    assert core.counters["spared"] > 0
    assert PAPER + "RiskFinding" in {fact[0] for fact in opinion.found}
