"""Attack models: read and refused, unified, compiled, drawn; what is shipped is what they give."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.scenarios.attack_models import (
    Condition,
    ModelError,
    Predicate,
    Term,
    parse_models,
)
from rules.scenarios.compile import compile_models, unify
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
