from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.memory import PAIRS, UNKNOWN, AlertMemory
from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window, alert_hosts, build_window
from ontology.records import Address, Alert, HostProfile

S = 1_000_000
POTS = [IPv4Address("198.51.100.200") + i for i in range(4)]
CLASSES = ("SynScan", "SshBruteForce", "SqlInjection", "UnknownAnomaly")


def alert(
    number: int, source: int, target: int, at_s: int = 0, name: str = "SynScan", port: int = 0
) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=name,
        source=IPv4Address("192.0.2.0") + source,
        target=IPv4Address("198.51.100.0") + target,
        target_port=port,
        protocol=6,
        begin_us=at_s * S,
        end_us=at_s * S,
        confidence=0.9,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
    )


def memory_of(
    alerts: Iterable[Alert], capacity: int = 1000, joins: Joins | None = None
) -> AlertMemory:
    memory = AlertMemory(horizon_us=100 * S, capacity=capacity, joins=joins)
    for one in alerts:
        memory.put(one)
    return memory


def test_context_shares_a_host_and_is_bounded() -> None:
    rnd = random.Random(1)
    memory = memory_of(alert(i, rnd.randrange(4), rnd.randrange(4), i) for i in range(900))
    new = alert(1000, 1, 2, 900)
    context = [member.alert for member in memory.context(new).values()]
    # Same pair, same source and same target (a pair is both).
    assert len(context) <= 3 * UNKNOWN.newest and memory.left_out > 0
    hosts = frozenset().union(*alert_hosts(new))
    assert all(hosts & frozenset().union(*alert_hosts(a)) for a in context)
    pair = context[: UNKNOWN.newest]
    assert all((a.source, a.target) == (new.source, new.target) for a in pair)
    assert pair == sorted(pair, key=lambda a: -a.end_us)


def test_only_what_a_rule_can_join_goes_along(joins: Joins) -> None:
    past = [
        alert(1, 1, 1, 0, "Unheard"),
        alert(2, 1, 1, 1, "SynScan"),
        alert(3, 1, 2, 2, "SynScan"),
        alert(4, 2, 1, 3, "SynScan"),
        alert(5, 1, 1, 9, "SynScan"),
        alert(6, 1, 1, 3, "SqlInjection"),
    ]
    memory = memory_of(past, joins=joins)
    guess = alert(7, 1, 1, 5, "SshBruteForce")
    # The scan of this host by this source, and the other that correlates with it: not what came
    # later, from elsewhere, or is no scan.
    assert list(memory.context(guess)) == [past[1].id, past[2].id]
    assert not memory.context(alert(8, 1, 3, 5, "SshBruteForce"))
    assert not memory.matters(past[0]) and memory.matters(guess)
    assert memory.left_out == 0


def test_of_alerts_that_are_asked_about_together_the_later_one_gets_the_other(
    joins: Joins,
) -> None:
    scan, guess = alert(1, 1, 1, 0), alert(2, 1, 1, 5, "SshBruteForce")
    memory = memory_of([scan, guess], joins=joins)
    together = {scan.id, guess.id}
    assert list(memory.context(guess, together)) == [scan.id]
    assert not memory.context(scan, together)
    assert list(memory.context(scan)) == [guess.id]


def test_many_sweeps_have_less_room_than_many_scans(joins: Joins) -> None:
    """Rules pair the hosts of one with the hosts of another."""
    scans = [alert(i, 1, i, i) for i in range(PAIRS.hosts)]
    sweeps = [replace(a, targets=tuple(POTS)) for a in scans]
    new = alert(99, 1, 99, 99)
    assert len(memory_of(scans, joins=joins).context(new)) == len(scans)
    memory = memory_of(sweeps, joins=joins)
    assert len(memory.context(new)) == PAIRS.newest
    assert memory.left_out == len(sweeps) - PAIRS.newest


def test_other_rules_choose_otherwise(joins: Joins) -> None:
    noise = alert(1, 1, 1, 0, "Unheard")
    memory = memory_of([noise], joins=joins)
    new = alert(2, 1, 1, 5)
    assert not memory.context(new)
    memory.set_joins(None)
    assert list(memory.context(new)) == [noise.id] and memory.matters(noise)
    assert memory.get(noise.id) == noise and memory.count_from(noise.source) == 1  # type: ignore[arg-type]


def test_a_target_that_attacks_in_its_turn_is_joined() -> None:
    first = alert(1, 1, 2)
    pivot = replace(alert(2, 3, 4), source=first.target)
    assert list(memory_of([first]).context(pivot)) == [first.id]


