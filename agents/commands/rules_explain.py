"""What a rule reads and concludes in words, how severe that is, and whether it can block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pyoxigraph import Literal, NamedNode

from agents.correlation.rhythms import FIXED
from agents.settings.honeynet import Policy
from ontology.knowledge_base import read_owl_file
from ontology.rule_outcomes import read_outcomes, shown
from ontology.swrl import (
    BUILTIN,
    CLASS,
    DIFFERENT,
    RDFS,
    SAME,
    Argument,
    Atom,
    Rule,
    Variable,
    local_name,
    read_rules,
)
from ontology.vocabulary import IDPS

_CANDIDATES = frozenset((IDPS.BlockCandidate, IDPS.ScenarioBlockCandidate))
_SIGNS = {
    "equal": "=",
    "notEqual": "≠",
    "lessThan": "<",
    "lessThanOrEqual": "≤",
    "greaterThan": ">",
    "greaterThanOrEqual": "≥",
}
_SUMS = {"add": "+", "subtract": "-", "multiply": "·", "divide": "/"}


def explain_rule(name: str, paths: Sequence[Path], policy: Policy) -> dict[str, object]:
    """Rows for people: what it reads, what it concludes, its outcome.

    Args:
        paths: ontology and rule files in force.
        policy: the least severity, and what lengths are made from.

    Raises: KeyError if there is no such rule; OutcomeError, KnowledgeBaseError (ValueError).
    """
    files = [read_owl_file(path, number) for number, path in enumerate(paths)]
    triples = [triple for file in files for triple in file.triples]
    rules = {rule.label: rule for rule in read_rules(triples)}
    rule = rules[name]
    above: dict[str, set[str]] = {}
    for triple in triples:
        if triple.predicate.value in (RDFS + "subClassOf", RDFS + "subPropertyOf"):
            above.setdefault(str(getattr(triple.subject, "value", "")), set()).add(
                str(getattr(triple.object, "value", ""))
            )
    row: dict[str, object] = {
        "reads": [in_words(atom) for atom in rule.body],
        "concludes": [in_words(atom) for atom in rule.head],
    }
    if _concluded(rule) & _CANDIDATES:
        row["outcome"] = ["that the source of the alert may be blocked"]
        return row
    reported = _concluded(rule) and not all(a.kind == CLASS for a in rule.head)
    findings = _with_above(_concluded(rule), above)
    if not reported and IDPS.Finding not in findings:
        row["outcome"] = ["nothing is reported of it; other rules may read it"]
        return row
    if IDPS.scenarioStep in findings or any("Towards" in local_name(i) for i in findings):
        row["outcome"] = ["a step of a case; the case's severity and reaction rules decide"]
        return row
    wanted = {
        atom.iri
        for other in rules.values()
        if other.enabled and _concluded(other) & _CANDIDATES
        for atom in other.body
    }
    outcome = read_outcomes(triples).of(name)
    row["outcome"] = list(
        shown(
            outcome,
            candidate=bool(findings & wanted),
            minimum=policy.minimum_severity,
            length=length_in_words(policy),
        )
    )
    return row


def length_in_words(policy: Policy) -> str:
    """How long a block lasts where the ontology doesn't say it."""
    if policy.ban_length == FIXED:
        return "as long as the reaction rule says"
    return (
        f"for the length that {policy.ban_length} makes of its contacts, times the factor of the "
        f"reaction rule, at most {policy.maximum_duration} s"
    )


def in_words(atom: Atom) -> str:
    """``?a is a Scan``, ``?a involvesSource ?s``, ``?ta < ?tb``."""
    arguments = [_argument(argument) for argument in atom.arguments]
    name = local_name(atom.iri)
    if atom.kind == CLASS and arguments:
        return f"{arguments[0]} is {_article(name)} {name or '[expression]'}"
    if atom.kind == BUILTIN and name in _SIGNS and len(arguments) == 2:
        return f"{arguments[0]} {_SIGNS[name]} {arguments[1]}"
    if atom.kind == BUILTIN and name in _SUMS and len(arguments) > 2:
        return f"{arguments[0]} = {f' {_SUMS[name]} '.join(arguments[1:])}"
    if atom.kind in (SAME, DIFFERENT) and len(arguments) == 2:
        return f"{arguments[0]} is {'' if atom.kind == SAME else 'not '}{arguments[1]}"
    if atom.kind != BUILTIN and len(arguments) == 2:
        return f"{arguments[0]} {name} {arguments[1]}"
    return str(atom)


def _argument(argument: Argument | None) -> str:
    match argument:
        case Variable():
            return argument.name
        case Literal():
            return argument.value
        case NamedNode():
            return local_name(argument.value)
    return "?!"


def _article(name: str) -> str:
    return "an" if name[:1] in "AEIOU" else "a"


def _concluded(rule: Rule) -> set[str]:
    return {atom.iri for atom in rule.head}


def _with_above(terms: Iterable[str], above: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(terms)
    while waiting:
        term = waiting.pop()
        if term not in found:
            found.add(term)
            waiting += above.get(term, ())
    return found
