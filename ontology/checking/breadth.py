"""Rules that say too much: of every alert, the same as another rule; and patterns without end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyoxigraph import Literal

from ontology.checking.problem import Found, Problem
from ontology.checking.terms import Vocabulary
from ontology.knowledge_base import OwlFile
from ontology.swrl import BUILTIN, CLASS, DATA, OBJECT, Argument, Rule, Variable, local_name
from ontology.vocabulary import IDPS

_ANYTHING = frozenset((IDPS.Alert, IDPS.Attack, IDPS.Host))
"""Every alert and host is one of these, and of what they are below."""
_ALWAYS_THERE = frozenset(
    (IDPS.beginUs, IDPS.endUs, IDPS.count, IDPS.verifiedSource, IDPS.ipAddress)
)
_ROLES = frozenset((IDPS.involvesSource, IDPS.involvesTarget))
_SHARED_BY_DESIGN = frozenset((IDPS.BlockCandidate, IDPS.ScenarioBlockCandidate))
"""What a block is asked for with; every rule may."""
_PATTERNS = ("matches", "replace", "tokenize")
MAX_LITERAL = 1_000
"""Characters of a text in a rule; it is compared in every window."""


def check_breadth(rule: Rule, vocabulary: Vocabulary) -> Found:
    """Does the body leave anything out?"""
    anything = {above for iri in _ANYTHING for above in vocabulary.above(iri)}
    given = {a.arguments[-1] for a in rule.body if a.kind == DATA}
    for atom in rule.body:
        if atom.kind == CLASS and atom.iri not in anything:
            return
        if atom.kind == OBJECT and not vocabulary.above(atom.iri) & _ROLES:
            return
        if atom.kind == DATA and (
            atom.iri not in _ALWAYS_THERE
            or (isinstance(atom.arguments[-1], Literal) and atom.iri != IDPS.verifiedSource)
        ):
            return
        if atom.kind == BUILTIN and any(isinstance(a, Literal) for a in atom.arguments):
            if given.intersection(a for a in atom.arguments if isinstance(a, Variable)):
                return
    if rule.body and rule.head:
        heads = ", ".join(map(str, rule.head))
        yield (
            "over-broad",
            f"it concludes {heads} of every alert, whatever was attacked and how; ask for a class "
            "of attack, of host, or a value",
            "warning",
        )


def check_texts(rule: Rule) -> Found:
    """Long texts, and patterns that take a text apart in too many ways."""
    for atom in rule.body:
        texts = [a for a in atom.arguments if isinstance(a, Literal)]
        if any(len(text.value) > MAX_LITERAL for text in texts):
            name = local_name(atom.iri)
            yield "long-literal", f"{name} holds a text above {MAX_LITERAL} characters", "error"
        if atom.kind != BUILTIN or local_name(atom.iri) not in _PATTERNS:
            continue
        pattern = atom.arguments[1 if local_name(atom.iri) == "matches" else 2 :][:1]
        if any(isinstance(p, Variable) for p in pattern):
            yield (
                "slow-pattern",
                f"{local_name(atom.iri)}: its pattern comes from the alert, so from an attacker",
                "error",
            )
        elif any(isinstance(p, Literal) and _nested(p.value) for p in pattern):
            yield (
                "slow-pattern",
                f"{local_name(atom.iri)}: repeats within repeats, as in (a+)+: a text that nearly "
                "fits keeps Pellet busy for ever; repeat what stands inside only",
                "error",
            )


def _nested(pattern: str) -> bool:
    """Is a group repeated that holds a repetition?"""
    open_groups, escaped, in_set, closed = [False], False, False, False
    for place, char in enumerate(pattern):
        repeats = not escaped and not in_set and (char in "*+" or pattern[place:].startswith("{"))
        if repeats and closed:
            return True
        closed = False
        if repeats:
            open_groups[-1] = True
        elif not escaped and not in_set and char == "(":
            open_groups.append(False)
        elif not escaped and not in_set and char == ")" and len(open_groups) > 1:
            closed = open_groups.pop()
            open_groups[-1] |= closed
        elif not escaped and char in "[]":
            in_set = char == "["
        escaped = char == "\\" and not escaped
    return False


def check_twins(rules: Sequence[tuple[OwlFile, Rule]], vocabulary: Vocabulary) -> Iterator[Problem]:
    """Rules that are one but for names, and findings that two rules conclude."""
    bodies: dict[object, str] = {}
    heads: dict[str, str] = {}
    for file, rule in rules:
        same = bodies.setdefault(_form(rule), rule.label)
        if same != rule.label:
            yield Problem(
                path=file.path,
                code="same-rule",
                where=f"rule {rule.label!r}",
                message=f"it says what rule {same!r} says: one of them is enough",
                level="warning",
            )
            continue
        for atom in rule.head:
            if atom.kind != CLASS or atom.iri in _SHARED_BY_DESIGN:
                continue
            other = heads.setdefault(atom.iri, rule.label)
            if other != rule.label and IDPS.Finding in vocabulary.above(atom.iri):
                yield Problem(
                    path=file.path,
                    code="shared-conclusion",
                    where=f"rule {rule.label!r}",
                    message=f"{local_name(atom.iri)} is also concluded by rule {other!r}: nobody "
                    "could tell which of them fired; give each a class of its own below Finding",
                    level="warning",
                )


def _form(rule: Rule) -> object:
    """Equal for rules that differ in names of variables and the order of atoms alone."""
    sides = [*((a, 0) for a in rule.body), *((a, 1) for a in rule.head)]
    colours: dict[Argument | None, int] = {}

    def coloured(argument: Argument | None) -> object:
        return colours.get(argument, 0) if isinstance(argument, Variable) else str(argument)

    def atoms() -> list[tuple[object, ...]]:
        return [(side, a.kind, a.iri, *map(coloured, a.arguments)) for a, side in sides]

    for _ in range(4):
        seen: dict[Argument | None, list[str]] = {}
        for (atom, _side), form in zip(sides, atoms(), strict=True):
            for place, argument in enumerate(atom.arguments):
                if isinstance(argument, Variable):
                    seen.setdefault(argument, []).append(f"{place} {form}")
        colours = {variable: hash(tuple(sorted(forms))) for variable, forms in seen.items()}
    return tuple(sorted(map(str, atoms())))
