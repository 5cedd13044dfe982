"""What a reasoner answers, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ontology.reasoner.window import Window


@dataclass(frozen=True, slots=True)
class Fact:
    """One premise that Pellet used: an assertion of the window or an axiom of the ontology."""

    kind: str
    """``type`` (individual, class), ``prop`` (property, subject, value), ``subClassOf``, …"""
    arguments: tuple[str, ...]
    """IRIs, or the lexical form of a literal."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something was inferred: the first derivation that Pellet found."""

    rule: str
    """``rdfs:label`` of the rule whose head it is; empty if an axiom alone gave it."""
    comment: str
    """``rdfs:comment`` of that rule."""
    rules: tuple[str, ...]
    """Labels of every rule in the chain, sorted."""
    facts: tuple[Fact, ...]
    """Premises of the whole chain, sorted."""


@dataclass(frozen=True, slots=True)
class DerivedPair:
    """An object property that holds between two individuals."""

    property: str
    """Local name, e.g. ``scanThenBruteForce``."""
    subject: str
    """IRI."""
    object: str
    """IRI."""
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class DerivedMember:
    """A class that an individual belongs to."""

    name: str
    """Local name of the class, e.g. ``BlockCandidate``."""
    individual: str
    """IRI."""
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class DerivedValue:
    """A data value of an individual."""

    property: str
    """Local name."""
    subject: str
    """IRI."""
    value: str
    """Lexical form."""
    datatype: str
    """IRI."""
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Inferences:
    """Everything that the heads of the enabled rules name and that holds in one window."""

    pairs: tuple[DerivedPair, ...] = ()
    members: tuple[DerivedMember, ...] = ()
    values: tuple[DerivedValue, ...] = ()
    reasoning_us: int = 0
    """Microseconds that the worker took, without the pipes."""


class ReasonerError(RuntimeError):
    """A window got no answer."""


class ReasonerTimeout(ReasonerError):
    """No answer in time; the worker was killed."""


class ReasonerCrashed(ReasonerError):
    """The worker died on the window (or could not make sense of it)."""


class ReasonerUnavailable(ReasonerError):
    """The worker can't be started; the window was not tried."""


class InconsistentWindow(ReasonerError):
    """The window contradicts the ontology.

    ``facts`` are the premises of one contradiction; ``premises`` are all of them as Pellet names
    them, rules among them.
    """

    def __init__(
        self,
        message: str,
        facts: tuple[Fact, ...],
        premises: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        self.facts = facts
        self.premises = premises
        super().__init__(message)


class Reasoner(Protocol):
    """Whatever turns a window into inferences; `PelletWorker` in the product."""

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        """Infer from one window alone; blocks.

        Raises: ReasonerTimeout, ReasonerCrashed, ReasonerUnavailable, InconsistentWindow.
        """
        ...
