"""Our records in the published names of OntoIDPSMA, and back: FIPA's ``translate``.

OntoIDPSMA (Isaza et al.) names one kind of fact: an ``Event`` with eleven data properties, all of
them plain strings, ``-`` where there is no value; and ``TrafficSignatures``. What has no name on
the other side is lost, and every loss is stated. Neither direction reads network or files.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology._values import address_text, record_iri
from ontology.fragments import MAX_BYTES, FragmentError, decode, encode
from ontology.json_objects import iso_time
from ontology.records import MAX_TIME_US, Address, Alert, Incident, Record
from ontology.taxonomy import ATTACK_CLASSES, INCIDENT_CLASSES
from ontology.vocabulary import ONTOLOGY_IRI

ONTOIDPSMA_IRI: Final = "http://ingenieria.ucaldas.edu.co/gisaza/OntoIDPSMA.owl"
PROPERTIES: Final = (
    "eventID SensorID Priority NameEvent ProtocolEvent SrcIP srcPort dstIP dstPort data timestamp"
).split()
"""Data properties of ``Event``, in the order of the published loader, with its spelling."""
MAX_EVENTS: Final = 1_000
NONE: Final = "-"

_NS = ONTOIDPSMA_IRI + "#"
_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_EVENT, _SIGNATURES = NamedNode(_NS + "Event"), NamedNode(_NS + "TrafficSignatures")
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 254: "arp"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_NO_PROTOCOL = 255
"""Reserved by IANA; "ip" and the like."""
_NAMES = uuid.UUID("0c9c2f3a-5d0f-5d6e-9f39-3b9d3f1a7c11")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALERT_LOSSES = {
    "sources": (),
    "targets": (),
    "source_count": 1,
    "target_count": 1,
    "end_us": None,
    "count": 1,
    "confidence": None,
    "verified_source": None,
    "analyzer": None,
    "stage": "original",
    "signatures": (),
    "cves": (),
    "affected_services": (),
    "affected_systems": (),
}
"""Fields of an alert that no name takes, with the value that says nothing (None: there is none)."""
_INCIDENT_LOSSES = {
    "targets": (),
    "alerts": (),
    "rule": None,
    "end_us": None,
    "verified_source": None,
}


class TranslationError(ValueError):
    """The fragment can't be translated at all; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A fragment in other terms."""

    fragment: str
    losses: tuple[str, ...]
    """One line for each kind of thing that was lost or had to be assumed; empty if nothing was."""


def translate(fragment: str, target: str) -> Translation:
    """Into OntoIDPSMA's terms, or from them into ours.

    Args:
        target: IRI of the ontology whose terms are wanted: `ONTOIDPSMA_IRI` or ours.

    Raises: TranslationError, FragmentError.
    """
    if target == ONTOIDPSMA_IRI:
        return to_ontoidpsma(fragment)
    if target == ONTOLOGY_IRI:
        return from_ontoidpsma(fragment)
    raise TranslationError(f"no translation to {target!r}, only {ONTOIDPSMA_IRI} or {ONTOLOGY_IRI}")


def to_ontoidpsma(fragment: str) -> Translation:
    """Alerts and incidents as ``Event``. Raises: FragmentError, TranslationError."""
    losses: Counter[str] = Counter()
    triples: list[Triple] = []
    for record in decode(fragment):
        if isinstance(record, Alert | Incident):
            triples += _event(record, losses)
        else:
            losses[f"{type(record).__name__}: OntoIDPSMA has no such thing, left out"] += 1
    text = serialize(triples, format=RdfFormat.TURTLE, prefixes={"ma": _NS}) or b""
    if len(text) > MAX_BYTES:
        raise TranslationError(f"the translation has {len(text)} bytes, at most {MAX_BYTES}")
    return Translation(fragment=text.decode(), losses=_lines(losses))


