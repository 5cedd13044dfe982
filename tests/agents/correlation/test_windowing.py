"""Reasoning by locality, tick by tick, concludes what one run over everything concludes."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.settings import Policy
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window
from ontology.records import Alert, HostProfile

S = 1_000_000
POTS = [IPv4Address("198.51.100.1") + i for i in range(3)]
CLASSES = ("SynScan", "TcpSweep", "SshBruteForce", "SqlInjection", "UdpFlood", "UnknownAnomaly")
Facts = set[tuple[str, ...]]


def facts_of(found: Inferences) -> Facts:
    return {(p.property, p.subject, p.object) for p in found.pairs} | {
        (m.name, m.individual) for m in found.members
    }


class Recorder:
    """A reasoner that keeps what it was asked and what it answered."""

    def __init__(self, worker: PelletWorker) -> None:
        self._worker = worker
        self.lines: set[bytes] = set()
        self.found: Facts = set()
        self.windows = 0

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        found = self._worker.reason(window, timeout_s)
        self.lines |= set(window.ntriples.splitlines())
        self.found |= facts_of(found)
        self.windows += 1
        return found


def stream(seed: int, alerts: int, hosts: int) -> list[Alert]:
    """Alerts far enough apart not to be fused, over half a day."""
    rnd = random.Random(seed)
    plain = [IPv4Address("203.0.113.1") + i for i in range(hosts)]
    return [
        Alert(
            id=f"urn:uuid:{i:032x}",
            classification=rnd.choice(CLASSES),
            source=IPv4Address("192.0.2.1") + rnd.randrange(hosts) if rnd.random() < 0.95 else None,
            target=rnd.choice([*POTS, *plain]),
            targets=tuple(rnd.sample(POTS, 2)) if rnd.random() < 0.2 else (),
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


@pytest.mark.parametrize("seed", range(6))
def test_tick_by_tick_is_the_same_as_one_run(seed: int, worker: PelletWorker) -> None:
    recorder = Recorder(worker)
    hosts = [HostProfile(id=f"urn:p:{a}", address=a, roles=("Honeypot",)) for a in POTS]
    core = CorrelationEngine(hosts, Policy(), origin="c@test", reasoner=recorder)
    rnd = random.Random(seed)
    todo = stream(seed, 60, 14)
    rnd.shuffle(todo)  # late ones too
    while todo:
        tick, todo = todo[:7], todo[7:]
        core.on_alerts(tick, 86_000 * S)
    assert recorder.windows > 5 and core.counters["failed_windows"] == 0
    whole = Window(b"\n".join(sorted(recorder.lines)) + b"\n", 60)
    assert recorder.found == facts_of(worker.reason(whole, 30.0))
    assert recorder.found


def test_what_has_no_room_is_counted(worker: PelletWorker) -> None:
    core = CorrelationEngine((), Policy(), origin="c@test", reasoner=worker)
    core.on_alerts(stream(1, 80, 1), 86_000 * S)
    assert core.counters["left_out"] > 0
