"""What a ``honeynet.toml`` may say and hardly means: warnings of ``ontoidps check``."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from agents.settings.honeynet import Settings
from agents.settings.problems import Problem
from agents.settings.toml_lines import Place
from ontology.addresses import canonical, canonical_network
from ontology.taxonomy import HOST_CLASSES, superclasses

KNOWN = "KnownSource"
"""Class of what is known of addresses of others."""
OF_HOSTS = ("audit", "wtmp")
"""Kinds of log in which a host tells of itself."""
_WIDE = {4: 8, 6: 16}
"""A network on the allow-list with a shorter prefix than this protects most of the world."""


def doubts(settings: Settings) -> Iterator[Problem]:
    """Each with its place in the file."""
    yield from _missing_agents(settings)
    yield from _server(settings)
    yield from _honeypots(settings)
    yield from _logs_of_hosts(settings)
    for number, network in enumerate(settings.policy.allow):
        plain = canonical_network(network)
        if plain.prefixlen < _WIDE[plain.version]:
            yield Problem(
                ("policy", "allow", number), f"{network} protects most strangers: none is blocked"
            )
    for number, entry in enumerate(settings.source):
        place = ("source", number, "kind")
        if KNOWN not in superclasses(entry.kind):
            known = ", ".join(n for n in sorted(HOST_CLASSES) if KNOWN in superclasses(n))
            yield Problem(
                place,
                f"{entry.kind!r} is no class below {KNOWN} of the installed ontology ({known}): "
                "nothing is softened for it, unless an edited ontology has it",
            )
    yield from _modes(settings)
    if settings.policy.dry_run:
        yield Problem(("policy", "dry_run"), "nobody will be blocked anywhere, only reported")


def _modes(settings: Settings) -> Iterator[Problem]:
    """Gateways that drop nothing, and what waits for a person whom nobody can ask."""
    approving: list[Place] = []
    for name, mode in settings.policy.modes.items():
        if mode == "approve":
            approving.append(("policy", "modes", name))
    for number, node in enumerate(settings.node):
        if node.mode == "approve":
            approving.append(("node", number, "mode"))
        elif node.mode == "shadow":
            yield Problem(
                ("node", number, "mode"),
                f"gateway {node.name!r} drops nothing, it only tells what it would block",
            )
    if approving and not (settings.jids("supervisor") and settings.jids("console")):
        yield Problem(
            approving[0],
            "nobody can approve: that takes a supervisor and a console agent, and one is missing",
        )


def _logs_of_hosts(settings: Settings) -> Iterator[Problem]:
    for number, node in enumerate(settings.node):
        for item, entry in enumerate(node.inputs):
            if entry.kind in OF_HOSTS and not entry.address:
                whose = (
                    f"it is taken for the log of node {node.name!r} itself"
                    if node.addresses
                    else f"nobody knows whose log it is, as node {node.name!r} has none either"
                )
                yield Problem(
                    ("node", number, "inputs", item),
                    f"{entry.kind} without an address: {whose}; name the host that wrote it",
                )


def _missing_agents(settings: Settings) -> Iterator[Problem]:
    if not settings.jids("reaction"):
        yield Problem((), "no node runs a reaction agent: nobody will be blocked anywhere")
    if not settings.jids("sensor"):
        yield Problem((), "no node runs a sensor agent: nothing will be seen anywhere")
    if not settings.jids("console"):
        yield Problem(
            (),
            "no node runs a console agent: there is no page, and `ontoidps blocks` does not work",
        )


def _server(settings: Settings) -> Iterator[Problem]:
    host = settings.xmpp.host
    try:
        loopback = ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    far = [
        node.name
        for node in settings.node
        if any(not address.is_loopback for address in node.addresses)
    ]
    if loopback and len(far) > 1:
        yield Problem(
            ("xmpp", "host"),
            f"{host} is each host itself; {', '.join(far)} have addresses of their own: if they "
            "are several hosts their agents won't reach the XMPP server; name the address where "
            "all of them do",
        )


def _honeypots(settings: Settings) -> Iterator[Problem]:
    watching = {node.name for node in settings.node if "sensor" in node.agents}
    own = {canonical(address): node.name for node in settings.node for address in node.addresses}
    pots = {canonical(pot.address) for pot in settings.honeypot}
    if not settings.honeypot:
        yield Problem((), "there is no [[honeypot]]: no contact will be suspicious by itself")
    for number, pot in enumerate(settings.honeypot):
        if pot.node not in watching:
            yield Problem(
                ("honeypot", number, "node"), f"node {pot.node!r} has no sensor that could watch it"
            )
        owner = own.get(canonical(pot.address))
        if owner is not None:
            yield Problem(
                ("honeypot", number, "address"), f"node {owner!r} has this address as well"
            )
    for number, node in enumerate(settings.node):
        for item, entry in enumerate(node.inputs):
            for relay in entry.relays:
                if canonical(relay) in pots:
                    yield Problem(
                        ("node", number, "inputs", item, "relays"),
                        f"{relay} is a honeypot: what comes by it would accuse nobody",
                    )
            if entry.relays and entry.kind in OF_HOSTS:
                yield Problem(
                    ("node", number, "inputs", item, "relays"),
                    f"{entry.kind} tells of the host itself: a relay changes nothing",
                )
            known = pots | set(own) if entry.kind in OF_HOSTS else pots
            strange = [one for one in entry.address if canonical(one) not in known]
            if strange:
                yield Problem(
                    ("node", number, "inputs", item, "address"),
                    f"no [[honeypot]] has the address {strange[0]}",
                )
