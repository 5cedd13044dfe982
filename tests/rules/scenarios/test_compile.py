"""Attack models: read and refused, unified, compiled, drawn; what is shipped is what they give."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import NamedNode, RdfFormat, parse

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import build_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE, TERMS
from rules.scenarios.attack_models import (
    Condition,
    ModelError,
    Predicate,
    Term,
    parse_models,
    read_models,
)
from rules.scenarios.compile import compile_models, unify
from rules.scenarios.compiled_files import compile_folder, differing, write_files
from rules.scenarios.scenario_rules import compiled_rules
from rules.shipped_files import models_path, shipped_models

FIGURES = Path(__file__).parents[3] / "docs" / "figures"


def changed(*edits: tuple[str, str]) -> bytes:
    """The shipped models with some text replaced, everywhere."""
    text = models_path().read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def test_what_is_shipped_is_what_the_models_and_tables_give() -> None:
    """Else: `ontoidps rules compile --figures docs/figures`."""
    folder = models_path().parent
    result = compile_folder(folder)
    files = {folder / name: text for name, text in result.files.items()}
    files |= {FIGURES / name: text for name, text in result.figures.items()}
    assert differing(files) == []


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = models_path().parent
    one, other = compile_folder(folder), compile_folder(folder)
    assert one.files == other.files and one.figures == other.figures
    files = {tmp_path / name: text for name, text in one.files.items()}
    assert len(differing(files)) == len(files)
    write_files(files)
    assert differing(files) == [] and len(list(tmp_path.iterdir())) == len(files)


def test_mitnick_is_linked_as_in_the_paper() -> None:
    compiled = shipped_models()
    links = {
        (link.earlier.name, link.later.name, str(link.condition))
        for link in compiled.links
        if "mitnick" in link.earlier.scenarios and link.later.kind != "countermeasure"
    }
    assert links == {
        ("syn-flood", "spoofed-remote-login", "deny-of-service(H1)"),
        (
            "tcp-sequence-prediction",
            "spoofed-remote-login",
            "knows(A, following-tcp-sequence(H2))",
        ),
        ("spoofed-remote-login", "illegal-remote-login", "remote-login(A, U, H2)"),
    }
    anti = {(a.measure.name, a.step.name) for a in compiled.anti_links}
    assert ("undo-deny-of-service", "spoofed-remote-login") in anti
    assert ("kill-remote-login", "illegal-remote-login") in anti


def test_indirect_correlation_names_the_rules_in_between() -> None:
    (link,) = [
        link
        for link in shipped_models().links
        if (link.earlier.name, link.later.name) == ("sadmind-overflow", "install-mstream")
    ]
    assert link.through == ("root-is-local",)
    assert set(link.joins) == {("source", "source"), ("target", "target")}
    (rule,) = [r for r in compiled_rules(shipped_models()) if "ThenInstallMstream" in r.label][:1]
    assert "by root-is-local" in rule.comment


def test_every_rule_joins_its_alerts_on_a_host() -> None:
    """What is not local to a shared host would join everything with everything."""
    for step in shipped_models().steps:
        assert all(link.joins for link in step.links), step.label


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (
            [("<idps:parameterTypes>host service<", "<idps:parameterTypes>host<")],
            "model 'sadmind-overflow', condition SadmindOverflow_pre2: runs-service takes 1 "
            "arguments (host), has 2",
        ),
        (
            [("<idps:parameterTypes>host service<", "<idps:parameterTypes>host user<")],
            "argument 2 of runs-service is of type user, 'sadmind' is of type service",
        ),
        (
            [("<idps:evidencedBy>RpcProbe<", "<idps:evidencedBy>RpcProb<")],
            "model 'sadmind-probe': evidencedBy 'RpcProb' is no class under Attack",
        ),
        (
            [("<idps:boundTo>source<", "<idps:boundTo>sauce<")],
            "boundTo must be source or target, got 'sauce'",
        ),
        (
            [
                (
                    'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#SynFlood_post1"',
                    'hasPrecondition rdf:resource="https://w3id.org/ontoidps/attacks#SynFlood_post1"',
                )
            ],
            "model 'syn-flood' has no hasPostcondition",
        ),
        (
            [("<idps:modelName>syn-flood<", "<idps:modelName>port-scan<")],
            "two models are named 'port-scan'",
        ),
        (
            [('ofPredicate rdf:resource="https://w3id.org/ontoidps/attacks#Predicate_zombie"',
              'ofPredicate rdf:resource="https://w3id.org/ontoidps/attacks#Predicate_undead"')],
            "unknown predicate 'Predicate_undead'",
        ),
        (
            [('thirdTerm rdf:resource="https://w3id.org/ontoidps/attacks#LoginIsLocal_H"',
              'thirdTerm rdf:resource="https://w3id.org/ontoidps/attacks#PortScan_X"')],
            "'PortScan_X' is no ModelVariable and no ModelConstant",
        ),
        (
            [("<idps:termName>A</idps:termName>", "<idps:termName>H</idps:termName>")],
            "variable H is of type",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_model_and_reason(edits: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_models(changed(*edits), "my.owl")
    lines = str(caught.value).splitlines()
    assert any(said in line for line in lines), lines
    assert all(line.startswith("my.owl: ") for line in lines)


def test_an_unbound_variable_of_a_rule_is_told() -> None:
    models = "https://w3id.org/ontoidps/attacks#"
    # In the conclusion only: the premise's own agent stays A.
    text = changed().decode()
    at = text.index(f'about="{models}ShellIsLocal_post1"')
    text = text[:at] + text[at:].replace("#ShellIsLocal_A", "#PortScan_A", 1)
    free = f'about="{models}PortScan_A"'
    at = text.index(free)
    text = text[:at] + text[at:].replace("<idps:termName>A<", "<idps:termName>Z<", 1)
    with pytest.raises(ModelError, match=r"rule 'shell-is-local': variable Z of .* is unbound"):
        parse_models(text.encode(), "my.owl")


def test_a_model_that_nothing_can_reach_is_told() -> None:
    # The sweep now gives what the scan gives, and nobody gives host-alive.
    text = changed(
        (
            'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#HostSweep_post1"',
            'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#PortScan_post1"',
        )
    )
    with pytest.raises(
        ModelError, match=r"model 'sadmind-probe' can never be reached: .* knows\(A, host-alive"
    ):
        compile_models(parse_models(text, "my.owl"))


def test_rules_that_run_in_a_circle_are_told() -> None:
    # root → local becomes root → root.
    text = changed(
        (
            'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#RootIsLocal_post1"',
            'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#RootIsLocal_pre1"',
        )
    )
    with pytest.raises(ModelError, match="rule 'root-is-local' leads back to itself"):
        compile_models(parse_models(text, "my.owl"))


@pytest.mark.parametrize("data", [b"", b"<rdf", b"\xff\xfe", b"<a/>"])
def test_what_is_no_ontology_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "attacks.owl"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"attacks\.owl"):
        read_models(path)


TYPES = ("host", "attacker")
variables = st.builds(Term, st.sampled_from("XYZ"), st.sampled_from(TYPES))
constants = st.builds(Term, st.sampled_from("cd"), st.sampled_from(TYPES), constant=st.just(True))
conditions = st.builds(
    lambda name, terms, negated, knower: Condition(
        Predicate(name + str(len(terms)), ("any",) * len(terms)), tuple(terms), negated, knower
    ),
    st.sampled_from("pq"),
    st.lists(variables | constants, min_size=1, max_size=3),
    st.booleans(),
    st.none() | st.just(Term("A", "attacker")),
)


@given(conditions, conditions)
def test_unifier_makes_both_sides_equal(given_: Condition, needed: Condition) -> None:
    equal = unify(given_, needed)
    if equal is None:
        return
    assert given_.predicate.name == needed.predicate.name and given_.negated == needed.negated
    assert needed.known_by is None or given_.known_by is not None
    # Every variable gets one value: walk the equalities to their end.
    values: dict[tuple[str, str, str], set[str]] = {}
    for _ in range(len(equal) + 1):
        for a, b in equal:
            assert a.type == b.type
            keys = [(s, t.name, t.type) for s, t in (("g", a), ("n", b)) if not t.constant]
            found = {t.name for t in (a, b) if t.constant}
            for key in keys:
                found |= values.get(key, set())
            for key in keys:
                values.setdefault(key, set()).update(found)
            assert len(found) <= 1


@given(conditions)
def test_a_condition_unifies_with_itself_and_not_with_its_negation(condition: Condition) -> None:
    assert unify(condition, condition) is not None
    other = Condition(
        condition.predicate, condition.terms, not condition.negated, condition.known_by
    )
    assert unify(other, condition) is None


@pytest.mark.parametrize("name", sorted(shipped_models().models.scenarios))
def test_figures_are_svg_with_every_step(name: str) -> None:
    path = FIGURES / f"attack-graph-{name}.svg"
    root = ElementTree.parse(path).getroot()  # noqa: S314  (our own file)
    texts = {e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")}
    compiled = shipped_models()
    for model in compiled.models.models:
        if name in model.scenarios:
            assert f"{model.kind} {model.title}" in texts
    boxes = [e for e in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    spans = [tuple(float(e.get(k, "")) for k in ("x", "y", "width", "height")) for e in boxes]
    for number, (x, y, w, h) in enumerate(spans):
        for x2, y2, w2, h2 in spans[:number]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "boxes overlap"


def test_models_are_owl_that_pellet_finds_consistent() -> None:  # slow: a JVM, about 3 s
    with KnowledgeBase([ontology_path(), models_path()]) as base:
        assert base.rules() == ()
        theory = Theory.from_ntriples(base.ntriples())
    with PelletWorker(theory) as worker:
        # An inconsistent theory makes every window inconsistent.
        assert worker.reason(build_window([], {}), 60.0).pairs == ()


@pytest.mark.parametrize("name", ["attacks.owl", "reactions.ttl"])
def test_individuals_only_use_terms_of_the_ontology(name: str) -> None:
    path = models_path().parent / name
    kind = RdfFormat.TURTLE if name.endswith("ttl") else RdfFormat.RDF_XML
    used = {
        node.value
        for triple in parse(path=path, format=kind)
        for node in (triple.predicate, triple.object)
        if isinstance(node, NamedNode) and node.value.startswith(NAMESPACE)
    }
    assert used <= TERMS
