"""What SWRL can't say of a step: who plays which part, and what must *not* hold.

A rule joins two alerts on the hosts that their steps share. Whether an alert can be that step at
all is looked up here, over what is remembered: a host is one of ours, two parts are two hosts,
nobody has brought about what must not be, the port and the vulnerability are those of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.taxonomy import superclasses
from rules.scenarios.attack_models import Condition, Model, Term
from rules.scenarios.compile import JOINABLE, Compiled, Link, unify

SURE = 0.5
"""An alert of less confidence leaves its step in doubt."""
_PROTOCOLS = {6: "tcp", 17: "udp"}
IsOwn = Callable[[Address], bool]
About = Callable[[Address], Iterable[Alert]]
"""Remembered alerts that name a host."""


class StepChecks:
    """Of one set of models.

    Args:
        is_own: whether an address is a host of ours, as far as that is known.
        about: what is remembered of a host; bounded by whoever remembers.
    """

    def __init__(self, compiled: Compiled, is_own: IsOwn, about: About) -> None:
        self._is_own = is_own
        self._about = about
        self._actions = compiled.models.of_kind("action")

    def fits(self, model: Model, alert: Alert) -> bool:
        """Can the alert be evidence of this step?"""
        return (
            _is_evidence(model, alert)
            and _parts_differ(model, alert)
            and all(self._holds(model, condition, alert) for condition in model.pre)
        )

    def links(self, link: Link, earlier: Alert, later: Alert) -> bool:
        """Can these two alerts be the two steps of a link?"""
        if not (self.fits(link.earlier, earlier) and self.fits(link.later, later)):
            return False
        if not joined(link, earlier, later):
            return False
        # Who attacks in the one step is not what is attacked in the other.
        attackers = actors(link.earlier, earlier) | actors(link.later, later)
        return attackers.isdisjoint(hosts(link.earlier, earlier) | hosts(link.later, later))

    def reached(self, link: Link, alert: Alert) -> bool:
        """Does nothing forbid the objective that the step of this alert leads to?"""
        names = {needed: given for given, needed in link.equal}
        for condition in link.later.pre:
            if condition.negated:
                bound = tuple(_as(term, names.get(term)) for term in condition.terms)
                if not self._holds(link.later, replace(condition, terms=bound), alert):
                    return False
        return True

    def _holds(self, model: Model, condition: Condition, alert: Alert) -> bool:
        name = condition.predicate.name
        if name == "own-host":
            own = all(self._own(host, alert) for host in bound(condition.terms[0], alert))
            return own is not condition.negated
        if name == "unnamed-source":
            return (not alert_hosts(alert)[0]) is not condition.negated
        if name == "same-host":
            one, other = (bound(term, alert) for term in condition.terms)
            return (not one.isdisjoint(other)) is not condition.negated
        if not condition.negated or condition.predicate.capability:
            # What must hold is the rules' business.
            return True
        return not self._brought_about(model, condition, alert)

    def _own(self, host: Address, alert: Alert) -> bool:
        # The sensor calls an attack outgoing only if it knows the host as one of ours.
        outgoing = "OutgoingAttack" in (alert.classification, *superclasses(alert.classification))
        return self._is_own(host) or (outgoing and host in alert_hosts(alert)[0])

    def _brought_about(self, model: Model, condition: Condition, alert: Alert) -> bool:
        """Has an earlier alert given what must not hold, and no later one taken it away again?"""
        wanted = replace(condition, negated=False)
        known = {
            one.id: one
            for host in sorted(
                {host for term in condition.terms for host in bound(term, alert)}, key=str
            )
            for one in self._about(host)
            if one.begin_us < alert.begin_us
        }
        latest: tuple[tuple[int, str], bool] = ((0, ""), False)
        for one in known.values():
            for effect in self._effects(model, one):
                said = replace(effect, negated=False)
                equal = unify(said, wanted)
                if equal is not None and all(
                    not (given and needed) or not given.isdisjoint(needed)
                    for given, needed in (
                        (bound(a, one), bound(b, alert)) for a, b in equal if a.type in JOINABLE
                    )
                ):
                    latest = max(latest, ((one.begin_us, one.id), not effect.negated))
        return latest[1]

    def _effects(self, model: Model, alert: Alert) -> Iterator[Condition]:
        for action in self._actions:
            if (
                action.shares_scenario(model)
                and _is_evidence(action, alert)
                and _parts_differ(action, alert)
            ):
                yield from action.post


def bound(term: Term, alert: Alert) -> frozenset[Address]:
    """The hosts of an alert that a term stands for; () if no alert names it."""
    sources, targets = alert_hosts(alert)
    if term.constant or not term.bound_to:
        return frozenset()
    return sources if term.bound_to == "source" else targets


def actors(model: Model, alert: Alert) -> frozenset[Address]:
    """Who attacks, if the model binds that to an end of its alerts."""
    return _of_type("attacker", model, alert)


def hosts(model: Model, alert: Alert) -> frozenset[Address]:
    """Who is attacked or used."""
    return _of_type("host", model, alert)


def joined(link: Link, earlier: Alert, later: Alert) -> bool:
    """Do both alerts name the hosts that the link equates?"""
    for a, b in link.equal:
        here, there = bound(a, earlier), bound(b, later)
        if a.type in JOINABLE and here and there and here.isdisjoint(there):
            return False
    return True


def not_sure(model: Model, alert: Alert) -> str:
    """Why the alert alone leaves the step in doubt; "" if it doesn't."""
    if alert.confidence < SURE:
        return f"confidence {alert.confidence:.2f}"
    if model.ports and alert.target_port is None:
        return f"no port is told, the step is one on {' or '.join(model.ports)}"
    return ""


def _is_evidence(model: Model, alert: Alert) -> bool:
    if {alert.classification, *superclasses(alert.classification)}.isdisjoint(model.evidence):
        return False
    if model.cves and set(model.cves).isdisjoint(alert.cves):
        return False
    if not model.ports or alert.target_port is None:
        return True
    return f"{alert.target_port}/{_PROTOCOLS.get(alert.protocol, '')}" in model.ports


def _parts_differ(model: Model, alert: Alert) -> bool:
    """Are the parts that a model gives to the two ends of an alert played by two hosts?"""
    ends = {term.bound_to for term in _terms(model) if term.type in JOINABLE and term.bound_to}
    sources, targets = alert_hosts(alert)
    return len(ends) < 2 or not (sources and sources == targets)


def _of_type(type_: str, model: Model, alert: Alert) -> frozenset[Address]:
    found: frozenset[Address] = frozenset()
    for term in _terms(model):
        if term.type == type_:
            found |= bound(term, alert)
    return found


def _terms(model: Model) -> Iterator[Term]:
    for condition in (*model.pre, *model.post):
        yield from condition.terms
        if condition.known_by is not None:
            yield condition.known_by


def _as(term: Term, given: Term | None) -> Term:
    """An objective's term, bound as the step binds it."""
    return term if given is None else replace(term, bound_to=given.bound_to)
