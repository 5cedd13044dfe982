"""What becomes of a rule's conclusion: annotations of rules and incident classes.

The knowledge engineer says there what incident a rule reports, how severe that is when the alerts
behind it are certain, whether the rule may block, and for how long. A rule's own word counts before
that of its incident class. Reliability and risk, the paper's assessment, are told beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from ontology.swrl import RDF, RDFS, SWRL
from ontology.taxonomy import INCIDENT_CLASSES, Taxonomy, TaxonomyError
from ontology.vocabulary import IDPS, NAMESPACE

DEFAULT_CLASS: Final = IDPS.CustomIncident.local_name
"""Of rules that name no class of incidents."""
DEFAULT_WEIGHT: Final = 0.6
"""Severity where neither rule nor class says one."""
MAX_BLOCK_S: Final = 366 * 86_400
OUTCOME_PROPERTIES: Final = frozenset(
    (
        IDPS.reportsIncident,
        IDPS.fullSeverity,
        IDPS.perTarget,
        IDPS.mayBlock,
        IDPS.blocksFor,
        IDPS.softensSeverity,
        IDPS.blocksAtMost,
    )
)


class OutcomeError(ValueError):
    """An annotation that means nothing; the message names rule or class, property and value."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the conclusions of one rule are reported."""

    classification: str
    """Local name of a subclass of ``Incident``."""
    weight: float
    """Severity in [0, 1] if the alerts behind it are certain."""
    per_target: bool = True
    """False: one incident for all targets of a source."""
    may_block: bool = True
    block_s: int | None = None
    """How long it blocks, in seconds; None: as the reaction rules say."""


@dataclass(frozen=True, slots=True)
class Softening:
    """What a class of hosts changes of what follows from alerts of such a source."""

    factor: float = 1.0
    """Severity is multiplied by it."""
    at_most_s: int | None = None
    """No block lasts longer, in seconds."""
    may_block: bool = True


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of all rules that say one, by label."""

    by_rule: Mapping[str, Outcome]
    default: Outcome
    softening: Mapping[str, Softening] = field(default_factory=dict)
    """Class of hosts → what it softens."""

    def of(self, rule: str) -> Outcome:
        """What becomes of this rule's conclusions."""
        return self.by_rule.get(rule, self.default)

    @classmethod
    def from_ntriples(cls, data: bytes) -> Outcomes:
        """Of what `KnowledgeBase.ntriples` gives. Raises: OutcomeError."""
        return read_outcomes([q.triple for q in parse(data, format=RdfFormat.N_TRIPLES)])


def severity(weight: float, confidence: float) -> float:
    """``weight * (1 + confidence) / 2``, in [0, 1].

    Args:
        confidence: highest confidence among the alerts that complete the pattern, in [0, 1]. An
            unsure alert halves the severity at most: the pattern around it speaks as well.
    """
    return weight * (1.0 + confidence) / 2.0


def incident_classes(triples: Sequence[Triple]) -> Set[str]:
    """Below ``Incident`` in these files, or as in force if they have no such classes."""
    try:
        return Taxonomy.from_triples(triples).under["Incident"]
    except TaxonomyError:
        return INCIDENT_CLASSES


def read_outcomes(triples: Sequence[Triple], incidents: Set[str] | None = None) -> Outcomes:
    """What ontology and rule files say.

    Args:
        incidents: `incident_classes`, if these are not all files that belong together.

    Raises: OutcomeError.
    """
    incidents = incident_classes(triples) if incidents is None else incidents
    said: dict[Any, dict[str, Any]] = {}
    labels: dict[Any, str] = {}
    rules: dict[Any, None] = {}
    for triple in triples:
        name = triple.predicate.value
        if name in OUTCOME_PROPERTIES:
            values = said.setdefault(triple.subject, {})
            if values.setdefault(name, triple.object) != triple.object:
                raise OutcomeError(f"{_name(triple.subject)}: {_name(triple.predicate)} twice")
        elif name == RDFS + "label" and isinstance(triple.object, Literal):
            labels.setdefault(triple.subject, triple.object.value)
        elif name == RDF + "type" and triple.object == NamedNode(SWRL + "Imp"):
            rules[triple.subject] = None
    classes = {
        _name(node): _read(values, f"class {_name(node)}", incidents)
        for node, values in said.items()
        if node not in rules
    }
    found: dict[str, Outcome] = {}
    for node in rules:
        if node in said:
            label = labels.get(node, "")
            found[label] = _outcome(_read(said[node], f"rule {label!r}", incidents), classes)
    softening = {
        name: Softening(
            values.get(IDPS.softensSeverity, 1.0),
            values.get(IDPS.blocksAtMost),
            values.get(IDPS.mayBlock, True),
        )
        for name, values in classes.items()
        if IDPS.softensSeverity in values or IDPS.blocksAtMost in values
    }
    return Outcomes(found, _outcome({}, classes), softening)


