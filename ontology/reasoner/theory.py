"""Ontology and rules made ready for Pellet: every rule gets an IRI that leads back to its label.

Protégé writes rules as blank nodes, and Pellet then can't say which rule fired; it may also shuffle
the atoms of a body, from which Pellet then builds cartesian products: they are put in order here.
Rules that Pellet would drop without a word are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology.checking.builtins import BUILTINS

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_OWL = "http://www.w3.org/2002/07/owl#"
_ENABLED = "http://swrl.stanford.edu/ontologies/3.3/swrla.owl#isRuleEnabled"
_SWRL = "http://www.w3.org/2003/11/swrl#"
_SWRLB = "http://www.w3.org/2003/11/swrlb#"
_FIRST = _RDF + "first"
_JOIN_ORDER = ("ClassAtom", "IndividualPropertyAtom", "DatavaluedPropertyAtom")
_BUILTIN_RANK = len(_JOIN_ORDER)
_RULE_PREFIX = "urn:ontoidps:rule:"

# They mean nothing to Pellet, and cost it memory or make it complain.
_LEFT_OUT = frozenset(
    (_RDFS + "label", _RDFS + "comment", _OWL + "versionIRI", _OWL + "versionInfo", _ENABLED)
)


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


def rule_label(iri: str) -> str:
    """Label of the rule that `Theory` gave this IRI."""
    return unquote(iri.removeprefix(_RULE_PREFIX))


class _Preparation:
    def __init__(self, quads: Iterable[object]) -> None:
        self._triples: list[Triple] = []
        self._of: dict[object, dict[str, list[object]]] = {}
        self._moved: dict[object, Any] = {}
        """List cell of a rule's body → the atom that belongs there."""
        for quad in quads:
            subject, predicate, value = quad.subject, quad.predicate, quad.object  # type: ignore[attr-defined]
            self._triples.append(Triple(subject, predicate, value))
            self._of.setdefault(subject, {}).setdefault(predicate.value, []).append(value)

    def theory(self, version: str) -> Theory:
        imps = [
            subject
            for subject, properties in self._of.items()
            if any(_value(t) == _SWRL + "Imp" for t in properties.get(_RDF + "type", ()))
        ]
        rename: dict[object, NamedNode] = {}
        rules: dict[str, RuleInfo] = {}
        for imp in imps:
            rule = self._rule(imp)
            if rule.label in rules:
                raise TheoryError(f"two rules are labelled {rule.label!r}")
            rules[rule.label] = rule
            rename[imp] = NamedNode(_RULE_PREFIX + quote(rule.label, safe=""))
        kept = [
            Triple(rename.get(t.subject, t.subject), t.predicate, self._object(t))
            for t in self._triples
            if t.predicate.value not in _LEFT_OUT
        ]
        data = bytes(serialize(kept, format=RdfFormat.N_TRIPLES) or b"")
        ordered = tuple(rules[label] for label in sorted(rules))
        return Theory(ntriples=data, rules=ordered, version=version)

    def _rule(self, imp: object) -> RuleInfo:
        label = self._text(imp, _RDFS + "label")
        if not label:
            raise TheoryError(f"rule {imp} has no rdfs:label")
        bound: set[str] = set()
        cells = self._cells(imp, "body", label)
        body = [self._one(cell, _FIRST) for cell in cells]
        for atom in body:
            self._check_builtin(atom, label)
            bound |= self._variables(atom)
        self._moved |= dict(zip(cells, self._in_join_order(body), strict=True))
        heads: dict[str, set[str]] = {"pairs": set(), "classes": set(), "values": set()}
        for cell in self._cells(imp, "head", label):
            atom = self._one(cell, _FIRST)
            loose = self._variables(atom) - bound
            if loose:
                raise TheoryError(
                    f"rule {label!r}: {', '.join(sorted(loose))} in the head is not in the body"
                )
            kind, iri = self._head(atom, label)
            heads[kind].add(iri)
        return RuleInfo(
            label=label,
            comment=self._text(imp, _RDFS + "comment"),
            pairs=tuple(sorted(heads["pairs"])),
            classes=tuple(sorted(heads["classes"])),
            values=tuple(sorted(heads["values"])),
        )

    def _object(self, triple: Triple) -> Any:
        if triple.predicate.value == _FIRST:
            return self._moved.get(triple.subject, triple.object)
        return triple.object

    def _in_join_order(self, atoms: list[object]) -> list[object]:
        """Each atom shares a variable with one before it where possible; of those that do, a class
        (it leaves fewer to join) comes first."""
        left, ordered, known = list(atoms), list[object](), set[str]()
        while left:
            # Stable: of equals, the first in the file.
            best = min(left, key=lambda a: (not (known & self._variables(a)), self._join_rank(a)))
            if self._join_rank(best) < _BUILTIN_RANK:
                known |= self._variables(best)
            left.remove(best)
            ordered.append(best)
        return ordered

    def _join_rank(self, atom: object) -> int:
        types = {_value(t) for t in self._of.get(atom, {}).get(_RDF + "type", ())}
        ranks = (rank for rank, name in enumerate(_JOIN_ORDER) if _SWRL + name in types)
        return next(ranks, _BUILTIN_RANK)

    def _head(self, atom: object, label: str) -> tuple[str, str]:
        types = {_value(t) for t in self._of[atom].get(_RDF + "type", ())}
        for name, predicate, kind in (
            ("ClassAtom", "classPredicate", "classes"),
            ("IndividualPropertyAtom", "propertyPredicate", "pairs"),
            ("DatavaluedPropertyAtom", "propertyPredicate", "values"),
        ):
            iri = self._one(atom, _SWRL + predicate)
            if _SWRL + name in types and isinstance(iri, NamedNode):
                return kind, iri.value
        raise TheoryError(f"rule {label!r}: its head must be a class, property or data value")

    def _check_builtin(self, atom: object, label: str) -> None:
        builtin = self._one(atom, _SWRL + "builtin")
        if builtin is None:
            return
        iri = _value(builtin)
        if not iri.startswith(_SWRLB) or iri.removeprefix(_SWRLB) not in BUILTINS:
            raise TheoryError(f"rule {label!r}: Pellet can't run the built-in <{iri}>")

    def _variables(self, atom: object) -> set[str]:
        properties = self._of.get(atom, {})
        found = [v for n in ("argument1", "argument2") for v in properties.get(_SWRL + n, ())]
        arguments = self._one(atom, _SWRL + "arguments")
        if arguments is not None:
            found += [self._one(cell, _FIRST) for cell in self._list(arguments)]
        return {v.value for v in found if isinstance(v, NamedNode) and self._is_variable(v)}

    def _is_variable(self, node: NamedNode) -> bool:
        types = self._of.get(node, {}).get(_RDF + "type", ())
        return any(_value(t) == _SWRL + "Variable" for t in types)

    def _cells(self, imp: object, name: str, label: str) -> list[object]:
        start = self._one(imp, _SWRL + name)
        if start is None:
            raise TheoryError(f"rule {label!r} has no swrl:{name}")
        return self._list(start)

    def _list(self, node: object | None) -> list[object]:
        """Cells of an RDF list."""
        cells: dict[object, None] = {}
        while node is not None and _value(node) != _RDF + "nil":
            if node in cells:
                raise TheoryError("a list in a rule runs in a circle")
            if self._one(node, _FIRST) is None:
                raise TheoryError("a list in a rule ends without rdf:nil")
            cells[node] = None
            node = self._one(node, _RDF + "rest")
        return list(cells)

    def _one(self, subject: object, predicate: str) -> object | None:
        values = self._of.get(subject, {}).get(predicate, ())
        return values[0] if values else None

    def _text(self, subject: object, predicate: str) -> str:
        """A literal of that property; an English or unmarked one if there is a choice."""
        values = self._of.get(subject, {}).get(predicate, ())
        literals = [v for v in values if isinstance(v, Literal)]
        literals.sort(key=lambda v: (v.language not in (None, "en"), v.language or "", v.value))
        return literals[0].value if literals else ""


def _value(node: object) -> str:
    return node.value if isinstance(node, NamedNode) else ""
