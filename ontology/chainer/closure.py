"""What the chainer finds in one window, and how much it may look at."""

from __future__ import annotations

from dataclasses import dataclass, field

from ontology.chainer.builtins import Unsure
from ontology.chainer.rulebook import Term
from ontology.theory import Theory

MAX_WORK = 1_000_000
"""Candidates looked at in one window, about half a second; beyond that the chainer gives up."""


class TooMuchWork(Unsure):
    """A window (or a runaway rule) that takes more than `MAX_WORK`."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One conclusion of a rule: the first match of its body that gives it."""

    rule: str
    bound: tuple[str, ...]
    """Individuals in it."""
    heads: tuple[tuple[Term, ...], ...]
    """What it concludes: (class, individual) or (property, subject, value)."""
    edges: tuple[tuple[str, Term, Term], ...]
    """(property, subject, object) of its body."""


@dataclass(slots=True)
class Closure:
    """Everything that follows from one window."""

    members: dict[str, dict[Term, None]] = field(default_factory=dict)
    """Class → its individuals."""
    out: dict[str, dict[Term, dict[Term, None]]] = field(default_factory=dict)
    """Property → subject → values."""
    back: dict[str, dict[Term, dict[Term, None]]] = field(default_factory=dict)
    firings: list[Firing] = field(default_factory=list)
    contradiction: str = ""
    """Why the window is inconsistent; empty if it is not."""
    same: dict[Term, Term] = field(default_factory=dict)
    """Individual → the one that stands for it."""
    merges: list[tuple[Term, Term]] = field(default_factory=list)
    work: int = 0

    def spend(self, work: int) -> None:
        """Count work.

        Raises: TooMuchWork.
        """
        self.work += work
        if self.work > MAX_WORK:
            raise TooMuchWork(f"more than {MAX_WORK} candidates")

    def conclusions(self, rules: Theory) -> set[tuple[str, ...]]:
        """Whatever the heads of the rules name: ``(class, individual)``, ``(property, s, o)``;
        values of data properties in Python's notation."""
        found: set[tuple[str, ...]] = set()
        alike: dict[Term, list[str]] = {}
        for one, chief in self.same.items():
            alike.setdefault(chief, [str(chief)]).append(str(one))
        for rule in rules.rules:
            for iri in rule.classes:
                for one in self.members.get(iri, ()):
                    found |= {(iri, name) for name in alike.get(one, [str(one)])}
            for iri in rule.pairs:
                for subject, values in self.out.get(iri, {}).items():
                    for value in values:
                        found |= {
                            (iri, a, b)
                            for a in alike.get(subject, [str(subject)])
                            for b in alike.get(value, [str(value)])
                        }
            for iri in rule.values:
                for subject, values in self.out.get(iri, {}).items():
                    for name in alike.get(subject, [str(subject)]):
                        found |= {(iri, name, str(v[1])) for v in values}
        return found