def _event(record: Alert | Incident, losses: Counter[str]) -> Iterable[Triple]:
    kind = type(record).__name__
    for name, nothing in (_ALERT_LOSSES if isinstance(record, Alert) else _INCIDENT_LOSSES).items():
        if nothing is None or getattr(record, name) != nothing:
            losses[f"{kind}.{name}: has no name in OntoIDPSMA"] += 1
    values = dict.fromkeys(PROPERTIES, NONE) | {
        "eventID": record.id,
        "NameEvent": record.classification,
        "SrcIP": _address(record.source),
        "data": record.explanation,
        "timestamp": iso_time(record.begin_us),
    }
    if isinstance(record, Alert):
        values |= {
            "SensorID": record.sensor,
            "ProtocolEvent": _PROTOCOLS.get(record.protocol, str(record.protocol)),
            "dstIP": _address(record.target),
        }
        if record.target_port is not None:
            values["dstPort"] = str(record.target_port)
    else:
        values["Priority"] = repr(record.severity)
        if len(record.targets) == 1:
            values["dstIP"] = _address(record.targets[0])
    subject = NamedNode(record.id)
    yield Triple(subject, _TYPE, _EVENT)
    for name, value in values.items():
        yield Triple(subject, NamedNode(_NS + name), Literal(value))


def _address(address: Address | None) -> str:
    return NONE if address is None else address_text(address)


def from_ontoidpsma(fragment: str) -> Translation:
    """Each ``Event`` as an Alert, or as an Incident where ``NameEvent`` is a class of those.

    Raises: TranslationError, FragmentError.
    """
    losses: Counter[str] = Counter()
    records: list[Record] = []
    ids: set[str] = set()
    for iri, said in _read(fragment).items():
        types = said.pop("type", [])
        if types == [_SIGNATURES.value]:
            losses["TrafficSignatures: a signature without its rule says nothing, left out"] += 1
            continue
        if types != [_EVENT.value]:
            raise TranslationError(f"{iri!r}: must be an Event of OntoIDPSMA, once, got {types}")
        values = dict.fromkeys(PROPERTIES, NONE)
        for name, found in said.items():
            if len(found) != 1:
                raise TranslationError(f"{iri!r}: {name} has {len(found)} values instead of one")
            values[name] = found[0]
        record = _record(iri, values, losses)
        if record.id in ids:
            raise TranslationError(f"{iri!r}: eventID {values['eventID']!r} is given twice")
        ids.add(record.id)
        records.append(record)
    return Translation(fragment=encode(records), losses=_lines(losses))


def _read(fragment: str) -> dict[str, dict[str, list[str]]]:
    try:
        data = fragment.encode()
    except UnicodeEncodeError as e:
        raise TranslationError(f"fragment is not Unicode text: {e.reason} at {e.start}") from e
    if len(data) > MAX_BYTES:
        raise TranslationError(f"fragment of {len(data)} bytes, at most {MAX_BYTES}")
    found: dict[str, dict[str, list[str]]] = {}
    try:
        for triple in parse(data, format=RdfFormat.TURTLE, without_named_graphs=True):
            if not isinstance(triple.subject, NamedNode):
                raise TranslationError("blank nodes are refused")
            predicate, value = triple.predicate.value, triple.object
            if predicate == _TYPE.value and isinstance(value, NamedNode):
                name, text = "type", value.value
            elif predicate.removeprefix(_NS) in PROPERTIES and isinstance(value, Literal):
                name, text = predicate.removeprefix(_NS), value.value
            else:
                raise TranslationError(f"<{predicate[:200]}> is no published name of OntoIDPSMA")
            about = found.setdefault(triple.subject.value, {})
            about.setdefault(name, []).append(text)
            if len(found) > MAX_EVENTS:
                raise TranslationError(f"more than {MAX_EVENTS} events")
    except (SyntaxError, OSError) as e:
        raise TranslationError(f"fragment is not Turtle: {' '.join(str(e).split())[:300]}") from e
    return found


