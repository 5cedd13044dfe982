"""Which reaction rule a finding gets, and what that means for the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from ontology.records import Address, Alert, HostProfile
from rules.reactions.policy_tables import ANY
from rules.reactions.reaction_rules import Chosen, Reactions


def choose_reaction(
    alerts: Iterable[Alert], hosts: Mapping[Address, HostProfile], reactions: Reactions
) -> Chosen:
    """The strongest rule of the alerts that complete a pattern: a block, then the longest one.

    Args:
        alerts: at least one.
        hosts: what is known of hosts.
    """
    chosen = []
    for alert in alerts:
        target = _target(alert)
        chosen.append(reactions.choose(alert, None if target is None else hosts.get(target)))
    return max(chosen, key=lambda c: (blocks(c), c.rule.response.factor, c.rule.name))


def blocks(chosen: Chosen) -> bool:
    """Does the rule call for a block?"""
    return chosen.rule.response.response == "block"


def block_seconds(chosen: Chosen, length_s: float, maximum_duration: int) -> int:
    """Length of the block that a rule calls for, in whole seconds, at least 1.

    Args:
        length_s: before the rule's factor, as `agents.correlation.rhythms` says.
    """
    seconds = Decimal(length_s) * chosen.rule.response.factor
    return max(1, int(min(seconds, Decimal(maximum_duration))))


def describe_reaction(chosen: Chosen) -> str:
    """``Reaction rule SshBruteForce_ssh_honeypot: block, D3-ITF. …`` in one line."""
    rule = chosen.rule
    said = rule.response
    factor = f" for {float(said.factor):g} times the configured time" if blocks(chosen) else ""
    on = "" if chosen.service == ANY else f" on {chosen.service}"
    line = (
        f"Reaction rule {rule.name} ({chosen.attack}{on}, {chosen.asset}): "
        f"{said.response}{factor}, {said.d3fend}. {said.reason}"
    )
    return f"{line} Advice: {said.advice}" if said.advice else line


def _target(alert: Alert) -> Address | None:
    """Any of several."""
    if alert.target is not None:
        return alert.target
    if alert.targets:
        return alert.targets[0]
    return None


def by_address(hosts: Iterable[HostProfile]) -> dict[Address, HostProfile]:
    """One profile per address; a host may be honeypot and gateway at once."""
    merged: dict[Address, HostProfile] = {}
    for host in hosts:
        known = merged.get(host.address)
        roles = set(host.roles) | (set(known.roles) if known is not None else set())
        merged[host.address] = replace(known or host, roles=tuple(sorted(roles)))
    return merged
