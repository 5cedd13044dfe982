"""Facts of one window, as N-Triples: the only thing besides the ontology that Pellet sees.

A window is minimal: just what rules in force read (`ontology.window_terms`). Every value comes from
a typed record, so no ill-typed literal can get in (one makes the whole window inconsistent). Texts
are bounded and escaped: an attacker chooses some of them (the names of accounts).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address

from ontology.records import Address, Alert, HostProfile
from ontology.vocabulary import HOST_PREFIX, IDPS, NAMESPACE, Term
from ontology.window_terms import COUNTED, MAX_TEXT, READ, Value, Valued

_TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
_XSD = "http://www.w3.org/2001/XMLSchema#"

_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - set('"\\')
_LOCAL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
# What an IRIREF of N-Triples allows (RDF 1.1 N-Triples, production 8), without escapes.
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]{1,500}")


@dataclass(frozen=True, slots=True)
class Window:
    """Facts to reason about at once."""

    ntriples: bytes
    alerts: int
    """How many alerts they describe."""


def host_iri(address: Address) -> str:
    """The individual that stands for a host."""
    # A zone ("fe80::1%eth0") names an interface of the sensor, not another host.
    return HOST_PREFIX + str(address).partition("%")[0]


def alert_hosts(alert: Alert) -> tuple[frozenset[Address], frozenset[Address]]:
    """(sources, targets) of an alert, as far as it names them."""
    sources = frozenset(alert.sources) | ({alert.source} if alert.source is not None else set())
    targets = frozenset(alert.targets) | ({alert.target} if alert.target is not None else set())
    return sources, targets


def check_alert(alert: Alert) -> None:
    """Can this alert stand in a window?

    Raises: ValueError if its id or class name can't be written as an IRI.
    """
    _iri(alert.id)
    _term(alert.classification)


def build_window(
    alerts: Iterable[Alert],
    hosts: Mapping[Address, HostProfile],
    reads: Set[str] = frozenset(),
    service: Callable[[Alert], str] = lambda alert: "",
    touched: Callable[[Address], Mapping[Term, int]] = lambda source: {},
) -> Window:
    """Describe alerts and the hosts that they name; ``hosts`` says what is known of hosts.

    Args:
        reads: `Theory.reads`.
        service: name of the service that an alert is about; empty if there is none.
        touched: what was counted of a source (``touchedHoneypots``, ``touchedGateways``).

    Raises: ValueError if an id or a class name can't be written as an IRI.
    """
    lines: list[str] = []
    seen: set[Address] = set()
    came: set[Address] = set()
    signatures: set[str] = set()
    of_alerts = [valued for valued in READ if valued.of == "Alert" and valued.term in reads]
    of_hosts = [valued for valued in READ if valued.of == "Host" and valued.term in reads]
    serves = IDPS.targetService in reads
    count = 0
    for alert in alerts:
        count += 1
        subject = _iri(alert.id)
        sources, targets = alert_hosts(alert)
        verified = "true" if alert.verified_source else "false"
        lines += [
            f"{subject} {_TYPE} <{IDPS.Alert}> .",
            f"{subject} {_TYPE} {_term(alert.classification)} .",
            f"{subject} <{IDPS.beginUs}> {_literal(alert.begin_us, 'integer')} .",
            f"{subject} <{IDPS.endUs}> {_literal(alert.end_us, 'integer')} .",
            f"{subject} <{IDPS.count}> {_literal(alert.count, 'integer')} .",
            f"{subject} <{IDPS.verifiedSource}> {_literal(verified, 'boolean')} .",
        ]
        # hasSource and hasTarget are functional: a second value would make two hosts one.
        for one, many, chief, addresses in (
            (IDPS.hasSource, IDPS.involvesSource, alert.source, sources),
            (IDPS.hasTarget, IDPS.involvesTarget, alert.target, targets),
        ):
            lines += [
                f"{subject} <{one if address == chief else many}> {_iri(host_iri(address))} ."
                for address in addresses
            ]
        seen |= sources | targets
        came |= sources
        for valued in of_alerts:
            lines += _values(subject, valued, alert)
        if serves and (name := service(alert)):
            lines.append(f"{subject} <{IDPS.targetService}> {_literal(_text(name), 'string')} .")
        signatures.update(alert.signatures)
    if IDPS.matchedSignature in reads or IDPS.signatureId in reads:
        lines += _signatures(signatures, reads)
    counts = COUNTED & reads
    for address in seen:
        subject = _iri(host_iri(address))
        if counts and address in came:
            lines += [
                f"{subject} <{term}> {_literal(number, 'integer')} ."
                for term, number in touched(address).items()
                if term in counts
            ]
        profile = hosts.get(address)
        roles = profile.roles if profile is not None else ()
        lines += [f"{subject} {_TYPE} {_term(role)} ." for role in ("Host", *roles)]
        # Two names may be one host in OWL, so rules tell hosts apart by this value.
        text = host_iri(address).removeprefix(HOST_PREFIX)
        lines.append(f"{subject} <{IDPS.ipAddress}> {_literal(text, 'string')} .")
        if profile is not None:
            for valued in of_hosts:
                lines += _values(subject, valued, profile)
    # Sorted, so that equal windows are equal bytes whatever order sets came in.
    lines.sort()
    lines.append("")
    return Window(ntriples="\n".join(lines).encode("ascii"), alerts=count)


def _values(subject: str, valued: Valued, record: object) -> list[str]:
    lines = []
    for value in valued.values(record):
        if value is None or (isinstance(value, str) and len(value) > MAX_TEXT):
            continue
        if not valued.datatype:
            end = _iri(str(value))
        else:
            end = _literal(_text(value), valued.datatype)
        lines.append(f"{subject} <{valued.term}> {end} .")
    return lines


def _signatures(iris: Iterable[str], reads: Set[str]) -> list[str]:
    lines = []
    for iri in iris:
        lines.append(f"{_iri(iri)} {_TYPE} <{IDPS.Signature}> .")
        for valued in READ:
            if valued.of == "Signature" and valued.term in reads:
                lines += _values(_iri(iri), valued, iri)
    return lines


def _text(value: Value) -> Value:
    """As a literal of N-Triples holds it, in ASCII."""
    if not isinstance(value, str):
        return value
    return "".join(c if c in _PLAIN else f"\\U{ord(c):08X}" for c in value)


def warm_up_window(alerts: int = 60) -> Window:
    """Made-up alerts between documentation addresses (RFC 5737), to compile the hot paths with."""
    classes = ("SynScan", "FtpBruteForce", "SqlInjection", "SynFlood", "IcmpSweep")
    pots = [IPv4Address("198.51.100.1") + i for i in range(4)]
    made = [
        Alert(
            id=f"urn:uuid:00000000-0000-5000-8000-{i:012x}",
            classification=classes[i % len(classes)],
            source=IPv4Address("192.0.2.1") + i % 7,
            target=pots[i % len(pots)],
            protocol=6,
            begin_us=i * 1_000_000,
            end_us=i * 1_000_000 + 500_000,
            confidence=1.0,
            verified_source=bool(i % 2),
            sensor="warm-up",
            analyzer="warm-up",
            explanation="",
        )
        for i in range(alerts)
    ]
    hosts: dict[Address, HostProfile] = {
        pot: HostProfile(id=f"urn:ontoidps:profile:{pot}", address=pot, roles=("Honeypot",))
        for pot in pots
    }
    return build_window(made, hosts)


def _term(name: str) -> str:
    if not _LOCAL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a local name of the ontology")
    return f"<{NAMESPACE}{name}>"


def _iri(iri: str) -> str:
    if not _IRI.fullmatch(iri):
        raise ValueError(f"{iri!r} can't be written as an IRI")
    return f"<{iri}>"


def _literal(value: Value, datatype: str) -> str:
    return f'"{value}"^^<{_XSD}{datatype}>'