def test_old_and_surplus_alerts_are_forgotten() -> None:
    memory = memory_of([alert(i, 1, i, at_s=i) for i in range(20)], capacity=10)
    assert len(memory) == 10 and memory.evicted == {True: 10}
    memory.prune(now_us=115 * S)
    assert [m.alert.end_us // S for m in memory.context(alert(99, 1, 99)).values()] == [
        19,
        18,
        17,
        16,
        15,
    ]


def test_a_replaced_alert_is_gone_from_every_index() -> None:
    memory = memory_of([alert(1, 1, 1), alert(2, 1, 2)])
    memory.put(alert(1, 3, 3), replaces=[alert(2, 0, 0).id])
    assert len(memory) == 1 and memory.context(alert(9, 1, 2)) == {}


def test_what_came_long_ago_is_forgotten_whenever_it_ended() -> None:
    memory = memory_of([])
    memory.put(alert(1, 1, 1, at_s=5000), come_us=100 * S)
    memory.put(alert(2, 1, 2, at_s=7), come_us=150 * S)
    memory.prune(200 * S)
    assert len(memory) == 2
    memory.set_joins(None)
    memory.prune(225 * S)
    assert memory.get(alert(1, 1, 1).id) is None and memory.get(alert(2, 1, 2).id) is not None
    memory.put(alert(2, 1, 2, at_s=8), come_us=230 * S)
    memory.prune(300 * S)
    assert len(memory) == 1


class Recorder:
    """Passes windows on and keeps what was concluded."""

    def __init__(self, worker: PelletWorker) -> None:
        self._worker = worker
        self.facts: set[tuple[str, ...]] = set()

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        found = self._worker.reason(window, timeout_s)
        self.facts |= {(p.property, p.subject, p.object) for p in found.pairs}
        self.facts |= {(m.name, m.individual) for m in found.members}
        return found


@pytest.mark.parametrize("seed", range(3))
def test_small_windows_conclude_what_one_big_window_does(
    seed: int, worker: PelletWorker, joins: Joins
) -> None:
    rnd = random.Random(seed)
    alerts = [
        # Ports tell the attacks apart, minutes the scans: nothing is fused.
        alert(i, rnd.randrange(5), rnd.randrange(5), i * 100, rnd.choice(CLASSES), i)
        for i in range(60)
    ]
    pots: list[Address] = [IPv4Address("198.51.100.0") + i for i in range(2)]
    hosts = [
        HostProfile(id=f"urn:ontoidps:profile:{p}", address=p, roles=("Honeypot",)) for p in pots
    ]
    step_by_step, at_once = Recorder(worker), Recorder(worker)
    core = CorrelationEngine(hosts, Policy(), origin="test", reasoner=step_by_step, joins=joins)
    for one in alerts:
        core.on_alerts([one], one.end_us)
    everything = core._memory
    alerts = [entry.alert for entry in everything._entries.values()]
    at_once.reason(build_window(alerts, {h.address: h for h in hosts}), 60.0)
    assert len(everything) == 60 and step_by_step.facts == at_once.facts


def forged(number: int, source: int, target: int, at_s: int = 0, name: str = "SynScan") -> Alert:
    return replace(alert(number, source, target, at_s, name), verified_source=False)


def test_what_may_be_forged_pushes_out_nothing_that_is_verified() -> None:
    memory = memory_of([alert(i, i, i) for i in range(10)], capacity=10)
    memory.put(forged(50, 1, 1, name="UdpScan"))
    for i in range(100, 600):
        memory.put(forged(i, i % 200, i % 7, at_s=i % 90, name="HoneypotContact"))
    assert all(memory.get(alert(i, 0, 0).id) is not None for i in range(10))
    assert len(memory) <= 10 + 2 and memory.evicted[True] == 0 < memory.evicted[False]
    # Each in its order: what is over goes, of both.
    memory.prune(now_us=10_000 * S)
    assert len(memory) == 0 and not memory._places


def test_of_many_the_verified_ones_go_along_before_newer_ones_that_may_be_forged(
    joins: Joins,
) -> None:
    real = alert(1, 1, 1, 0)
    flood = [forged(i, 1, i % 200, i) for i in range(2, 90)]
    memory = memory_of([real, *flood], joins=joins)
    context = list(memory.context(alert(99, 1, 199, 99)))
    assert context[0] == real.id and len(context) == PAIRS.newest
