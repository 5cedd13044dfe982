"""SWRL rules as they stand in RDF: atoms with arguments (SWRL submission, section 5).

Nothing is corrected or dropped, and what is broken stays readable, so that it can be reported by
those who look at rules, and refused by those who run them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyoxigraph import BlankNode, Literal, NamedNode, Triple

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
SWRL = "http://www.w3.org/2003/11/swrl#"
SWRLB = "http://www.w3.org/2003/11/swrlb#"
ENABLED = "http://swrl.stanford.edu/ontologies/3.3/swrla.owl#isRuleEnabled"
"""Annotation of Protégé's rule tab; Pellet does not read it."""

CLASS, OBJECT, DATA, BUILTIN, SAME, DIFFERENT, RANGE = (
    "ClassAtom",
    "IndividualPropertyAtom",
    "DatavaluedPropertyAtom",
    "BuiltinAtom",
    "SameIndividualAtom",
    "DifferentIndividualsAtom",
    "DataRangeAtom",
)
_PREDICATE = {
    CLASS: "classPredicate",
    OBJECT: "propertyPredicate",
    DATA: "propertyPredicate",
    BUILTIN: "builtin",
    RANGE: "dataRange",
}

Node = NamedNode | BlankNode | Literal


@dataclass(frozen=True, slots=True, order=True)
class Variable:
    """A variable, by the IRI it has in the file."""

    iri: str

    @property
    def name(self) -> str:
        """``?a`` of ``urn:swrl:var#a``."""
        return "?" + local_name(self.iri)


Argument = Variable | Node


@dataclass(frozen=True, slots=True)
class Atom:
    """One atom of a body or head."""

    kind: str
    """`CLASS`, `OBJECT`, … or the unknown type as it stands; empty without one."""
    predicate: Node | None
    """Class, property or built-in; None where the kind has none or it is missing."""
    arguments: tuple[Argument | None, ...]
    """In order; None for one that is missing."""
    node: Node
    """The atom itself in the file."""

    @property
    def iri(self) -> str:
        """IRI of the predicate; empty if it has none."""
        return self.predicate.value if isinstance(self.predicate, NamedNode) else ""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Its variables in order of the arguments."""
        return tuple(a for a in self.arguments if isinstance(a, Variable))

    def __str__(self) -> str:
        name = local_name(self.iri) or {SAME: "sameAs", DIFFERENT: "differentFrom"}.get(
            self.kind, "[expression]"
        )
        return f"{name}({', '.join(_shown(a) for a in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``swrl:Imp``."""

    node: NamedNode | BlankNode
    label: str
    comment: str
    enabled: bool
    body: tuple[Atom, ...]
    head: tuple[Atom, ...]
    cells: tuple[Node, ...]
    """List cells of the body, one for each atom."""
    broken: str
    """What is wrong with its lists; empty if they can be read to the end."""

    def __str__(self) -> str:
        body, head = (", ".join(map(str, atoms)) for atoms in (self.body, self.head))
        return f"{body} -> {head}"


def read_rules(triples: Iterable[Triple]) -> tuple[Rule, ...]:
    """All rules among the triples, in order of appearance."""
    return tuple(_Reader(triples).rules())


def local_name(iri: str) -> str:
    """What stands behind the last ``#``, ``/`` or ``:``."""
    return iri.rsplit("#", 1)[-1].rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def _shown(argument: Argument | None) -> str:
    if isinstance(argument, Variable):
        return argument.name
    if isinstance(argument, NamedNode):
        return local_name(argument.value)
    if isinstance(argument, Literal):
        return repr(argument.value)
    return "?!" if argument is None else "[anonymous]"


class _Reader:
    def __init__(self, triples: Iterable[Triple]) -> None:
        self._of: dict[Any, dict[str, list[Any]]] = {}
        for triple in triples:
            properties = self._of.setdefault(triple.subject, {})
            properties.setdefault(triple.predicate.value, []).append(triple.object)

    def rules(self) -> Iterator[Rule]:
        for node, properties in self._of.items():
            if NamedNode(SWRL + "Imp") not in properties.get(RDF + "type", ()):
                continue
            body, cells, first = self._atoms(node, "body")
            head, _, second = self._atoms(node, "head")
            enabled = self._one(node, ENABLED)
            yield Rule(
                node=node,
                label=self._text(node, RDFS + "label"),
                comment=self._text(node, RDFS + "comment"),
                enabled=not (isinstance(enabled, Literal) and enabled.value in ("false", "0")),
                body=body,
                head=head,
                cells=cells,
                broken=first or second,
            )

    def _atoms(self, imp: Any, name: str) -> tuple[tuple[Atom, ...], tuple[Node, ...], str]:
        start = self._one(imp, SWRL + name)
        if start is None:
            return (), (), f"it has no swrl:{name}"
        cells, broken = self._list(start)
        atoms = tuple(self._atom(member) for _, member in cells)
        return atoms, tuple(cell for cell, _ in cells), broken and f"its swrl:{name} {broken}"

    def _atom(self, node: Any) -> Atom:
        types = [
            t.value.removeprefix(SWRL)
            for t in self._of.get(node, {}).get(RDF + "type", ())
            if isinstance(t, NamedNode) and t.value.startswith(SWRL)
        ]
        kind = types[0] if types else ""
        predicate = self._one(node, SWRL + _PREDICATE[kind]) if kind in _PREDICATE else None
        if kind == BUILTIN:
            start = self._one(node, SWRL + "arguments")
            arguments = [a for _, a in self._list(start)[0]] if start is not None else []
        elif kind in (CLASS, RANGE):
            arguments = [self._one(node, SWRL + "argument1")]
        else:
            arguments = [self._one(node, SWRL + f"argument{n}") for n in (1, 2)]
        return Atom(kind, predicate, tuple(self._argument(a) for a in arguments), node)

    def _argument(self, node: Any) -> Argument | None:
        types = self._of.get(node, {}).get(RDF + "type", ())
        if isinstance(node, NamedNode) and NamedNode(SWRL + "Variable") in types:
            return Variable(node.value)
        return node  # type: ignore[no-any-return]

    def _list(self, start: Any) -> tuple[list[tuple[Any, Any]], str]:
        """(cell, member) of each, and what is wrong with the list."""
        members: list[tuple[Any, Any]] = []
        seen, node = set(), start
        while node != NamedNode(RDF + "nil"):
            if node in seen:
                return members, "runs in a circle"
            seen.add(node)
            first = self._one(node, RDF + "first")
            rest = self._one(node, RDF + "rest")
            if first is None or rest is None:
                return members, "ends without rdf:nil"
            members.append((node, first))
            node = rest
        return members, ""

    def _one(self, subject: Any, predicate: str) -> Any:
        values = self._of.get(subject, {}).get(predicate, ())
        return values[0] if values else None

    def _text(self, subject: Any, predicate: str) -> str:
        """A literal of that property; an English or unmarked one if there is a choice."""
        values = self._of.get(subject, {}).get(predicate, ())
        literals = [v for v in values if isinstance(v, Literal)]
        literals.sort(key=lambda v: (v.language not in (None, "en"), v.language or "", v.value))
        return literals[0].value if literals else ""
