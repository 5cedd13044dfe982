"""A derivation in words: which rule fired, over which alerts, because of which facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ontology.reasoner.inferences import Explanation, Fact
from ontology.records import Address, Alert
from ontology.vocabulary import HOST_PREFIX, NAMESPACE
from ontology.window_terms import READ

MAX_ALERTS = 8
"""Alerts told one by one; of more, the first and the latest."""
MAX_FACTS = 8
_TOLD = frozenset(valued.term for valued in READ)


def describe_alert(alert: Alert) -> str:
    """``SynScan from 192.0.2.7 on 198.51.100.5 at 2026-… UTC (1000 connections, …)``."""
    notes = [f"{alert.count} connection" + ("s" if alert.count != 1 else "")]
    if alert.target_port is not None:
        notes.append(f"port {alert.target_port}")
    notes.append(f"confidence {alert.confidence:.2f}")
    notes.append("source verified" if alert.verified_source else "source not verified")
    return (
        f"{alert.classification} from {_hosts(alert.source, alert.source_count)} "
        f"on {_hosts(alert.target, alert.target_count)} at {_time(alert.begin_us)} "
        f"({', '.join(notes)})"
    )


def describe_incident(
    rule: str, comment: str, alerts: Sequence[Alert], explanations: Iterable[Explanation]
) -> str:
    """The whole derivation in lines.

    Args:
        rule: label of the rule, ``comment`` what it means.
        alerts: in order of time.
        explanations: of the inferences behind the incident.
    """
    lines = [f"Rule {rule}: {comment}" if comment else f"Rule {rule}"]
    if len(alerts) > MAX_ALERTS:
        chosen = [*alerts[: MAX_ALERTS // 2], *alerts[-MAX_ALERTS // 2 :]]
        gap = f"({len(alerts) - MAX_ALERTS} more alerts)"
    else:
        chosen, gap = list(alerts), ""
    for number, alert in enumerate(chosen):
        if gap and number == MAX_ALERTS // 2:
            lines.append(gap)
        lines.append(("then " if number else "") + describe_alert(alert))
    facts = {fact for e in explanations for fact in e.facts}
    because = {describe_role(fact) for fact in facts} - {""}
    because |= {describe_kinds(alert.classification, facts) for alert in alerts} - {""}
    lines += [f"because {fact}" for fact in sorted(because)[:MAX_FACTS]]
    return "\n".join(lines)


def describe_role(fact: Fact) -> str:
    """``198.51.100.5 is a Honeypot``, ``assetValue of 198.51.100.5 is 5``; "" for premises that the
    alerts themselves already say."""
    names = _names(fact)
    if fact.kind == "type" and names[0].startswith(HOST_PREFIX) and names[1] != "Host":
        return f"{names[0].removeprefix(HOST_PREFIX)} is a {names[1]}"
    if fact.kind == "prop" and fact.arguments[0] in _TOLD:
        name, subject, value = names
        of = subject.removeprefix(HOST_PREFIX) if subject.startswith(HOST_PREFIX) else "an alert"
        return f"{name} of {of} is {value}"
    return ""


def describe_kinds(name: str, facts: Iterable[Fact]) -> str:
    """``SynScan is a kind of PortScan, and that of Scan``: as far up as the premises go, or ""."""
    pairs = [_names(fact) for fact in facts if fact.kind == "subClassOf"]
    above = {pair[0]: pair[1] for pair in sorted(pairs) if len(pair) == 2}
    chain: list[str] = []
    first = name
    while name in above and above[name] not in chain:
        chain.append(above[name])
        name = above[name]
    return f"{first} is a kind of {', and that of '.join(chain)}" if chain else ""


def _names(fact: Fact) -> list[str]:
    return [argument.removeprefix(NAMESPACE) for argument in fact.arguments]


def _time(us: int) -> str:
    """To the second: people compare it with a clock; the record has the microseconds."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _hosts(one: Address | None, count: int) -> str:
    if one is not None:
        return str(one)
    return f"{count} hosts" if count != 1 else "a host without a name"
