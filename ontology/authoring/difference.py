"""What differs between two versions of an OWL file: terms, axioms, rules, one line each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from pyoxigraph import BlankNode, Literal, NamedNode, Triple

from ontology.checking.terms import OWL
from ontology.knowledge_base import OwlFile
from ontology.swrl import RDF, RDFS, SWRL, read_rules

_TYPE = RDF + "type"
_KINDS = {
    OWL + "Class": "class",
    OWL + "ObjectProperty": "object property",
    OWL + "DatatypeProperty": "data property",
    OWL + "AnnotationProperty": "annotation property",
    OWL + "NamedIndividual": "individual",
}
_SHORT = {RDF: "rdf:", RDFS: "rdfs:", OWL: "owl:", "http://www.w3.org/2001/XMLSchema#": "xsd:"}
_MAX_DEPTH = 40


def differences(before: OwlFile, after: OwlFile) -> Iterator[str]:
    """``+`` for what was added, ``-`` for what went, ``~`` for what reads otherwise now.

    Order of triples, names of blank nodes, prefixes and comments in XML make no difference.
    """
    old, new = _terms(before.triples), _terms(after.triples)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"+ {new[name]} {_name(name)}"
        elif name not in new:
            yield f"- {old[name]} {_name(name)}"
    one, two = _rules(before.triples), _rules(after.triples)
    for label in sorted(one.keys() | two.keys()):
        if label not in one:
            yield f"+ rule {label}: {two[label]}"
        elif label not in two:
            yield f"- rule {label}: {one[label]}"
        elif one[label] != two[label]:
            yield f"~ rule {label}: {one[label]} => {two[label]}"
    first, second = _axioms(before.triples), _axioms(after.triples)
    changed = [("-", axiom) for axiom in first - second] + [("+", a) for a in second - first]
    for sign, axiom in sorted(changed, key=lambda item: (item[1], item[0])):
        subject = axiom[0]
        # All about a term that came or went has been said by its own line.
        if (subject in old) == (subject in new):
            yield f"{sign} {_name(subject)} {_name(axiom[1])} {axiom[2]}"


def _terms(triples: Iterable[Triple]) -> dict[str, str]:
    found: dict[str, str] = {}
    for t in triples:
        if isinstance(t.subject, NamedNode) and t.predicate.value == _TYPE:
            kind = _KINDS.get(t.object.value if isinstance(t.object, NamedNode) else "")
            if kind:
                found[t.subject.value] = kind
    return found


def _rules(triples: Sequence[Triple]) -> dict[str, str]:
    out: dict[str, str] = {}
    for number, rule in enumerate(read_rules(triples)):
        state = "" if rule.enabled else " (disabled)"
        out[rule.label or f"unnamed {number}"] = f"{rule}{state}"
    return out


def _axioms(triples: Iterable[Triple]) -> set[tuple[str, str, str]]:
    about: dict[object, list[Triple]] = defaultdict(list)
    inner: set[object] = set()
    for t in triples:
        about[t.subject].append(t)
        if isinstance(t.object, BlankNode):
            inner.add(t.object)
    found: set[tuple[str, str, str]] = set()
    for subject, said in about.items():
        if isinstance(subject, BlankNode) and (subject in inner or _is_rule(said)):
            continue
        name = subject.value if isinstance(subject, NamedNode) else "(general axiom)"
        if isinstance(subject, BlankNode):
            found.add((name, "", _shown(subject, about, 0)))
            continue
        found |= {(name, t.predicate.value, _shown(t.object, about, 0)) for t in said}
    return {axiom for axiom in found if not axiom[0].startswith(("urn:swrl", SWRL))}


def _is_rule(said: Iterable[Triple]) -> bool:
    return any(
        isinstance(t.object, NamedNode) and t.object.value.startswith(SWRL)
        for t in said
        if t.predicate.value == _TYPE
    )


def _shown(node: object, about: dict[object, list[Triple]], depth: int) -> str:
    if isinstance(node, NamedNode):
        return _name(node.value)
    if isinstance(node, Literal):
        return " ".join(str(node).split())[:300]
    if depth >= _MAX_DEPTH:
        return "[…]"
    parts = sorted(
        f"{_name(t.predicate.value)} {_shown(t.object, about, depth + 1)}" for t in about[node]
    )
    return f"[{'; '.join(parts)}]"


def _name(iri: str) -> str:
    for root, prefix in _SHORT.items():
        if iri.startswith(root):
            return prefix + iri.removeprefix(root)
    return iri.rpartition("#")[2] or iri