def _outcome(own: Mapping[str, Any], classes: Mapping[str, Mapping[str, Any]]) -> Outcome:
    name = own.get(IDPS.reportsIncident, DEFAULT_CLASS)
    said = {**classes.get(name, {}), **own}
    return Outcome(
        classification=name,
        weight=said.get(IDPS.fullSeverity, DEFAULT_WEIGHT),
        per_target=said.get(IDPS.perTarget, True),
        may_block=said.get(IDPS.mayBlock, True),
        block_s=said.get(IDPS.blocksFor),
    )


def _read(values: Mapping[str, Any], whose: str, incidents: Set[str]) -> dict[str, Any]:
    return {name: _value(name, node, whose, incidents) for name, node in values.items()}


def _value(name: str, node: Any, whose: str, incidents: Set[str]) -> Any:
    text = node.value if isinstance(node, Literal | NamedNode) else ""
    wanted = ""
    if name == IDPS.reportsIncident:
        local = text.removeprefix(NAMESPACE)
        if isinstance(node, NamedNode) and local in incidents:
            return local
        wanted = "a class under Incident"
    elif name in (IDPS.perTarget, IDPS.mayBlock):
        if text in ("true", "1", "false", "0"):
            return text in ("true", "1")
        wanted = "true or false"
    elif name in (IDPS.blocksFor, IDPS.blocksAtMost):
        if text.isascii() and text.isdecimal() and 0 < int(text[:12]) <= MAX_BLOCK_S:
            return int(text)
        wanted = f"seconds from 1 to {MAX_BLOCK_S}"
    else:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if 0 <= number <= 1:
            return number
        wanted = "a number from 0 to 1"
    raise OutcomeError(f"{whose}: {name.removeprefix(NAMESPACE)} must be {wanted}: {text[:80]!r}")


def _name(node: Any) -> str:
    return str(getattr(node, "value", node)).removeprefix(NAMESPACE)


def shown(
    outcome: Outcome,
    *,
    candidate: bool,
    minimum: float,
    length: str = "as long as the reaction rule says",
) -> Iterator[str]:
    """What becomes of it in words: severity, and whether it can block.

    Args:
        candidate: the reaction rules in force call for a block of its conclusions.
        minimum: ``policy.minimum_severity``.
        length: how long a block lasts where the ontology doesn't say it.
    """
    low, high = severity(outcome.weight, 0.0), severity(outcome.weight, 1.0)
    yield (
        f"{outcome.classification}, severity {low:.2f} to {high:.2f}, by the confidence of its "
        f"alerts; one incident for {'each target' if outcome.per_target else 'all targets'}"
    )
    if not candidate:
        yield "this rule reports nothing that a reaction rule would block for"
    elif not outcome.may_block:
        yield "this rule will not block: mayBlock is false"
    elif high < minimum:
        yield f"this rule will not block: severity {high:.2f} is below {minimum:g}"
    else:
        how = length
        if outcome.block_s is not None:
            how = f"for {outcome.block_s} s"
        when = (
            ""
            if low >= minimum
            else (f" from a confidence of {2 * minimum / outcome.weight - 1:.2f} on")
        )
        yield f"this rule can block a verified source{when}, {how}"
