"""Ontology and rules made ready for Pellet: every rule gets an IRI that leads back to its label.

Protégé writes rules as blank nodes, and Pellet then can't say which rule fired; it may also shuffle
the atoms of a body, from which Pellet then builds cartesian products: they are put in order here.
Rules that Pellet would drop without a word are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from pyoxigraph import NamedNode, RdfFormat, Triple, parse, serialize

from ontology.rule_outcomes import OUTCOME_PROPERTIES
from ontology.swrl import (
    BUILTIN,
    CLASS,
    DATA,
    ENABLED,
    OBJECT,
    RDF,
    RDFS,
    SWRLB,
    Atom,
    Rule,
    Variable,
    read_rules,
)
from ontology.swrl_builtins import BUILTINS
from ontology.window_axioms import without_idle
from ontology.window_terms import READ

_OWL = "http://www.w3.org/2002/07/owl#"
_FIRST = RDF + "first"
_JOIN_ORDER = (CLASS, OBJECT, DATA)
_BUILTIN_RANK = len(_JOIN_ORDER)
_RULE_PREFIX = "urn:ontoidps:rule:"

# They mean nothing to Pellet, and cost it memory or make it complain.
_LEFT_OUT = frozenset(
    (RDFS + "label", RDFS + "comment", _OWL + "versionIRI", _OWL + "versionInfo", ENABLED)
).union(OUTCOME_PROPERTIES)
# Axioms by which more follows from a property than its class and place.
_DEFINES = frozenset((_OWL + "onProperty", _OWL + "inverseOf", _FIRST))
_ABOVE = frozenset((RDFS + "subPropertyOf", _OWL + "equivalentProperty"))


class TheoryError(ValueError):
    """A rule that Pellet would drop or misread; the message names rule and reason."""


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What is known of one enabled rule."""

    label: str
    comment: str
    pairs: tuple[str, ...]
    """Object properties in its head: IRIs, sorted."""
    classes: tuple[str, ...]
    values: tuple[str, ...]
    """Data properties in its head."""

    def concludes(self, iri: str) -> bool:
        """Does its head say something with this term?"""
        return iri in self.pairs or iri in self.classes or iri in self.values


@dataclass(frozen=True, slots=True)
class Theory:
    """Ontology and rules in the form that the worker loads."""

    ntriples: bytes
    rules: tuple[RuleInfo, ...]
    """In order of label."""
    version: str
    """SHA-256 of what it was made from, in hex."""
    reads: frozenset[str] = frozenset()
    """Those of `window_terms.READ` that rules or definitions speak of (IRIs)."""

    @classmethod
    def from_ntriples(cls, data: bytes) -> Theory:
        """Prepare what `KnowledgeBase.ntriples` gives: ontology and enabled rules, no imports.

        Raises: TheoryError; SyntaxError if the bytes are not N-Triples.
        """
        preparation = _Preparation(parse(data, format=RdfFormat.N_TRIPLES))
        return preparation.theory(hashlib.sha256(data).hexdigest())

    def rule(self, label: str) -> RuleInfo | None:
        """The enabled rule of that label."""
        return next((rule for rule in self.rules if rule.label == label), None)


def rule_iri(label: str) -> str:
    """The IRI that `Theory` gives the rule of this label."""
    return _RULE_PREFIX + quote(label, safe="")


def rule_label(iri: str) -> str:
    """Label of the rule that `Theory` gave this IRI."""
    return unquote(iri.removeprefix(_RULE_PREFIX))


