"""The one codec between records and OWL fragments: RDF triples about individuals, in Turtle.

A fragment is self-contained: it names no base, imports nothing, holds no blank nodes, and uses
only terms of `ontology.vocabulary`. Reading one touches neither network nor file system. The
records come back in the order in which their individuals first appear as subjects, which is the
order in which they were written. Tuples of a record are sets in OWL: they come back sorted and
without repeats.

Hosts are individuals of their own, ``urn:ontoidps:host:ADDRESS``, described after the records.
Each time ``…Us`` has an ``xsd:dateTime`` beside it that must name the same microsecond. Characters
that XML can't carry are written as ``\\uXXXX`` inside string literals (Turtle 1.1 section 6.4), so
that the text of a fragment always fits into an XMPP stanza.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology._shapes import BY_TERM, SHAPES, TYPE, Property, Shape
from ontology._values import (
    INTEGER,
    STRING,
    XSD,
    address_text,
    host_address,
    host_node,
    read_integer,
    record_iri,
    record_node,
    same_instant,
    unpack_connections,
)
from ontology.records import Address, ConnectionBatch, Record
from ontology.vocabulary import HOST_PREFIX, IDPS, NAMESPACE

MAX_BYTES = 200_000
"""Longest fragment, as UTF-8."""
MAX_TRIPLES = 20_000
MAX_IRI = 512

_PREFIXES = {"idps": NAMESPACE, "xsd": XSD}
_HEADER = "".join(f"@prefix {p}: <{iri}> .\n" for p, iri in _PREFIXES.items()).encode()
_TYPE = NamedNode(TYPE)
_HOST = NamedNode(IDPS.Host)
_IP_ADDRESS = NamedNode(IDPS.ipAddress)
_FAMILY = NamedNode(IDPS.addressFamily)
_KNOWN = frozenset(
    {TYPE, str(IDPS.ipAddress), str(IDPS.addressFamily)}
    | {p.term for shape in SHAPES.values() for p in shape.properties}
)

_Values = dict[str, list[Any]]
"""What is said of one individual: property IRI to its values, in order."""


class FragmentError(ValueError):
    """A record can't be written, or a text is no fragment we accept.

    The message is one line naming the term, the value and the place (individual, or line of text).
    """


def _refuse(place: str, term: str, value: object, why: object) -> NoReturn:
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:76] + "…" + shown[-1]
    reason = " ".join(str(why).split())
    raise FragmentError(f"{term.removeprefix(NAMESPACE)} of {place}: {shown}: {reason}")


def encode(records: Sequence[Record]) -> str:
    """Turtle for the records; the same text for the same records.

    Raises:
        FragmentError: a value that the ontology can't express (a zone in an address, a lone
            surrogate, an unknown class), two records with one id, or more than `MAX_BYTES`.
    """
    triples = to_triples(records)
    if len(triples) > MAX_TRIPLES:
        raise FragmentError(f"fragment of {len(triples)} triples, at most {MAX_TRIPLES}")
    if not triples:
        return ""
    text = serialize(triples, format=RdfFormat.TURTLE, prefixes=_PREFIXES)
    assert text is not None  # noqa: S101  (it is only when written to a file)
    # The serializer writes the prefixes in an order that changes from call to call.
    text = _HEADER + text[len(_HEADER) :]
    if len(text) > MAX_BYTES:
        raise FragmentError(f"fragment of {len(text)} bytes, at most {MAX_BYTES}")
    return text.decode("utf-8")


def to_triples(records: Sequence[Record]) -> list[Triple]:
    """What `encode` writes, as triples: for stores.

    Raises: FragmentError, as `encode` but for the sizes.
    """
    triples: list[Triple] = []
    hosts: dict[Address, None] = {}
    ids: set[str] = set()
    for record in records:
        shape = SHAPES.get(type(record))
        if shape is None:
            raise FragmentError(f"{type(record).__name__} is no record")
        if record.id in ids:
            _refuse(record.id, "id", record.id, "two records have it")
        ids.add(record.id)
        _write(record, shape, triples, hosts)
    for address in hosts:
        triples += _host(address)
    return triples


@lru_cache(maxsize=4096)
def _host(address: Address) -> tuple[Triple, ...]:
    node = host_node(address)
    return (
        Triple(node, _TYPE, _HOST),
        Triple(node, _IP_ADDRESS, Literal(address_text(address))),
        Triple(node, _FAMILY, Literal(address.version)),
    )


def _write(record: Record, shape: Shape, triples: list[Triple], hosts: dict[Address, None]) -> None:
    term, value = "id", record.id
    try:
        subject = record_node(record.id)
        triples.append(Triple(subject, _TYPE, shape.node))
        if shape.classes:
            term, value = "classification", record.classification  # type: ignore[union-attr]
            if value not in shape.classes:
                raise ValueError("no such class in the ontology")
            triples.append(Triple(subject, _TYPE, NamedNode(NAMESPACE + value)))
        for entry in shape.properties:
            term, value = entry.term, getattr(record, entry.field)
            write, predicate = entry.write, entry.predicate
            if entry.many:
                for item in _sorted(value, entry):
                    triples.append(Triple(subject, predicate, write(item)))
                    if entry.is_host:
                        hosts[item] = None
            elif value is not None:
                triples.append(Triple(subject, predicate, write(value)))
                if entry.is_host:
                    hosts[value] = None
            elif entry.required:
                raise ValueError("missing")
    except (ValueError, TypeError) as e:
        _refuse(str(record.id), term, value, e)


def _sorted(items: Sequence[Any], entry: Property) -> list[Any]:
    """The one order of a set: addresses by version, then number."""
    if len(items) < 2:
        return list(items)
    if entry.is_host:
        return sorted(set(items), key=lambda a: (a.version, int(a)))
    return sorted(set(items))


def decode(text: str) -> tuple[Record, ...]:
    """The records that a fragment describes, in order of appearance.

    Raises:
        FragmentError: whatever is wrong with the text; nothing else is ever raised.
    """
    individuals = _read(text)
    records: list[Record] = []
    for iri, said in individuals.items():
        types = said.pop(TYPE, [])
        names = [t.value if isinstance(t, NamedNode) else "" for t in types]
        if iri.startswith(HOST_PREFIX):
            _check_host(iri, names, said)
        else:
            records.append(_record(iri, names, said))
    return tuple(records)


def _read(text: str) -> dict[str, _Values]:
    """All triples by subject; terms and sizes are checked while the text is being parsed."""
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as e:
        raise FragmentError(f"fragment is not Unicode text: {e.reason} at {e.start}") from e
    if len(data) > MAX_BYTES:
        raise FragmentError(f"fragment of {len(data)} bytes, at most {MAX_BYTES}")
    individuals: dict[str, _Values] = {}
    parser = parse(data, format=RdfFormat.TURTLE, without_named_graphs=True)
    try:
        for count, triple in enumerate(parser, 1):
            if count > MAX_TRIPLES:
                raise FragmentError(f"fragment of more than {MAX_TRIPLES} triples")
            # A prefix can make every name long: nothing long is kept, not even once.
            subject, predicate, value = triple.subject, triple.predicate.value, triple.object
            if not isinstance(subject, NamedNode):
                _refuse("fragment", "subject", str(subject), "blank nodes are refused")
            iri = subject.value
            if len(iri) > MAX_IRI:
                _refuse("fragment", "subject", iri, f"longer than {MAX_IRI} characters")
            if predicate not in _KNOWN:
                _refuse(iri, "property", predicate, "unknown")
            if isinstance(value, NamedNode):
                if len(value.value) > MAX_IRI:
                    _refuse(iri, predicate, value.value, f"longer than {MAX_IRI} characters")
            elif not isinstance(value, Literal):
                _refuse(iri, predicate, str(value), "neither a literal nor a named individual")
            said = individuals.get(iri)
            if said is None:
                said = individuals[iri] = {}
            held = said.get(predicate)
            if held is None:
                said[predicate] = [value]
            else:
                held.append(value)
        if parser.base_iri is not None:
            _refuse("fragment", "@base", parser.base_iri, "relative names are refused")
    except (SyntaxError, OSError) as e:
        raise FragmentError(f"fragment is not Turtle: {' '.join(str(e).split())[:300]}") from e
    return individuals


def _check_host(iri: str, types: list[str], said: _Values) -> None:
    try:
        address = host_address(iri)
    except ValueError as e:
        _refuse("fragment", "Host", iri, e)
    if types != [str(IDPS.Host)]:
        _refuse(iri, "type", types, "a host of a fragment is a Host and nothing else")
    _same(iri, said, IDPS.ipAddress, STRING, address_text(address))
    _same(iri, said, IDPS.addressFamily, INTEGER, str(address.version))
    if said:
        _refuse(iri, next(iter(said)), "", "not a property of a host")


def _same(iri: str, said: _Values, term: str, datatype: NamedNode, expected: str) -> None:
    found = said.pop(term, [])
    if found != [Literal(expected, datatype=datatype)]:
        _refuse(iri, term, [getattr(v, "value", v) for v in found], f"must be {expected!r}, once")


def _record(iri: str, types: list[str], said: _Values) -> Record:
    try:
        record_iri(iri)
    except ValueError as e:
        _refuse("fragment", "subject", iri, e)
    kinds = [t for t in types if t in BY_TERM]
    if len(kinds) != 1:
        shown = [t.removeprefix(NAMESPACE) for t in types]
        _refuse(iri, "type", shown, "exactly one class of record is needed")
    shape = BY_TERM[kinds[0]]
    arguments: dict[str, Any] = {"id": iri}
    others = [t.removeprefix(NAMESPACE) for t in types if t != shape.term]
    if len(others) != bool(shape.classes) or not all(t in shape.classes for t in others):
        _refuse(iri, "type", others, f"not what a {shape.record.__name__} must be besides")
    if shape.classes:
        arguments["classification"] = others[0]
    for entry in shape.properties:
        items = list(_items(iri, entry, said))
        if entry.read is None:
            said[entry.term] = items  # read below, together with what it stands beside
        elif entry.many:
            arguments[entry.field] = tuple(_sorted(items, entry))
        else:
            arguments[entry.field] = items[0] if items else None
    for field, _, companion in shape.times:
        (literal,) = said.pop(companion)
        _check_time(iri, companion, literal.value, arguments[field])
    if shape.record is ConnectionBatch:
        arguments["connections"] = _connections(iri, said)
    if said:
        term = next(iter(said))
        value = [getattr(v, "value", v) for v in said[term]]
        _refuse(iri, term, value, f"not a property of {shape.record.__name__}")
    try:
        return shape.record(**arguments)
    except ValueError as e:
        raise FragmentError(f"{shape.record.__name__} {iri}: {e}") from e


def _items(iri: str, entry: Property, said: _Values) -> Iterator[Any]:
    """The values of one property, checked for number, datatype and form."""
    found = said.pop(entry.term, ())
    if not entry.many and len(found) != 1 and (found or entry.required):
        number = "missing" if not found else f"{len(found)} values instead of one"
        _refuse(iri, entry.term, [getattr(v, "value", v) for v in found], number)
    for item in found:
        try:
            if entry.datatype is None:
                if not isinstance(item, NamedNode):
                    raise ValueError("must be an individual")
                yield entry.read(item.value) if entry.read else item
            else:
                if not isinstance(item, Literal) or item.datatype != entry.datatype:
                    raise ValueError(f"must be a literal of {entry.datatype.value}")
                yield entry.read(item) if entry.read else item
        except ValueError as e:
            _refuse(iri, entry.term, getattr(item, "value", item), e)


def _check_time(iri: str, companion: str, text: str, time_us: int) -> None:
    try:
        same = same_instant(text, time_us)
    except ValueError as e:
        _refuse(iri, companion, time_us, e)
    if not same:
        _refuse(iri, companion, text, f"contradicts {time_us} microseconds")


def _connections(iri: str, said: _Values) -> Any:
    (count,) = said.pop(IDPS.connectionCount)
    (packed,) = said.pop(IDPS.connections)
    try:
        return unpack_connections(packed.value, read_integer(count))
    except ValueError as e:
        _refuse(iri, IDPS.connections, packed.value, e)
