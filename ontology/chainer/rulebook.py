"""The rules and axioms of a `Theory`, read back from its triples, for `chainer`.

Nothing is read past in silence: an axiom or atom that the chainer does not reason with is a
`RulebookError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyoxigraph import BlankNode, NamedNode, RdfFormat, parse
from pyoxigraph import Literal as RdfLiteral

from ontology.chainer.builtins import FUNCTIONS, TESTS, Literal, literal
from ontology.theory import rule_label

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_OWL = "http://www.w3.org/2002/07/owl#"
_SWRL = "http://www.w3.org/2003/11/swrl#"
_SWRLB = "http://www.w3.org/2003/11/swrlb#"
_SILENT = frozenset(
    (_RDFS + "seeAlso", _RDFS + "isDefinedBy", _RDFS + "label", _RDFS + "comment", _OWL + "imports")
)
_TYPES = frozenset(
    _OWL + name
    for name in (
        "Class ObjectProperty DatatypeProperty AnnotationProperty Ontology FunctionalProperty "
        "SymmetricProperty NamedIndividual AllDisjointClasses"
    ).split()
)
_IGNORED_NODES = ("AtomList", "Variable", "Imp")
_ATOMS = ("ClassAtom", "IndividualPropertyAtom", "DatavaluedPropertyAtom", "BuiltinAtom")

Term = str | Literal
"""An IRI, or a literal."""


class RulebookError(ValueError):
    """An axiom or a rule that the chainer can't evaluate; the message names it."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Atom:
    """``kind`` is ``class``, ``property`` (of either sort) or ``builtin``."""

    kind: str
    name: str
    """IRI; of a built-in the local name."""
    arguments: tuple[Variable | Term, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One enabled rule."""

    label: str
    body: tuple[Atom, ...]
    head: tuple[Atom, ...]


@dataclass(slots=True)
class Rulebook:
    """Axioms as closures: every table also holds what follows from the hierarchy."""

    rules: tuple[Rule, ...] = ()
    classes_above: dict[str, frozenset[str]] = field(default_factory=dict)
    """Class → itself and every class above."""
    properties_above: dict[str, frozenset[str]] = field(default_factory=dict)
    domains: dict[str, frozenset[str]] = field(default_factory=dict)
    ranges: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of object properties: classes. Of data properties: datatypes."""
    inverses: dict[str, frozenset[str]] = field(default_factory=dict)
    functional: frozenset[str] = frozenset()
    data_properties: frozenset[str] = frozenset()
    disjoint: tuple[frozenset[str], ...] = ()
    """Sets of classes of which an individual may belong to one."""
    facts: tuple[tuple[str, str, Term], ...] = ()
    """Assertions about named individuals in the ontology itself."""


def read_rulebook(theory: bytes) -> Rulebook:
    """Rules and axioms of `Theory.ntriples`.

    Raises: RulebookError.
    """
    return _Reader(theory).book()


class _Reader:
    def __init__(self, theory: bytes) -> None:
        self._of: dict[object, dict[str, list[object]]] = {}
        for quad in parse(theory, format=RdfFormat.N_TRIPLES):
            properties = self._of.setdefault(quad.subject, {})
            properties.setdefault(quad.predicate.value, []).append(quad.object)
        self._kinds = {
            node: {_iri(value) for value in properties.get(RDF + "type", ())}
            for node, properties in self._of.items()
        }
        self._above: dict[str, dict[str, set[str]]] = {"class": {}, "property": {}}
        self._domains: dict[str, set[str]] = {}
        self._ranges: dict[str, set[str]] = {}
        self._inverses: dict[str, set[str]] = {}
        self._disjoint: list[frozenset[str]] = []
        self._facts: list[tuple[str, str, Term]] = []

    def book(self) -> Rulebook:
        rules = [self._rule(node) for node, kinds in self._kinds.items() if _SWRL + "Imp" in kinds]
        in_rules = self._rule_nodes()
        for node, said in self._of.items():
            if node not in in_rules:
                self._axioms(node, said)
        classes = _closure(self._above["class"])
        properties = _closure(self._above["property"])
        return Rulebook(
            rules=tuple(sorted(rules, key=lambda rule: rule.label)),
            classes_above=classes,
            properties_above=properties,
            domains=_spread(self._domains, properties, classes),
            ranges=_spread(self._ranges, properties, classes),
            inverses={p: frozenset(qs) for p, qs in self._inverses.items()},
            functional=self._typed("FunctionalProperty"),
            data_properties=self._typed("DatatypeProperty"),
            disjoint=tuple(self._disjoint),
            facts=tuple(self._facts),
        )

    def _typed(self, name: str) -> frozenset[str]:
        return frozenset(_iri(n) for n, kinds in self._kinds.items() if _OWL + name in kinds)

    def _rule_nodes(self) -> set[object]:
        """Everything that belongs to a rule or is a list cell."""
        wanted = {_SWRL + name for name in (*_IGNORED_NODES, *_ATOMS)}
        nodes = {node for node, kinds in self._kinds.items() if kinds & wanted}
        return nodes | {
            node
            for node, properties in self._of.items()
            if isinstance(node, BlankNode) and RDF + "first" in properties
        }

    def _axioms(self, node: object, properties: dict[str, list[object]]) -> None:
        strange = {kind for kind in self._kinds[node] if kind.startswith(_OWL)} - _TYPES
        if strange:
            raise RulebookError(f"{node}: the chainer does not know {', '.join(sorted(strange))}")
        name = _iri(node)
        schema = any(kind.startswith(_OWL) for kind in self._kinds[node]) and (
            _OWL + "NamedIndividual" not in self._kinds[node]
        )
        for predicate, values in properties.items():
            if predicate in _SILENT or _OWL + "AnnotationProperty" in self._kinds.get(
                NamedNode(predicate), ()
            ):
                continue
            for value in values:
                if predicate.startswith((_RDFS, _OWL)):
                    self._axiom(name, predicate, value)
                elif not schema:
                    self._facts.append((name, predicate, term(value)))
                elif predicate == RDF + "type" and _iri(value) == _OWL + "SymmetricProperty":
                    self._inverses.setdefault(name, set()).add(name)

    def _axiom(self, name: str, predicate: str, value: object) -> None:
        short = predicate.rpartition("#")[2]
        if short == "members" or (short == "disjointWith" and name):
            others = self._list(value) if short == "members" else [name, _iri(value)]
            if "" not in others:
                self._disjoint.append(frozenset(others))
                return
        other = _iri(value)
        if not name or not other:
            raise RulebookError(f"{short} of {name or 'a class expression'}: not a named class")
        if short in ("subClassOf", "equivalentClass", "subPropertyOf", "equivalentProperty"):
            table = self._above["class" if "Class" in short else "property"]
            table.setdefault(name, set()).add(other)
            if short.startswith("equivalent"):
                table.setdefault(other, set()).add(name)
        elif short in ("domain", "range"):
            places = self._domains if short == "domain" else self._ranges
            places.setdefault(name, set()).add(other)
        elif short == "inverseOf":
            self._inverses.setdefault(name, set()).add(other)
            self._inverses.setdefault(other, set()).add(name)
        else:
            raise RulebookError(f"{name}: the chainer does not know {predicate}")

    def _rule(self, imp: object) -> Rule:
        label = rule_label(_iri(imp))
        parts = []
        for part in ("body", "head"):
            nodes = self._list_nodes(self._of[imp][_SWRL + part][0])
            parts.append(tuple(self._atom(node, label) for node in nodes))
        return Rule(label, *parts)

    def _atom(self, node: object, label: str) -> Atom:
        properties = self._of[node]
        kinds = {kind.removeprefix(_SWRL) for kind in self._kinds[node]}
        found = [kind for kind in _ATOMS if kind in kinds]
        if len(found) != 1:
            names = ", ".join(sorted(kinds)) or "an atom without a type"
            raise RulebookError(f"rule {label!r}: the chainer does not know {names}")
        if found[0] == "BuiltinAtom":
            name = _iri(properties[_SWRL + "builtin"][0]).removeprefix(_SWRLB)
            nodes = self._list_nodes(properties[_SWRL + "arguments"][0])
            self._check_builtin(name, len(nodes), label)
            return Atom("builtin", name, tuple(self._argument(n) for n in nodes))
        first = self._argument(properties[_SWRL + "argument1"][0])
        if found[0] == "ClassAtom":
            name = _iri(properties[_SWRL + "classPredicate"][0])
            if not name:
                raise RulebookError(f"rule {label!r}: a class atom without a named class")
            return Atom("class", name, (first,))
        name = _iri(properties[_SWRL + "propertyPredicate"][0])
        return Atom("property", name, (first, self._argument(properties[_SWRL + "argument2"][0])))

    def _check_builtin(self, name: str, arguments: int, label: str) -> None:
        if name in TESTS and arguments == 2:
            return
        if name in FUNCTIONS and FUNCTIONS[name][0] < arguments <= FUNCTIONS[name][1] + 1:
            return
        raise RulebookError(
            f"rule {label!r}: the chainer can't run {name} of {arguments} arguments"
        )

    def _argument(self, node: object) -> Variable | Term:
        if isinstance(node, NamedNode) and _SWRL + "Variable" in self._kinds.get(node, ()):
            return Variable(node.value)
        return term(node)

    def _list_nodes(self, node: object) -> list[object]:
        found = []
        while _iri(node) != RDF + "nil":
            found.append(self._of[node][RDF + "first"][0])
            node = self._of[node][RDF + "rest"][0]
        return found

    def _list(self, node: object) -> list[str]:
        return [_iri(n) for n in self._list_nodes(node)]


def term(node: object) -> Term:
    """IRI (of a blank node its label), or value.

    Raises: ValueError if it is a literal that its datatype does not have.
    """
    if isinstance(node, RdfLiteral):
        return literal(node.value, node.datatype.value)
    return node.value if isinstance(node, NamedNode | BlankNode) else str(node)


def _iri(node: object) -> str:
    return node.value if isinstance(node, NamedNode) else ""


def _closure(above: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    closed = {}
    for name in {*above, *(other for others in above.values() for other in others)}:
        found, todo = {name}, [name]
        while todo:
            more = above.get(todo.pop(), set()) - found
            found |= more
            todo += more
        closed[name] = frozenset(found)
    return closed


def _spread(
    places: dict[str, set[str]],
    properties: dict[str, frozenset[str]],
    classes: dict[str, frozenset[str]],
) -> dict[str, frozenset[str]]:
    """Domains (or ranges) of each property with those of the properties above it."""
    spread = {}
    for name in {*places, *properties}:
        own: Iterable[str] = properties.get(name, (name,))
        direct = {place for above in own for place in places.get(above, ())}
        spread[name] = frozenset(c for place in direct for c in classes.get(place, (place,)))
    return spread
