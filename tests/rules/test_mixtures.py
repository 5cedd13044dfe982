"""Random mixtures of the samples of all shipped rules: Pellet, chainer and explanations agree."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from ontology.chainer.chainer import Chainer
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import Window, build_window
from ontology.records import Address, Alert, HostProfile
from ontology.theory import Theory
from ontology.vocabulary import IDPS
from rules.shipped_files import rule_paths, sample_paths, scenario_samples_path
from tests.derivations import assert_explained, explained
from tests.factories import make_alert

WINDOWS = 160
EXPLAINED = 40
COUNTING = {"MultiGatewayProbe", "MultiHoneypotProbe"}
"""They read counts, which samples don't have: `tests/agents/correlation/test_ratings.py`."""
HOSTS = [ip_address(f"198.51.100.{i}") for i in range(1, 7)]


def all_samples() -> list[dict[str, Any]]:
    made = json.loads(scenario_samples_path().read_text(encoding="utf-8"))
    return made + [json.loads(path.read_text(encoding="utf-8")) for path in sample_paths()]


def mixture(seed: int, samples: list[dict[str, Any]]) -> Window:
    """Two to four samples on the same few hosts, within two hours, a tenth of the alerts gone."""
    rnd = random.Random(seed)
    alerts: list[Alert] = []
    roles: dict[Address, set[str]] = {}
    for sample in rnd.sample(samples, rnd.randint(2, 4)):
        rows = sample["fires"]["alerts"]
        named = sorted({row[side] for row in rows for side in ("source", "target") if row[side]})
        hosts = dict(zip(named, rnd.sample(HOSTS, len(named)), strict=True))
        for address, role in sample["hosts"].items():
            roles.setdefault(hosts.get(address, HOSTS[0]), set()).add(role)
        late = rnd.choice((0, 30, 3600))
        for row in rows:
            begin_us = 1_700_000_000_000_000 + round((row["at_s"] + late) * 1_000_000)
            alerts.append(
                make_alert(
                    id=f"urn:uuid:{rnd.getrandbits(128):032x}",
                    classification=row["class"],
                    source=hosts[row["source"]] if row["source"] else None,
                    target=hosts[row["target"]] if row["target"] else None,
                    begin_us=begin_us,
                    end_us=begin_us + rnd.choice((1, 45_000_000)),
                    confidence=1.0,
                    verified_source=row["verified_source"],
                    cluster_number=0 if "cluster_name" in row else None,
                    cluster_name=row.get("cluster_name"),
                    cluster_distance=row.get("cluster_distance"),
                )
            )
    profiles = {
        host: HostProfile(
            id=f"urn:ontoidps:profile:{host}", address=host, roles=tuple(sorted(names))
        )
        for host, names in roles.items()
    }
    kept = [alert for alert in alerts if rnd.random() < 0.9]
    return build_window(kept, profiles, {IDPS.clusterName, IDPS.clusterDistance})


@pytest.fixture(scope="module")
def shipped() -> Theory:
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        return Theory.from_ntriples(base.ntriples())


@pytest.fixture(scope="module")
def worker(shipped: Theory) -> Iterator[PelletWorker]:
    with PelletWorker(shipped) as started:
        yield started


def test_all_shipped_rules_fire_without_a_difference(shipped: Theory, worker: PelletWorker) -> None:
    chainer, samples = Chainer(shipped.ntriples), all_samples()
    fired: set[str] = set()
    for seed in range(WINDOWS):
        window = mixture(seed, samples)
        closure = chainer.close(window.ntriples)
        found = worker.reason(window, 30.0)
        assert explained(found).keys() == closure.conclusions(shipped), seed
        fired |= {firing.rule for firing in closure.firings}
    assert fired | COUNTING == {rule.label for rule in shipped.rules}
    assert worker.counters["whole_windows"] == 0


def test_of_all_shipped_rules_every_fact_in_an_explanation_is_needed(
    shipped: Theory, worker: PelletWorker
) -> None:
    chainer, samples = Chainer(shipped.ntriples), all_samples()
    rules = set()
    for seed in range(EXPLAINED):
        window = mixture(1000 + seed, samples)
        found = worker.reason(window, 30.0)
        assert_explained(found, window, shipped, chainer)
        rules |= {label for why in explained(found).values() for label in why.rules}
    assert len(rules) > len(shipped.rules) * 3 // 4
