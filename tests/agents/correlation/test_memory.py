from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.memory import OTHERS, SAME_PAIR, SAME_SOURCE, AlertMemory
from agents.settings import Policy
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window, alert_hosts, build_window
from ontology.records import Address, Alert, HostProfile

S = 1_000_000
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


def memory_of(alerts: Iterable[Alert], capacity: int = 1000) -> AlertMemory:
    memory = AlertMemory(horizon_us=100 * S, capacity=capacity)
    for one in alerts:
        memory.put(one)
    return memory


def test_context_shares_a_host_and_is_bounded() -> None:
    rnd = random.Random(1)
    memory = memory_of(alert(i, rnd.randrange(4), rnd.randrange(4), i) for i in range(900))
    new = alert(1000, 1, 2, 900)
    context = memory.context(new)
    assert len(context) == SAME_PAIR + SAME_SOURCE + OTHERS and memory.left_out > 0
    hosts = frozenset().union(*alert_hosts(new))
    assert all(hosts & frozenset().union(*alert_hosts(a)) for a in context)
    pair = context[:SAME_PAIR]
    assert all((a.source, a.target) == (new.source, new.target) for a in pair)
    assert pair == sorted(pair, key=lambda a: -a.end_us)


def test_a_target_that_attacks_in_its_turn_is_joined() -> None:
    first = alert(1, 1, 2)
    pivot = replace(alert(2, 3, 4), source=first.target)
    assert memory_of([first]).context(pivot) == [first]


def test_old_and_surplus_alerts_are_forgotten() -> None:
    memory = memory_of([alert(i, 1, i, at_s=i) for i in range(20)], capacity=10)
    assert len(memory) == 10 and memory.evicted == 10
    memory.prune(now_us=115 * S)
    assert [a.end_us // S for a in memory.context(alert(99, 1, 99))] == [19, 18, 17, 16, 15]


def test_a_replaced_alert_is_gone_from_every_index() -> None:
    memory = memory_of([alert(1, 1, 1), alert(2, 1, 2)])
    memory.put(alert(1, 3, 3), replaces=[alert(2, 0, 0).id])
    assert len(memory) == 1 and memory.context(alert(9, 1, 2)) == []


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
def test_small_windows_conclude_what_one_big_window_does(seed: int, worker: PelletWorker) -> None:
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
    core = CorrelationEngine(hosts, Policy(), origin="test", reasoner=step_by_step)
    for one in alerts:
        core.on_alerts([one], one.end_us)
    everything = core._memory
    at_once.reason(build_window(everything._alerts.values(), {h.address: h for h in hosts}), 60.0)
    assert len(everything) == 60 and step_by_step.facts == at_once.facts
