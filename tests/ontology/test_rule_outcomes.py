"""What the ontology says becomes of a rule's conclusion is what is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from ontology.rule_outcomes import Outcome, OutcomeError, read_outcomes, severity, shown
from ontology.theory import Theory
from rules.shipped_files import shipped_outcomes

HEAD = """@prefix idps: <https://w3id.org/ontoidps#> .
@prefix swrl: <http://www.w3.org/2003/11/swrl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""


def outcome(rule: str, more: str = "") -> Outcome:
    text = f'{HEAD}{more} [] a swrl:Imp ; rdfs:label "R" {rule} .'
    return read_outcomes([q.triple for q in parse(text, format=RdfFormat.TURTLE)]).of("R")


def test_the_shipped_rules_report_what_they_did_before_it_was_in_the_ontology(
    theory: Theory,
) -> None:
    shipped = shipped_outcomes()
    assert shipped.by_rule.keys() <= {rule.label for rule in theory.rules}
    assert shipped.of("ScanThenExploit") == Outcome("ScanThenExploitIncident", 0.95)
    assert shipped.of("MultiHoneypotScan") == Outcome("MultiHoneypotScanIncident", 0.7, False)
    assert shipped.of("SomebodysOwnRule") == shipped.default == Outcome("CustomIncident", 0.6)


def test_a_rule_speaks_before_its_class() -> None:
    words = (
        "idps:FloodIncident idps:fullSeverity 0.3 ; idps:mayBlock false ; idps:perTarget false ."
    )
    assert outcome("; idps:reportsIncident idps:FloodIncident", words) == Outcome(
        "FloodIncident", 0.3, False, False
    )
    own = "; idps:reportsIncident idps:FloodIncident ; idps:fullSeverity 1 ; idps:mayBlock true"
    assert outcome(f"{own} ; idps:blocksFor 90", words) == Outcome(
        "FloodIncident", 1.0, False, True, 90
    )


def test_a_rule_may_report_a_class_that_is_new_in_the_same_files() -> None:
    new = "; idps:reportsIncident idps:WormIncident"
    with pytest.raises(OutcomeError, match="must be a class under Incident"):
        outcome(new)
    below = "".join(
        f"idps:{one} rdfs:subClassOf idps:{root} . "
        for one, root in (("Probe", "Attack"), ("WormIncident", "Incident"), ("Pot", "Host"))
    )
    assert outcome(new, below).classification == "WormIncident"
    with pytest.raises(OutcomeError, match="FloodIncident"):  # none of these files
        outcome("; idps:reportsIncident idps:FloodIncident", below)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("fullSeverity 1.2", "fullSeverity must be a number from 0 to 1: '1.2'"),
        ('fullSeverity "NaN"', "'NaN'"),
        ("reportsIncident idps:Scan", "must be a class under Incident"),
        ("mayBlock 3", "must be true or false"),
        ("blocksFor 0", "seconds from 1 to"),
        ("blocksFor 1, 2", "blocksFor twice"),
    ],
)
def test_what_means_nothing_is_refused(said: str, why: str) -> None:
    with pytest.raises(OutcomeError, match=why):
        outcome(f"; idps:{said}")


@pytest.mark.parametrize(
    ("given_", "candidate", "said"),
    [
        (Outcome("C", 0.42), True, "this rule will not block: severity 0.42 is below 0.5"),
        (Outcome("C", 0.9, may_block=False), True, "will not block: mayBlock is false"),
        (Outcome("C", 0.9), False, "reports nothing that a reaction rule would block for"),
        (Outcome("C", 1.0, block_s=90), True, "can block a verified source, for 90 s"),
        (Outcome("C", 0.8), True, "can block a verified source from a confidence of 0.25 on, as"),
    ],
)
def test_whether_it_can_block_is_said_with_the_reason(
    given_: Outcome, candidate: bool, said: str
) -> None:
    assert said in list(shown(given_, candidate=candidate, minimum=0.5))[-1]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_severity_rises_with_confidence_and_stays_a_share(
    weight: float, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    assert 0 <= severity(weight, low) <= severity(weight, high) <= 1
