"""States in rules: what the source of an alert may do to its target, by `reasoner.paper_facts`.

A state and its conditions are no alerts and no hosts. Alerts that concern one state are those of
one source and one target, so that is what a state stands for where it is asked which alerts can
meet.
"""

from __future__ import annotations

from collections.abc import Iterable

from ontology.chainer.rulebook import Atom, Rule, RulebookError, Term, Variable
from ontology.vocabulary import IDPS
from ontology.window_terms import CONCERNS

SOURCE, TARGET = "source", "target"
"""Roles of a host in an alert."""
OF_STATES = (CONCERNS, str(IDPS.preconditionIntrusionState))
"""From an alert to the state of its two ends, from a state to its conditions."""
_ENDS = (SOURCE, TARGET)


class States:
    """States in the atoms of one rule: each stands for the two ends of the alerts that concern it.

    Raises: RulebookError if a state is asked for that none of the alerts concerns, or by name.
    """

    def __init__(self, rule: Rule, atoms: Iterable[Atom]) -> None:
        self._of: dict[Variable | Term, Variable | Term] = {}
        """State or condition → another that must be of the same two ends; to itself in the end."""
        concerned: set[Variable | Term] = set()
        for atom in atoms:
            if atom.name in OF_STATES:
                if not all(isinstance(argument, Variable) for argument in atom.arguments):
                    raise RulebookError(f"rule {rule.label!r} names an individual")
                if atom.name == CONCERNS:
                    concerned.add(self._find(atom.arguments[1]))
                else:
                    state, condition = map(self._find, atom.arguments)
                    self._of[condition] = state
        if {self._find(one) for one in self._of} - {self._find(one) for one in concerned}:
            raise RulebookError(
                f"rule {rule.label!r} speaks of a state that none of its alerts has"
            )
        self.hosts = frozenset(self._end(one, role) for one in self._of for role in _ENDS)
        """The ends of all states."""

    def __contains__(self, one: object) -> bool:
        return one in self._of

    def ties(self, atom: Atom) -> list[tuple[Variable, str, Variable]]:
        """(alert, role, host): what `CONCERNS` says; nothing of what is said of states alone."""
        alert, *states = atom.arguments
        if atom.name != CONCERNS or not isinstance(alert, Variable):
            return []
        return [(alert, role, self._end(states[0], role)) for role in sorted(_ENDS)]

    def _end(self, one: Variable | Term, role: str) -> Variable:
        return Variable(f"{role} of {self._find(one)}")

    def _find(self, one: Variable | Term) -> Variable | Term:
        while (up := self._of.setdefault(one, one)) != one:
            one = up
        return one