def _record(iri: str, values: dict[str, str], losses: Counter[str]) -> Alert | Incident:
    name = values["NameEvent"]
    identifier = _identifier(iri, values["eventID"], losses)
    begin_us = _time(iri, values["timestamp"], losses)
    data = "" if values["data"] == NONE else values["data"]
    source, target = (_read_address(iri, key, values[key]) for key in ("SrcIP", "dstIP"))
    if values["srcPort"] != NONE:
        losses["srcPort: has no name in OntoIDPS"] += 1
    if name in INCIDENT_CLASSES:
        for key in ("SensorID", "ProtocolEvent", "dstPort"):
            if values[key] != NONE:
                losses[f"{key}: an Incident of OntoIDPS has none"] += 1
        losses["Incident: alerts, rule, endUs and verifiedSource are unknown"] += 1
        return Incident(
            id=identifier,
            classification=name,
            source=source,
            targets=() if target is None else (target,),
            alerts=(),
            rule="",
            begin_us=begin_us,
            end_us=begin_us,
            severity=_severity(iri, values["Priority"], losses),
            verified_source=False,
            explanation=data,
        )
    if name not in ATTACK_CLASSES:
        losses["NameEvent: no attack class of OntoIDPS, so UnknownAnomaly; the name is lost"] += 1
        name = "UnknownAnomaly"
    if values["Priority"] != NONE:
        losses["Priority: an Alert of OntoIDPS has none"] += 1
    losses["Alert: confidence is taken as 0.5, verifiedSource as false, endUs as beginUs"] += 1
    return Alert(
        id=identifier,
        classification=name,
        source=source,
        target=target,
        target_port=_port(iri, values["dstPort"]),
        protocol=_protocol(values["ProtocolEvent"], losses),
        begin_us=begin_us,
        end_us=begin_us,
        confidence=0.5,
        verified_source=False,
        sensor="" if values["SensorID"] == NONE else values["SensorID"],
        analyzer="",
        explanation=data,
    )


def _identifier(iri: str, event: str, losses: Counter[str]) -> str:
    for candidate in (event, iri):
        try:
            return record_iri(candidate)
        except ValueError:
            continue
    losses["eventID: no id of OntoIDPS (urn:…), named anew"] += 1
    return f"urn:uuid:{uuid.uuid5(_NAMES, iri)}"


def _time(iri: str, text: str, losses: Counter[str]) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as e:
        raise TranslationError(f"{iri!r}: timestamp {text[:80]!r} is no ISO 8601 time") from e
    if moment.tzinfo is None:
        losses["timestamp: without a zone, taken as UTC"] += 1
        moment = moment.replace(tzinfo=UTC)
    try:
        time_us = (moment - _EPOCH) // timedelta(microseconds=1)
    except OverflowError as e:
        raise TranslationError(f"{iri!r}: timestamp {text[:80]!r} is out of range") from e
    if not 0 <= time_us <= MAX_TIME_US:
        raise TranslationError(f"{iri!r}: timestamp {text[:80]!r} is out of range")
    return time_us


def _read_address(iri: str, key: str, text: str) -> Address | None:
    if text == NONE:
        return None
    try:
        return ip_address(text)
    except ValueError as e:
        raise TranslationError(f"{iri!r}: {key} {text[:80]!r} is no IP address") from e


def _port(iri: str, text: str) -> int | None:
    if text == NONE:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise TranslationError(f"{iri!r}: dstPort {text[:80]!r} is no port")
    return int(text)


def _protocol(text: str, losses: Counter[str]) -> int:
    known = _NUMBERS.get(text.lower())
    if known is not None:
        return known
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return int(text)
    losses["ProtocolEvent: no IANA protocol, taken as 255"] += 1
    return _NO_PROTOCOL


def _severity(iri: str, text: str, losses: Counter[str]) -> float:
    if text == NONE:
        losses["Priority: not given, severity is taken as 0.5"] += 1
        return 0.5
    try:
        value = float(text)
    except ValueError as e:
        raise TranslationError(f"{iri!r}: Priority {text[:80]!r} is no number") from e
    if not 0.0 <= value <= 1.0:
        raise TranslationError(f"{iri!r}: Priority {text[:80]!r} must lie in [0, 1]")
    return value


def _lines(losses: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{what} ({n} times)" for what, n in sorted(losses.items()))


__all__ = [
    "MAX_EVENTS",
    "ONTOIDPSMA_IRI",
    "PROPERTIES",
    "FragmentError",
    "Translation",
    "TranslationError",
    "from_ontoidpsma",
    "to_ontoidpsma",
    "translate",
]
