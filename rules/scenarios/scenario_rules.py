"""The compiled correlations as ``scenarios.owl``: one SWRL rule for every pair of linked steps.

Every rule joins hosts first (Pellet builds its network in that order), is local to a shared host
and concludes a property of its own, so that each inference names its rule.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from ontology.vocabulary import IDPS, ONTOLOGY_IRI
from rules.scenarios.attack_models import Model, ModelError, Models, Term
from rules.scenarios.compile import JOINABLE, Compiled, Link, ObjectiveRule, StepRule, upper_camel
from rules.scenarios.swrl_writer import (
    Atom,
    BuiltinAtom,
    ClassAtom,
    PairAtom,
    Rule,
    ValueAtom,
    rule_xml,
    variables_xml,
)

SCENARIOS_IRI = ONTOLOGY_IRI + "/scenarios"
NAMESPACE = SCENARIOS_IRI + "#"
HORIZON_US = 86_400_000_000
"""As in ``correlation.owl``."""
_OWL = "http://www.w3.org/2002/07/owl#"
_END = {"source": IDPS.involvesSource, "target": IDPS.involvesTarget}
_LATER = "b"
_EARLIER = "acdefg"
"""Variables of the alerts."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A host that several alerts of one rule name."""

    variable: str
    places: tuple[tuple[str, str], ...]
    """(variable of the alert, ``source`` or ``target``), sorted."""


def step_property(link: Link) -> str:
    """IRI of the property that a step's rule concludes of this pair."""
    name = f"{upper_camel(link.earlier.name)}Then{upper_camel(link.later.name)}"
    return NAMESPACE + name[0].lower() + name[1:]


def towards_class(objective: Model) -> str:
    """IRI of the class of alerts that lead to an objective."""
    return f"{NAMESPACE}Towards{upper_camel(objective.name)}"


def objective_class(objective: ObjectiveRule) -> str:
    """IRI of the class that an objective's rule concludes: a subclass of `towards_class`.

    Pellet keeps one derivation of a membership: two rules with one class would look the same.
    """
    return NAMESPACE + objective.label


def alert_variables(step: StepRule) -> list[tuple[Link, str]]:
    """Each link of a step and the variable of its earlier alert."""
    if len(step.links) > len(_EARLIER):
        raise ModelError(
            f"model {step.later.name!r}: {len(step.links)} preconditions by alerts, at most "
            f"{len(_EARLIER)} are taken"
        )
    return list(zip(step.links, _EARLIER, strict=False))


def slots(step: StepRule) -> tuple[Slot, ...]:
    """Hosts that the alerts of a step share, most shared first."""
    found: dict[Term, set[tuple[str, str]]] = {}
    for link, alert in alert_variables(step):
        for a, b in link.equal:
            if b.type not in JOINABLE or b.constant:
                continue
            places = found.setdefault(b, set())
            if b.bound_to:
                places.add((_LATER, b.bound_to))
            if a.bound_to:
                places.add((alert, a.bound_to))
    shared = [sorted(places) for places in found.values()]
    shared = sorted(p for p in shared if len({alert for alert, _ in p}) > 1)
    return tuple(Slot(f"h{number}", tuple(p)) for number, p in enumerate(shared, 1))


def step_rule(step: StepRule, models: Models) -> Rule:
    """The SWRL rule of a step."""
    body: list[Atom] = []
    for slot in slots(step):
        body += [PairAtom(_END[end], alert, slot.variable) for alert, end in slot.places]
    pairs = alert_variables(step)
    body += [ClassAtom(evidence_class(link.earlier), alert) for link, alert in pairs]
    body.append(ClassAtom(evidence_class(step.later), _LATER))
    body += [ValueAtom(IDPS.beginUs, v, "t" + v) for v in (*(v for _, v in pairs), _LATER)]
    for _, alert in pairs:
        # Time: an alert of the earlier step, and not more than the horizon ago.
        body += [
            BuiltinAtom("lessThan", ("t" + alert, "t" + _LATER)),
            BuiltinAtom("subtract", ("d" + alert, "t" + _LATER, "t" + alert)),
            BuiltinAtom("lessThanOrEqual", ("d" + alert, HORIZON_US)),
        ]
    said = [
        f"{link.earlier.name} gives what {link.later.name} needs: {link.condition}"
        + (f" (by {', '.join(link.through)})" if link.through else "")
        for link in step.links
    ]
    labels = ", ".join(models.scenarios[name][0] for name in step.scenarios)
    return Rule(
        label=step.label,
        comment=f"{labels or 'Any scenario'}: {'; '.join(said)}.",
        body=tuple(body),
        head=tuple(PairAtom(step_property(link), alert, _LATER) for link, alert in pairs),
    )


def objective_rule(objective: ObjectiveRule) -> Rule:
    """The SWRL rule that names the objective a step leads to; it builds on the step's rule."""
    link = objective.link
    first = objective.step.links[0]
    return Rule(
        label=objective.label,
        comment=(
            f"{link.earlier.name} after {first.earlier.name} leads to the objective "
            f"{link.later.name}: {link.condition}."
        ),
        body=(PairAtom(step_property(first), "a", _LATER),),
        head=(ClassAtom(objective_class(objective), _LATER),),
    )


def evidence_class(model: Model) -> str:
    """IRI of the class of alerts that are evidence of a model."""
    if len(model.evidence) == 1:
        return IDPS.Attack.removesuffix("Attack") + model.evidence[0]
    return f"{NAMESPACE}{upper_camel(model.name)}Evidence"


