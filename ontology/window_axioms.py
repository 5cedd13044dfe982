"""Axioms that no window can come to: left out of what agents' Pellet loads for each window.

The ontology defines classes and characterises properties that windows never hold (of campaigns,
files, sessions), so that a reasoner in Protégé infers them and asserted facts are checked by them.
For a window they would be cost, and the chainer (`ontology.chainer`) knows neither
restrictions nor characteristics. What may concern a window stays, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

from pyoxigraph import BlankNode, NamedNode, Triple

from ontology.swrl import RDF, RDFS
from ontology.vocabulary import IDPS, NAMESPACE
from ontology.window_terms import HELD, PAPER_TERMS

_OWL = "http://www.w3.org/2002/07/owl#"
_TYPE, _FIRST, _REST = RDF + "type", RDF + "first", RDF + "rest"
_SUBCLASS, _EQUIVALENT = RDFS + "subClassOf", _OWL + "equivalentClass"
_CHARACTERISTICS = frozenset(
    _OWL + name
    for name in (
        "AsymmetricProperty IrreflexiveProperty TransitiveProperty InverseFunctionalProperty "
        "ReflexiveProperty"
    ).split()
)
_SHAPE = frozenset(
    (
        *(_TYPE, _FIRST, _REST),
        *(_OWL + n for n in ("intersectionOf", "onProperty", "someValuesFrom", "hasValue")),
    )
)
"""Of expressions that nothing belongs to without a value of each property in them."""
_WINDOW_ROOTS = frozenset(
    (IDPS.Alert, IDPS.Host, IDPS.Signature, IDPS.State, NAMESPACE + "IntrusionState")
)


def without_idle(triples: Sequence[Triple], spoken: Set[str]) -> list[Triple]:
    """The triples without definitions by, characteristics of, and disjointness among what no window
    holds.

    Args:
        spoken: classes and properties in rules (IRIs).
    """
    of: dict[Any, list[Triple]] = {}
    above: dict[str, set[str]] = {}
    for triple in triples:
        of.setdefault(triple.subject, []).append(triple)
        predicate = triple.predicate.value
        if predicate in (_SUBCLASS, RDFS + "subPropertyOf", _OWL + "equivalentProperty"):
            one, other = triple.subject, triple.object
            if isinstance(one, NamedNode) and isinstance(other, NamedNode):
                above.setdefault(one.value, set()).add(other.value)
                if predicate.endswith("equivalentProperty"):
                    above.setdefault(other.value, set()).add(one.value)
    seen = {str(term) for term in HELD} | PAPER_TERMS | spoken
    held = _closure(seen, above)
    classes = _window_classes(above, spoken)
    idle: set[Any] = set()
    """Nodes whose triples go, and triples that name them."""
    gone: set[Triple] = set()
    for triple in triples:
        one, predicate, other = triple.subject, triple.predicate.value, triple.object
        if predicate in (_SUBCLASS, _EQUIVALENT) and isinstance(other, BlankNode):
            nodes = _tree(other, of)
            used = _properties(nodes, of)
            needed = predicate == _EQUIVALENT or getattr(one, "value", "") not in classes
            if needed and used is not None and not used <= held:
                idle |= nodes
                gone.add(triple)
        elif predicate == _TYPE and getattr(other, "value", "") in _CHARACTERISTICS:
            if getattr(one, "value", "") not in held:
                gone.add(triple)
        elif predicate == _OWL + "members":
            nodes = _tree(other, of)
            names = {
                str(getattr(t.object, "value", ""))
                for n in nodes
                for t in of.get(n, ())
                if _names(t)
            }
            # One of them alone excludes nothing.
            if len(names & classes) < 2 and names:
                idle |= nodes | {one}
    return [t for t in triples if t.subject not in idle and t not in gone]


def _names(triple: Triple) -> bool:
    return triple.predicate.value == _FIRST and isinstance(triple.object, NamedNode)


def _window_classes(above: dict[str, set[str]], spoken: Set[str]) -> set[str]:
    """Those that an individual of a window may be of: the roots with all above and below them."""
    roots = {str(root) for root in _WINDOW_ROOTS} | spoken
    # Not what is below something above them: a Record may be much that no window holds.
    return _closure(roots, above) | {n for n in above if _closure({n}, above) & roots}


def _closure(names: Iterable[str], above: dict[str, set[str]]) -> set[str]:
    found = set(names)
    todo = list(found)
    while todo:
        more = above.get(todo.pop(), set()) - found
        found |= more
        todo += more
    return found


def _tree(node: Any, of: dict[Any, list[Triple]]) -> set[Any]:
    """A blank node and those that it is made of."""
    found = {node}
    todo = [node]
    while todo:
        for triple in of.get(todo.pop(), ()):
            if isinstance(triple.object, BlankNode) and triple.object not in found:
                found.add(triple.object)
                todo.append(triple.object)
    return found


def _properties(nodes: set[Any], of: dict[Any, list[Triple]]) -> set[str] | None:
    """Those that an expression asks for a value of; None if it isn't that simple."""
    found: set[str] = set()
    for node in nodes:
        for triple in of.get(node, ()):
            if triple.predicate.value not in _SHAPE:
                return None
            if triple.predicate.value == _OWL + "onProperty":
                found.add(str(getattr(triple.object, "value", "")))
    return found or None
