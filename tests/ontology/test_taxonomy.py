from __future__ import annotations

import json
import threading

import pytest
import rdflib
from rdflib import RDFS

from ontology import taxonomy as t
from ontology.fragments import FragmentError, decode, encode
from ontology.knowledge_base import ontology_path
from ontology.vocabulary import NAMESPACE
from tests.factories import make_alert

WITH_PROBE = t.Taxonomy({**t.installed().parents, "RedisProbe": ("Scan",)})


def test_classes_are_those_of_the_file() -> None:
    graph = rdflib.Graph().parse(ontology_path(), format="xml")
    for root, classes in t.installed().under.items():
        below = graph.transitive_subjects(RDFS.subClassOf, rdflib.URIRef(NAMESPACE + root))
        assert {str(one).removeprefix(NAMESPACE) for one in below} == {*classes, root}
    assert {"Scan", "SynScan", "UnknownAnomaly"} <= t.ATTACK_CLASSES
    assert not t.ATTACK_CLASSES & t.INCIDENT_CLASSES and "Attack" not in t.ATTACK_CLASSES
    assert {"Honeypot", "Gateway", "ProtectedHost"} <= t.HOST_CLASSES
    assert t.TRAFFIC_CLASSES - t.ATTACK_CLASSES == {t.NORMAL}


def test_superclasses_come_nearest_first() -> None:
    assert t.superclasses("SynScan") == ("PortScan", "Scan", "Attack")
    assert t.superclasses("SynFlood") == ("Flood", "DenialOfService", "Invalidation", "Attack")
    assert t.superclasses("Attack") == t.superclasses("Host") == ()
    both = t.Taxonomy({**t.installed().parents, "Two": ("Flood", "SynScan")})
    assert both.superclasses("Two")[:2] == ("Flood", "SynScan")


def test_a_table_survives_its_text() -> None:
    assert t.Taxonomy.from_text(WITH_PROBE.text) == WITH_PROBE
    assert WITH_PROBE.digest != t.installed().digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "not JSON"),
        ("[]", "not a table"),
        ('{"A": "Attack"}', "not a table"),
        ('{"<x>": ["Attack"]}', "is no name"),
        ('{"A": ["Attack"]}', "no class is below Incident"),
        (json.dumps({f"A{n}": ["Attack"] for n in range(3000)}), "at most 2000"),
        (" " * 200_000, "characters"),
    ],
    ids=["nested", "list", "text", "name", "root", "many", "long"],
)
def test_what_is_no_table_is_refused(text: str, words: str) -> None:
    with pytest.raises(t.TaxonomyError, match=words):
        t.Taxonomy.from_text(text)


def test_a_class_in_a_circle_is_below_nothing_new() -> None:
    odd = t.Taxonomy({**t.installed().parents, "A": ("B",), "B": ("A", "Scan")})
    assert odd.superclasses("A") == ("B", "Scan", "Attack")


def test_a_new_class_serves_at_once_and_only_where_it_is_in_force() -> None:
    alert = make_alert(classification="RedisProbe")
    with pytest.raises(FragmentError, match="no such class"):
        encode([alert])
    with t.tried(WITH_PROBE):
        text = encode([alert])
        seen: list[bool] = []
        other = threading.Thread(target=lambda: seen.append("RedisProbe" in t.ATTACK_CLASSES))
        other.start()
        other.join()
        assert seen == [False]
    t.put_in_force(WITH_PROBE)
    assert decode(text) == (alert,) and t.superclasses("RedisProbe") == ("Scan", "Attack")
    t.put_in_force(None)
    assert "RedisProbe" not in t.ATTACK_CLASSES
