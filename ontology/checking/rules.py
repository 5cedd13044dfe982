"""SWRL rules: what Pellet would drop, never fire or fire too dearly, and owlready2 would misread.

Each check is a trap that was measured on Pellet 2.3.1 and owlready2 0.51; none of them says a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pyoxigraph import Literal, NamedNode

from ontology.checking.breadth import check_breadth, check_texts, check_twins
from ontology.checking.conclusions import check_conclusions, check_endless, check_promises
from ontology.checking.held_terms import check_windows
from ontology.checking.problem import Found, Problem
from ontology.checking.terms import Vocabulary, fits, ill_typed, meant, value_kind
from ontology.knowledge_base import OwlFile
from ontology.swrl import (
    BUILTIN,
    CLASS,
    DATA,
    DIFFERENT,
    OBJECT,
    SAME,
    SWRLB,
    Atom,
    Rule,
    Variable,
    local_name,
)
from ontology.swrl_builtins import BUILTINS, Builtin
from ontology.window_terms import OF_ALERTS_OWN

_WANTED = {CLASS: "class", OBJECT: "object property", DATA: "data property"}
_READABLE = re.compile(r"\?[A-Za-z0-9_]+")
_SWRLX = "http://www.w3.org/2003/11/swrlx#"


def check_rules(file: OwlFile, rules: Sequence[Rule], vocabulary: Vocabulary) -> Iterator[Problem]:
    """Problems of the rules of one file, rule by rule."""
    for number, rule in enumerate(rules, 1):
        where = f"rule {rule.label!r}" if rule.label else f"rule {number} ({rule})"
        for code, message, level in dict.fromkeys(_check(rule, vocabulary)):
            yield Problem(path=file.path, code=code, where=where, message=message, level=level)


def check_together(
    rules: Sequence[tuple[OwlFile, Rule]], vocabulary: Vocabulary
) -> Iterator[Problem]:
    """Problems between rules: labels and conclusions that two of them share."""
    labels: dict[str, OwlFile] = {}
    heads: dict[str, str] = {}
    for file, rule in rules:
        where = f"rule {rule.label!r}"
        if rule.label and rule.label in labels:
            yield Problem(
                path=file.path,
                code="label-twice",
                where=where,
                message=f"another rule has this label, in {labels[rule.label].path}: "
                "rules are known by it",
            )
        labels[rule.label] = file
        for atom in rule.head if rule.enabled else ():
            if atom.kind == OBJECT and heads.setdefault(atom.iri, rule.label) != rule.label:
                yield Problem(
                    path=file.path,
                    code="shared-conclusion",
                    where=where,
                    message=f"{local_name(atom.iri)} is also concluded by rule "
                    f"{heads[atom.iri]!r}: Pellet keeps one derivation of a pair, so "
                    "explanations would hide one of them; give each a sub-property",
                    level="warning",
                )
    enabled = [(file, rule) for file, rule in rules if rule.enabled]
    yield from check_twins(enabled, vocabulary)
    yield from check_promises(enabled, vocabulary)
    yield from check_endless(enabled, vocabulary)
    yield from check_windows(enabled, vocabulary)


def _check(rule: Rule, vocabulary: Vocabulary) -> Found:
    if not rule.label:
        yield "no-label", "it has no rdfs:label, by which rules are known (IRIs get lost)", "error"
    if not rule.comment:
        yield (
            "no-comment",
            "it has no rdfs:comment, which is the first line of its explanations",
            "warning",
        )
    if not rule.enabled:
        yield (
            "disabled-rule",
            "it is switched off, and agents leave it out; Pellet by itself (Protégé, "
            "sync_reasoner_pellet) does not read that switch and would run it",
            "warning",
        )
    if isinstance(rule.node, NamedNode):
        yield (
            "named-rule",
            f"it has an IRI, <{rule.node.value}>, which Protégé loses with its next save, leaving "
            "an individual of that name behind: rules are blank nodes, known by their label",
            "warning",
        )
    if rule.broken:
        yield "broken-list", rule.broken, "error"
        return
    if not rule.body:
        yield "no-body", "its body is empty: it would hold always", "error"
    if not rule.head:
        yield "no-head", "its head is empty: it concludes nothing", "error"
    for atom in (*rule.body, *rule.head):
        yield from _atom(atom, vocabulary)
    yield from _head(rule, vocabulary)
    yield from _bindings(rule)
    yield from _kinds(rule, vocabulary)
    yield from _variable_names(rule)
    yield from check_conclusions(rule, vocabulary)
    yield from check_texts(rule)
    yield from check_breadth(rule, vocabulary)
    yield from _joins(rule)


def _atom(atom: Atom, vocabulary: Vocabulary) -> Found:
    if atom.kind in (SAME, DIFFERENT):
        if atom.kind == DIFFERENT and not vocabulary.different:
            yield (
                "different-never",
                f"{atom} never holds: nothing says that two individuals differ (no "
                "owl:AllDifferent); compare a number or address of theirs with notEqual",
                "error",
            )
        return
    if atom.kind == BUILTIN:
        yield from _builtin(atom)
        return
    if atom.kind not in _WANTED:
        yield "unknown-atom", f"{atom}: atoms of type {atom.kind or 'none'} are not run", "error"
        return
    if any(argument is None for argument in atom.arguments) or atom.predicate is None:
        yield "broken-atom", f"{atom} lacks its predicate or an argument", "error"
        return
    if not atom.iri:
        yield (
            "class-expression",
            f"{atom}: a class expression in a rule; declare a class equivalent to it and name that",
            "error",
        )
        return
    kinds = vocabulary.kinds.get(atom.iri, set())
    if not kinds and not vocabulary.knows(atom.iri):
        yield (
            "unknown-term",
            f"<{atom.iri}> is declared nowhere{meant(atom.iri, vocabulary)}",
            "error",
        )
    elif kinds and _WANTED[atom.kind] not in kinds:
        yield (
            "wrong-kind",
            f"{atom}: {local_name(atom.iri)} is no {_WANTED[atom.kind]}, but "
            f"{' and '.join(sorted(kinds))}",
            "error",
        )
    if atom.kind == CLASS and atom.iri in vocabulary.same:
        name = local_name(vocabulary.same[atom.iri])
        yield (
            "equivalent-class",
            f"{atom}: {local_name(atom.iri)} is another name of {name}, and with an atom of such a "
            f"class Pellet has lost conclusions of other rules; write {name}",
            "warning",
        )
    if atom.kind == DATA and isinstance(value := atom.arguments[1], Literal):
        range_ = vocabulary.ranges.get(atom.iri, "")
        if ill_typed(value) or (range_ and not fits(value, range_)):
            yield (
                "ill-typed-literal",
                f"{atom}: {value.value[:80]!r} is {local_name(value.datatype.value)}, "
                f"{local_name(atom.iri)} holds {local_name(range_) or 'values of that type'}",
                "error",
            )


def _builtin(atom: Atom) -> Found:
    name = local_name(atom.iri)
    if atom.iri.startswith(_SWRLX) or not atom.iri.startswith(SWRLB):
        yield "unknown-builtin", f"there is no built-in <{atom.iri}>", "error"
    elif (known := BUILTINS.get(name)) is None:
        yield (
            "builtin-not-run",
            f"Pellet does not execute swrlb:{name} and drops the whole rule without a word",
            "error",
        )
    elif not known.fewest <= len(atom.arguments) <= known.most:
        yield "wrong-arity", f"{atom}: swrlb:{name} takes {_arity(known)}", "error"
    for argument in atom.arguments:
        if isinstance(argument, Literal) and ill_typed(argument):
            kind = local_name(argument.datatype.value)
            yield "ill-typed-literal", f"{atom}: {argument.value[:80]!r} is no {kind}", "error"


def _arity(known: Builtin) -> str:
    if known.fewest == known.most:
        return f"{known.fewest} arguments"
    if known.most > known.fewest + 1:
        return f"at least {known.fewest} arguments"
    return f"{known.fewest} or {known.most} arguments"


def _head(rule: Rule, vocabulary: Vocabulary) -> Found:
    for atom in rule.head:
        if atom.kind not in _WANTED:
            yield (
                "head-kind",
                f"{atom} stands in the head: conclude a class, a property or a data value",
                "error",
            )
        elif atom.kind == DATA and atom.iri in vocabulary.functional:
            yield (
                "functional-conclusion",
                f"{local_name(atom.iri)} may have one value only: a second, given or concluded, "
                "makes the whole window inconsistent",
                "warning",
            )


def _bindings(rule: Rule) -> Found:
    bound = {v for a in rule.body if a.kind not in (BUILTIN, SAME, DIFFERENT) for v in a.variables}
    waiting = [a for a in rule.body if a.kind == BUILTIN]
    while True:
        ready = [a for a in waiting if _computable(a, bound)]
        if not ready:
            break
        for atom in ready:
            bound |= set(atom.variables)
        waiting = [a for a in waiting if a not in ready]
    for atom in waiting:
        loose = ", ".join(v.name for v in dict.fromkeys(atom.variables) if v not in bound)
        if loose:
            yield (
                "unbound-variable",
                f"{atom}: nothing gives {loose} a value, so Pellet never fires the rule",
                "error",
            )
    for atom in rule.head:
        loose = ", ".join(v.name for v in atom.variables if v not in bound)
        if loose:
            yield "unbound-head", f"{atom}: {loose} does not occur in the body", "error"


def _computable(atom: Atom, bound: set[Variable]) -> bool:
    loose = [n for n, a in enumerate(atom.arguments) if isinstance(a, Variable) and a not in bound]
    known = BUILTINS.get(local_name(atom.iri))
    return not loose or (known is not None and known.computes and loose == [0])


def _variable_names(rule: Rule) -> Found:
    variables = dict.fromkeys(v for a in (*rule.body, *rule.head) for v in a.variables)
    for variable in variables:
        if not _READABLE.fullmatch(variable.name):
            yield (
                "variable-name",
                f"owlready2's rule parser can't read {variable.name}: letters a-z, digits and "
                "underscores only",
                "warning",
            )


def _kinds(rule: Rule, vocabulary: Vocabulary) -> Found:
    """Strings compared with numbers: no error for Pellet, and never true."""
    kinds: dict[object, str] = {}
    for atom in rule.body:
        if atom.kind == DATA and atom.iri in vocabulary.ranges and len(atom.arguments) == 2:
            kinds[atom.arguments[1]] = value_kind(vocabulary.ranges[atom.iri])
    for atom in rule.body:
        known = BUILTINS.get(local_name(atom.iri)) if atom.kind == BUILTIN else None
        if known is None:
            continue
        found = [
            value_kind(a.datatype.value) if isinstance(a, Literal) else kinds.get(a, "")
            for a in atom.arguments
        ]
        if known.computes and known.kind in ("number", "string"):
            kinds.setdefault(atom.arguments[0], known.kind)
        have = {kind for kind in found if kind}
        if known.kind == "any" and local_name(atom.iri) in ("equal", "notEqual"):
            if len(have) > 1:
                yield (
                    "compared-kinds",
                    f"{atom} compares {' with '.join(sorted(have))}: never equal",
                    "error",
                )
        elif known.kind != "any" and have - {known.kind}:
            yield (
                "compared-kinds",
                f"{atom} wants {known.kind}s, gets {' and '.join(sorted(have))}: "
                "Pellet never fires the rule",
                "error",
            )


def _joins(rule: Rule) -> Found:
    """Locality: all individuals hang together by object properties; and the order of the atoms."""
    groups: list[set[object]] = []
    own = {atom.arguments[1] for atom in rule.body if atom.iri in OF_ALERTS_OWN}
    for atom in rule.body:
        if atom.arguments and atom.arguments[0] in own:
            continue
        if atom.kind in (OBJECT, CLASS) and atom.iri not in OF_ALERTS_OWN:
            ends = {a for a in atom.arguments if isinstance(a, Variable | NamedNode)}
            touched = [g for g in groups if g & ends]
            groups = [g for g in groups if not g & ends] + [ends.union(*touched)]
        elif atom.kind in (OBJECT, DATA) and isinstance(atom.arguments[0], Variable):
            if not any(atom.arguments[0] in g for g in groups):
                groups.append({atom.arguments[0]})
    groups = [g for g in groups if any(isinstance(member, Variable) for member in g)]
    if len(groups) > 1:
        apart = " and ".join(
            "{" + ", ".join(sorted(m.name for m in g if isinstance(m, Variable))) + "}"
            for g in groups
        )
        yield (
            "not-local",
            f"{apart} share no host: join them by an object property such as involvesSource or "
            "involvesTarget. Alerts that share none are reasoned about apart, so it would not fire",
            "error",
        )
        return
    yield from _order(rule)


def _order(rule: Rule) -> Found:
    seen: set[Variable] = set()
    counts = Counter(v for a in rule.body if a.kind == OBJECT for v in a.variables)
    for atom in rule.body:
        if atom.kind in (BUILTIN, SAME, DIFFERENT):
            continue
        if seen and atom.kind in (CLASS, DATA) and not seen & set(atom.variables):
            if any(counts[v] for v in atom.variables):
                yield (
                    "class-before-join",
                    f"{atom} stands before any atom joins it to the rest: plain Pellet first "
                    "pairs everything with everything; write the property atoms first (agents "
                    "put them in order themselves)",
                    "warning",
                )
                return
        seen |= set(atom.variables)