def compiled_rules(compiled: Compiled) -> tuple[Rule, ...]:
    """All rules, in order of label."""
    rules = [step_rule(step, compiled.models) for step in compiled.steps]
    rules += [objective_rule(objective) for objective in compiled.objectives]
    return tuple(sorted(rules, key=lambda rule: rule.label))


def scenarios_owl(compiled: Compiled, *, switched_off: Collection[str] = frozenset()) -> str:
    """The whole file, the same text for the same models; ``switched_off`` are labels of rules."""
    rules = [
        replace(rule, enabled=rule.label not in switched_off) for rule in compiled_rules(compiled)
    ]
    lines = _HEAD.splitlines()
    lines += ["", f'    <owl:AnnotationProperty rdf:about="{_ENABLED}"/>']
    links = {step_property(link): link for step in compiled.steps for link in step.links}
    for iri in sorted(links):
        link = links[iri]
        lines += [
            "",
            f'    <owl:ObjectProperty rdf:about="{iri}">',
            f'        <rdfs:subPropertyOf rdf:resource="{IDPS.scenarioStep}"/>',
            f'        <rdfs:comment xml:lang="en">{escape(link.earlier.name)} makes '
            f"{escape(link.later.name)} possible: {escape(str(link.condition))}.</rdfs:comment>",
            f'        <rdfs:label xml:lang="en">{escape(link.earlier.name)}, then '
            f"{escape(link.later.name)}</rdfs:label>",
            f'        <rdfs:label xml:lang="es">{escape(link.earlier.name)}, luego '
            f"{escape(link.later.name)}</rdfs:label>",
            "    </owl:ObjectProperty>",
        ]
    goals = {towards_class(o.link.later): o.link.later for o in compiled.objectives}
    ways = {objective_class(o): o for o in compiled.objectives}
    used = {model for s in compiled.steps for model in (s.later, *(x.earlier for x in s.links))}
    several = {evidence_class(model): model for model in used if len(model.evidence) > 1}
    for iri in sorted({*goals, *several, *ways}):
        goal = goals.get(iri)
        lines += ["", f'    <owl:Class rdf:about="{iri}">']
        if iri in ways:
            first, last = ways[iri].step.links[0], ways[iri].link
            parent = towards_class(last.later)
            lines.append(f'        <rdfs:subClassOf rdf:resource="{parent}"/>')
            lines += _labels(
                f"An alert of {last.earlier.name} after {first.earlier.name}, which leads to the "
                f"objective {last.later.name}.",
                f"{last.earlier.name} after {first.earlier.name}, towards {last.later.name}",
                f"{last.earlier.name} tras {first.earlier.name}, hacia {last.later.name}",
            )
        elif goal is not None:
            lines += _labels(
                f"An alert of a step that leads to the objective {goal.name}.",
                f"towards {goal.name}",
                f"hacia {goal.name}",
            )
        else:
            name = several[iri].name
            lines += _labels(
                f"An alert that is evidence of {name}.", f"{name} evidence", f"evidencia de {name}"
            )
        lines.append("    </owl:Class>")
    for iri in sorted(several):
        for class_ in several[iri].evidence:
            lines += [
                "",
                f'    <rdf:Description rdf:about="{IDPS.Attack.removesuffix("Attack")}{class_}">',
                f'        <rdfs:subClassOf rdf:resource="{iri}"/>',
                "    </rdf:Description>",
            ]
    lines += ["", *variables_xml(rules)]
    for rule in rules:
        lines += ["", *rule_xml(rule)]
    return "\n".join([*lines, "</rdf:RDF>"]) + "\n"


def _labels(comment: str, english: str, spanish: str) -> list[str]:
    return [
        f'        <rdfs:comment xml:lang="en">{escape(comment)}</rdfs:comment>',
        f'        <rdfs:label xml:lang="en">{escape(english)}</rdfs:label>',
        f'        <rdfs:label xml:lang="es">{escape(spanish)}</rdfs:label>',
    ]


_ENABLED = "http://swrl.stanford.edu/ontologies/3.3/swrla.owl#isRuleEnabled"
_HEAD = f"""<?xml version="1.0"?>
<rdf:RDF xmlns="{NAMESPACE}"
     xml:base="{SCENARIOS_IRI}"
     xmlns:owl="{_OWL}"
     xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
     xmlns:xml="http://www.w3.org/XML/1998/namespace"
     xmlns:xsd="http://www.w3.org/2001/XMLSchema#"
     xmlns:idps="{ONTOLOGY_IRI}#"
     xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
     xmlns:swrl="http://www.w3.org/2003/11/swrl#"
     xmlns:swrla="http://swrl.stanford.edu/ontologies/3.3/swrla.owl#"
     xmlns:swrlb="http://www.w3.org/2003/11/swrlb#">
    <owl:Ontology rdf:about="{SCENARIOS_IRI}">
        <owl:versionIRI rdf:resource="{SCENARIOS_IRI}/1.0.0"/>
        <owl:imports rdf:resource="{ONTOLOGY_IRI}"/>
        <rdfs:label xml:lang="en">OntoIDPS scenario rules</rdfs:label>
        <rdfs:comment xml:lang="en">Written by ontoidps rules compile from attacks.owl: edit that \
file, not this one. Every rule joins an alert of a step with an alert of a step that it made \
possible, on a shared host, within 24 hours.</rdfs:comment>
        <owl:versionInfo>1.0.0</owl:versionInfo>
    </owl:Ontology>"""
