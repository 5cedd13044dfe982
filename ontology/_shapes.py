"""What a fragment says about each kind of record, derived from the dataclasses themselves.

A field ``target_port`` becomes the property ``targetPort``; where the ontology has another word (an
object property, a word that owlready2 can't use) the table below says which. A property missing
from the vocabulary fails on import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints
from typing import Literal as Choice

from pyoxigraph import Literal, NamedNode

from ontology import _values as values
from ontology.records import Address, ConnectionBatch, Record
from ontology.taxonomy import ATTACK_CLASSES, INCIDENT_CLASSES
from ontology.vocabulary import IDPS, Term

TYPE: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"

_PROPERTY = {
    "source": IDPS.hasSource,
    "target": IDPS.hasTarget,
    "sources": IDPS.involvesSource,
    "targets": IDPS.involvesTarget,
    "address": IDPS.describesHost,
    "own_addresses": IDPS.hasOwnAddress,
    "routers": IDPS.hasRouter,
    "broadcasts": IDPS.hasBroadcastAddress,
    "name_servers": IDPS.hasNameServer,
    "message_servers": IDPS.hasMessageServer,
    "logins": IDPS.hasLoginFrom,
    "allowed_hosts": IDPS.hasAllowedHost,
    "alert": IDPS.evidenceOf,
    "alerts": IDPS.restsOnAlert,
    "host": IDPS.observedOnHost,
    "host_events": IDPS.restsOnHostEvent,
    "signatures": IDPS.matchedSignature,
    "cves": IDPS.cve,
    "affected_services": IDPS.affectedService,
    "affected_systems": IDPS.affectedSystem,
    "users": IDPS.involvesUserName,
    "incident": IDPS.restsOnIncident,
    "decision": IDPS.carriesOut,
    "cause": IDPS.causedBy,
    "ban": IDPS.concernsBan,
    "blocks": IDPS.hasBlock,
    "confirmed": IDPS.confirmedBlock,
    "received": IDPS.receiptOf,
    "agent": IDPS.statusOf,
    "query": IDPS.answersQuery,
    "roles": IDPS.hostRole,
    "open_ports": IDPS.openPort,
    "open_services": IDPS.serviceOnHost,
    "fixed_vulnerabilities": IDPS.fixedVulnerability,
    "agents": IDPS.runsAgent,
    "services": IDPS.service,
    "name": IDPS.agentName,
    "role": IDPS.agentRole,
    "state": IDPS.blockState,
    "scope": IDPS.decisionScope,
    "kind": IDPS.knowledgeKind,
    "digest": IDPS.contentDigest,
    "data": IDPS.pieceData,
    "credentials": IDPS.triedCredential,
    "commands": IDPS.ranCommand,
    "urls": IDPS.askedUrl,
    "file_hashes": IDPS.fileHash,
    "clients": IDPS.clientFingerprint,
    "announcement": IDPS.partOfAnnouncement,
}
_REFERENCES = frozenset(
    {
        *("alert", "signatures", "alerts", "incident", "decision", "query", "cause", "ban"),
        *("blocks", "confirmed"),
        *("received", "agent", "announcement", "host_events"),
    }
)
"""Fields that hold ids of other records."""
_CLASSIFIED: dict[str, Set[str]] = {"Alert": ATTACK_CLASSES, "Incident": INCIDENT_CLASSES}
"""Records whose ``classification`` is a class of the individual, and which classes it may be."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property of one kind of record."""

    field: str
    """Field of the record."""
    term: str
    """IRI of the property."""
    predicate: NamedNode
    many: bool
    """A tuple: any number of values, sorted. Otherwise at most one."""
    required: bool
    write: Callable[[Any], Literal | NamedNode]
    """Raises ValueError, UnicodeEncodeError."""
    read: Callable[[Any], Any] | None
    """From a literal of ``datatype``, or from an IRI. None: read along with another property."""
    datatype: NamedNode | None
    """None: the value is an individual."""
    is_host: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of record."""

    record: type[Record]
    term: str
    node: NamedNode
    properties: tuple[Property, ...]
    classes: Set[str]
    """Classes that the individual must have one of, by local name; empty if unclassified. They
    change with the ontology in force."""
    times: tuple[tuple[str, str, str], ...]
    """(field, property, companion property) of each time."""


_LITERALS: dict[type, tuple[Callable[[Any], Literal], Callable[[Literal], Any], NamedNode]] = {
    str: (values.text_literal, values.read_text, values.STRING),
    int: (values.integer_literal, values.read_integer, values.INTEGER),
    float: (values.double_literal, values.read_double, values.DOUBLE),
    bool: (values.boolean_literal, values.read_boolean, values.BOOLEAN),
}


def camel(field: str) -> str:
    """``target_port`` to ``targetPort``."""
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _term(name: str) -> Term:
    term = getattr(IDPS, name)  # AttributeError: records.py has a field that the ontology lacks
    assert isinstance(term, Term)  # noqa: S101
    return term


def _property(field: str, hint: Any) -> Property:
    term = _PROPERTY.get(field) or _term(camel(field))
    many, required = False, True
    if get_origin(hint) is tuple:
        many, required, hint = True, False, get_args(hint)[0]
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if NoneType in parts:
        required = False
        parts = tuple(part for part in parts if part is not NoneType)
    common: dict[str, Any] = {
        "field": field,
        "term": str(term),
        "predicate": NamedNode(term),
        "many": many,
        "required": required,
    }
    if set(parts) == set(get_args(Address)):
        return Property(
            **common,
            write=values.host_node,
            read=values.host_address,
            datatype=None,
            is_host=True,
        )
    if field in _REFERENCES:
        return Property(**common, write=values.record_node, read=values.record_iri, datatype=None)
    (kind,) = parts
    if get_origin(kind) is Choice:
        kind = str  # the record checks that it is one of them
    write, read, datatype = _LITERALS[kind]
    return Property(**common, write=write, read=read, datatype=datatype)


def _companion(
    field: str, term: Term, write: Callable[[Any], Literal], datatype: NamedNode
) -> Property:
    return Property(
        field=field,
        term=str(term),
        predicate=NamedNode(term),
        many=False,
        required=True,
        write=write,
        read=None,
        datatype=datatype,
    )


def _count(connections: Any) -> Literal:
    return values.integer_literal(len(connections))


def _shape(record: type[Record]) -> Shape:
    name = record.__name__
    hints = get_type_hints(record)
    properties: list[Property] = []
    times: list[tuple[str, str, str]] = []
    for field in dataclasses.fields(record):
        if field.name == "id" or (field.name == "classification" and name in _CLASSIFIED):
            continue
        if record is ConnectionBatch and field.name == "connections":
            properties += [
                _companion(field.name, IDPS.connectionCount, _count, values.INTEGER),
                _companion(field.name, IDPS.connections, values.pack_connections, values.BASE64),
            ]
            continue
        properties.append(_property(field.name, hints[field.name]))
        if field.name.endswith("_us"):
            companion = _term(camel(field.name.removesuffix("_us") + "_date_time"))
            properties.append(
                _companion(field.name, companion, values.date_time_literal, values.DATE_TIME)
            )
            times.append((field.name, properties[-2].term, str(companion)))
    term = _term(name)
    return Shape(
        record=record,
        term=str(term),
        node=NamedNode(term),
        properties=tuple(properties),
        classes=_CLASSIFIED.get(name, frozenset()),
        times=tuple(times),
    )


SHAPES: Final = {record: _shape(record) for record in get_args(Record)}
BY_TERM: Final = {shape.term: shape for shape in SHAPES.values()}
