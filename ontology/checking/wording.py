"""Axioms and contradictions in words, each with the file that states it.

A premise is a function and its arguments (IRIs, texts), as Pellet's own terms are written by
`ontology.reasoner.premises`; `logic_worker` writes the OWL API's axioms in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyoxigraph import NamedNode

from ontology.checking.problem import Problem
from ontology.checking.terms import Vocabulary
from ontology.knowledge_base import OwlFile
from ontology.swrl import CLASS, DATA, OBJECT, RDF, RDFS, Atom, Rule, Variable, local_name
from ontology.theory import rule_label
from ontology.vocabulary import IDPS

Premise = Sequence[str]
MAX_SAID = 6
"""Axioms in one line."""
_PREDICATES = {
    "subClassOf": RDFS + "subClassOf",
    "subProperty": RDFS + "subPropertyOf",
    "domain": RDFS + "domain",
    "range": RDFS + "range",
    "type": RDF + "type",
}
DISJOINT = ("disjointClasses", "disjointWith")
"""Kinds of axioms that keep classes apart."""


def say(premise: Premise, about: frozenset[str] = frozenset()) -> str:
    """One axiom or fact in words.

    Args:
        about: IRIs that the others speak of: of many disjoint classes, those are named.
    """
    kind, *terms = premise
    if kind in DISJOINT:
        members = [m for t in terms for m in t.strip("[]").split(",")]
        named = [m for m in members if m in about]
        return f"{_and(_names(named if len(named) > 1 else members[:6]))} are disjoint"
    names = _names(terms)
    match kind, names:
        case "subClassOf", [one, other]:
            return f"{one} is a kind of {other}"
        case "type", [one, other]:
            return f"{one} is {_a(other)}"
        case "domain", [one, other]:
            return f"whatever has {one} is {_a(other)}"
        case "range", [one, other]:
            return f"whatever {one} names is {_a(other)}"
        case "subProperty", [one, other]:
            return f"{one} implies {other}"
        case "functional", [one]:
            return f"{one} has one value only"
        case "prop", [one, subject, value]:
            return f"{one} of {subject} is {value}"
        case "equivalentClasses", [*several]:
            return f"{_and(several)} are one class"
        case "rule", [one]:
            return f"rule {rule_label(terms[0])!r}" if one else "a rule"
        case "said", [*_]:
            return " ".join(terms)
    return f"{kind}({', '.join(names)})"


class Wording:
    """Of a set of files."""

    def __init__(self, files: Sequence[OwlFile], vocabulary: Vocabulary) -> None:
        self._files = files
        self._vocabulary = vocabulary

    def contradiction(self, file: OwlFile, rule: Rule, premises: Iterable[Premise]) -> Problem:
        """Of a window in which that rule was tried, and Pellet's reasons."""
        found = list(premises)
        labels = {rule_label(p[1]) for p in found if p[0] == "rule" and len(p) > 1}
        made = [self._makes(rule, atom) for atom in rule.head] if rule.label in labels else []
        others = sorted(labels - {rule.label})
        said = [f"makes {_and(made)}"] if made else ["it asks for what can't be"]
        said += [f"rule {label!r} concludes from that" for label in others]
        axioms = [p for p in found if p[0] not in ("rule", "type", "prop")]
        about = _mentioned(found) | {a.iri for a in (*rule.head, *rule.body)}
        said += self.axioms(axioms, frozenset(about))
        return Problem(
            path=file.path,
            code="inconsistent",
            where=f"rule {rule.label!r}",
            message="; ".join(said),
        )

    def axioms(self, premises: Iterable[Premise], about: frozenset[str]) -> list[str]:
        """Each in words, with its file; those that make things disjoint last."""
        ordered = sorted(premises, key=lambda p: (p[0] in DISJOINT, *p))
        said = [f"{say(p, about)}{self._where(p, about)}" for p in ordered]
        more = [f"and {len(said) - MAX_SAID} more"] if len(said) > MAX_SAID else []
        return said[-MAX_SAID:] + more

    def _makes(self, rule: Rule, atom: Atom) -> str:
        first, *rest = atom.arguments
        one = self._called(rule, first)
        if atom.kind == CLASS:
            return f"{one} {_a(local_name(atom.iri))}"
        if atom.kind == OBJECT and rest:
            return f"{local_name(atom.iri)} of {one} {self._called(rule, rest[0])}"
        return f"{local_name(atom.iri)} of {one} another value" if atom.kind == DATA else str(atom)

    def _called(self, rule: Rule, argument: object) -> str:
        """A variable by what the body says of it."""
        if not isinstance(argument, Variable):
            return local_name(getattr(argument, "value", "")) or "it"
        mine = [a.iri for a in rule.body if a.kind == CLASS and a.arguments[0] == argument]
        above = self._vocabulary.above
        lowest = [c for c in mine if not any(c != d and c in above(d) for d in mine)]
        if lowest:
            return _and(_names(lowest))
        for atom in rule.body:
            if atom.kind == OBJECT and atom.arguments[-1] == argument:
                if IDPS.involvesSource in above(atom.iri):
                    return "the source"
                if IDPS.involvesTarget in above(atom.iri):
                    return "the target"
        return argument.name

    def _where(self, premise: Premise, about: frozenset[str]) -> str:
        name = next((f.path.name for f in self._files if _states(f, premise, about)), "")
        return f" ({name})" if name else ""


def _states(file: OwlFile, premise: Premise, about: frozenset[str]) -> bool:
    kind, *terms = premise
    if kind in DISJOINT:
        members = [m for t in terms for m in t.strip("[]").split(",")]
        named = {m for m in members if m in about} or set(members)
        listed = {
            t.object.value
            for t in file.triples
            if isinstance(t.object, NamedNode)
            and t.predicate.value.endswith(("#first", "#disjointWith"))
        }
        listed |= {
            t.subject.value
            for t in file.triples
            if t.predicate.value.endswith("#disjointWith") and isinstance(t.subject, NamedNode)
        }
        return named <= listed
    predicate = _PREDICATES.get(kind, "")
    return any(
        t.predicate.value == predicate
        and isinstance(t.subject, NamedNode)
        and isinstance(t.object, NamedNode)
        and [t.subject.value, t.object.value] == terms
        for t in file.triples
    )


def _mentioned(premises: Iterable[Premise]) -> set[str]:
    """What axioms other than disjointness speak of."""
    return {t for p in premises if p[0] not in DISJOINT for t in p[1:]}


def _names(iris: Iterable[str]) -> list[str]:
    return [local_name(iri) if ":" in iri else iri for iri in iris]


def _a(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def _and(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
