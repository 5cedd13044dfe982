from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import Window, build_window
from ontology.records import Address, HostProfile
from ontology.theory import Theory
from tests.factories import make_alert, record_id

RULES = Path(__file__).resolve().parents[2] / "rules"


@pytest.fixture(scope="session")
def knowledge() -> bytes:
    with KnowledgeBase(
        [ontology_path(), RULES / "correlation.owl", RULES / "reaction.owl"]
    ) as base:
        return base.ntriples()


@pytest.fixture(scope="session")
def theory(knowledge: bytes) -> Theory:
    return Theory.from_ntriples(knowledge)


@pytest.fixture(scope="session")
def worker(theory: Theory) -> Iterator[PelletWorker]:
    with PelletWorker(theory) as started:
        yield started


def _random_window(seed: int, alerts: int) -> Window:
    rnd = random.Random(seed)
    pots: list[Address] = [IPv4Address("198.51.100.1") + i for i in range(3)]
    pots.append(IPv6Address("2001:db8::1"))
    hosts: list[Address] = [*pots, IPv4Address("203.0.113.9"), IPv6Address("2001:db8::9")]
    classes = ["SynScan", "TcpSweep", "SshBruteForce", "SqlInjection", "UdpFlood", "UnknownAnomaly"]
    made = [
        make_alert(
            id=record_id(i),
            classification=rnd.choice(classes),
            source=IPv4Address("192.0.2.1") + rnd.randrange(4) if rnd.random() < 0.9 else None,
            target=rnd.choice(hosts) if rnd.random() < 0.8 else None,
            targets=tuple(rnd.sample(hosts, rnd.randrange(3))),
            begin_us=rnd.choice([0, 1, 5, 90_000, 100_000]) * 1_000_000,
            end_us=100_000_000_000,
            confidence=0.5,
            verified_source=rnd.random() < 0.5,
        )
        for i in range(alerts)
    ]
    profiles = {
        pot: HostProfile(id=f"urn:ontoidps:profile:{pot}", address=pot, roles=("Honeypot",))
        for pot in pots
    }
    return build_window(made, profiles)


@pytest.fixture(scope="session")
def random_window() -> Callable[[int, int], Window]:
    """(seed, number of alerts) → window."""
    return _random_window