class _Preparation:
    def __init__(self, quads: Iterable[Any]) -> None:
        self._triples = [Triple(q.subject, q.predicate, q.object) for q in quads]
        self._read = read_rules(self._triples)
        self._moved: dict[object, Any] = {}
        """List cell of a rule's body → the atom that belongs there."""

    def theory(self, version: str) -> Theory:
        rename: dict[object, NamedNode] = {}
        rules: dict[str, RuleInfo] = {}
        for read in self._read:
            rule = self._rule(read)
            if rule.label in rules:
                raise TheoryError(f"two rules are labelled {rule.label!r}")
            rules[rule.label] = rule
            rename[read.node] = NamedNode(rule_iri(rule.label))
        spoken = {atom.iri for rule in self._read for atom in (*rule.body, *rule.head)}
        self._triples = without_idle(self._triples, spoken)
        kept = [
            Triple(rename.get(t.subject, t.subject), t.predicate, self._object(t))
            for t in self._triples
            if t.predicate.value not in _LEFT_OUT
        ]
        data = bytes(serialize(kept, format=RdfFormat.N_TRIPLES) or b"")
        ordered = tuple(rules[label] for label in sorted(rules))
        return Theory(ntriples=data, rules=ordered, version=version, reads=self._reads())

    def _reads(self) -> frozenset[str]:
        """The values that a window needs, because something can follow from them."""
        spoken = {atom.iri for rule in self._read for atom in rule.body}
        above: dict[str, set[str]] = {}
        for triple in self._triples:
            predicate, value = triple.predicate.value, triple.object
            if not isinstance(value, NamedNode):
                continue
            if predicate in _DEFINES:
                spoken.add(value.value)
            elif predicate in _ABOVE and isinstance(triple.subject, NamedNode):
                above.setdefault(triple.subject.value, set()).add(value.value)
                if predicate == _OWL + "equivalentProperty":
                    above.setdefault(value.value, set()).add(triple.subject.value)
        return frozenset(v.term for v in READ if _closed(v.term, above) & spoken)

    def _rule(self, rule: Rule) -> RuleInfo:
        label = rule.label
        if not label:
            raise TheoryError(f"rule {rule.node} has no rdfs:label")
        if rule.broken:
            raise TheoryError(f"rule {label!r}: {rule.broken}")
        for atom in rule.body:
            _check_builtin(atom, label)
        ordered = _in_join_order(rule.body)
        self._moved |= dict(zip(rule.cells, (atom.node for atom in ordered), strict=True))
        bound = {v for atom in rule.body for v in atom.variables}
        heads: dict[str, set[str]] = {OBJECT: set(), CLASS: set(), DATA: set()}
        for atom in rule.head:
            loose = [v.name for v in atom.variables if v not in bound]
            if loose:
                raise TheoryError(
                    f"rule {label!r}: {', '.join(sorted(loose))} in the head is not in the body"
                )
            if atom.kind not in heads or not atom.iri:
                raise TheoryError(
                    f"rule {label!r}: its head must be a class, property or data value"
                )
            heads[atom.kind].add(atom.iri)
        return RuleInfo(
            label=label,
            comment=rule.comment,
            pairs=tuple(sorted(heads[OBJECT])),
            classes=tuple(sorted(heads[CLASS])),
            values=tuple(sorted(heads[DATA])),
        )

    def _object(self, triple: Triple) -> Any:
        if triple.predicate.value == _FIRST:
            return self._moved.get(triple.subject, triple.object)
        return triple.object


def _closed(name: str, above: Mapping[str, set[str]]) -> set[str]:
    found, todo = {name}, [name]
    while todo:
        more = above.get(todo.pop(), set()) - found
        found |= more
        todo += more
    return found


def _in_join_order(atoms: Iterable[Atom]) -> list[Atom]:
    """Each atom shares a variable with one before it where possible; of those that do, a class
    (it leaves fewer to join) comes first."""
    left, ordered, known = list(atoms), list[Atom](), set[Variable]()
    while left:
        # Stable: of equals, the first in the file.
        best = min(left, key=lambda a: (known.isdisjoint(a.variables), _join_rank(a)))
        if _join_rank(best) < _BUILTIN_RANK:
            known |= set(best.variables)
        left.remove(best)
        ordered.append(best)
    return ordered


def _join_rank(atom: Atom) -> int:
    return _JOIN_ORDER.index(atom.kind) if atom.kind in _JOIN_ORDER else _BUILTIN_RANK


def _check_builtin(atom: Atom, label: str) -> None:
    if atom.kind == BUILTIN and (
        not atom.iri.startswith(SWRLB) or atom.iri.removeprefix(SWRLB) not in BUILTINS
    ):
        raise TheoryError(f"rule {label!r}: Pellet can't run the built-in <{atom.iri}>")
