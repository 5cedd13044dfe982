from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.incident_kinds import DEFAULT_KIND, KINDS, kind_of, severity
from ontology.theory import Theory
from ontology.vocabulary import INCIDENT_CLASSES


def test_kinds_name_rules_and_classes_that_exist(theory: Theory) -> None:
    assert KINDS.keys() <= {rule.label for rule in theory.rules}
    assert {kind.classification for kind in KINDS.values()} <= INCIDENT_CLASSES
    assert kind_of("SomebodysOwnRule") is DEFAULT_KIND


@given(st.sampled_from([*KINDS.values(), DEFAULT_KIND]), st.floats(0, 1), st.floats(0, 1))
def test_severity_rises_with_confidence_and_stays_a_share(
    kind: object, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    assert 0 < severity(kind, low) <= severity(kind, high) <= 1  # type: ignore[arg-type]
