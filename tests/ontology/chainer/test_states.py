"""A state stands for the two ends of the alerts that concern it, its conditions for the same."""

from __future__ import annotations

import pytest

from ontology.chainer.rulebook import Atom, Rule, RulebookError, Variable
from ontology.chainer.states import OF_STATES, SOURCE, TARGET, States
from ontology.vocabulary import IDPS

A, B, P, Q, Z, H = map(Variable, "abpqzh")
CONCERNS, CONDITION = OF_STATES


def states(*atoms: Atom) -> States:
    return States(Rule("Odd", atoms, ()), atoms)


def test_alerts_meet_over_both_ends_of_a_state_and_of_its_conditions() -> None:
    one, other = Atom("property", CONCERNS, (A, P)), Atom("property", CONCERNS, (B, Z))
    found = states(
        one,
        other,
        Atom("property", CONDITION, (P, Q)),
        Atom("property", CONDITION, (Z, Q)),
        Atom("property", IDPS.hasSource, (A, H)),
    )
    assert P in found and Q in found and Z in found and A not in found and H not in found
    ends = {role: host for _, role, host in found.ties(one)}
    assert set(ends) == {SOURCE, TARGET} and ends[SOURCE] != ends[TARGET]
    assert found.ties(other) == [(B, role, host) for role, host in ends.items()]
    assert found.hosts >= set(ends.values())
    assert found.ties(Atom("property", CONDITION, (P, Q))) == []


def test_two_states_are_two() -> None:
    one, other = Atom("property", CONCERNS, (A, P)), Atom("property", CONCERNS, (B, Q))
    found = states(one, other)
    assert not {host for *_, host in found.ties(one)} & {host for *_, host in found.ties(other)}


@pytest.mark.parametrize(
    ("atom", "why"),
    [
        (Atom("property", CONDITION, (P, Q)), "'Odd' speaks of a state that none of its alerts"),
        (Atom("property", CONCERNS, (A, "urn:x")), "'Odd' names an individual"),
    ],
)
def test_states_that_no_alert_brings_along_are_refused(atom: Atom, why: str) -> None:
    with pytest.raises(RulebookError, match=why):
        states(atom)
