"""Single values of a fragment, both ways: times, addresses, numbers, connection arrays.

Helpers of `ontology.fragments`; every reader raises ValueError with what is wrong and leaves it to
the caller to add the term and the place.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyoxigraph import Literal, NamedNode

from ontology.records import CONNECTION, CONNECTION_STATES, MAX_TIME_US, Address
from ontology.vocabulary import HOST_PREFIX

XSD = "http://www.w3.org/2001/XMLSchema#"
STRING = NamedNode(XSD + "string")
INTEGER = NamedNode(XSD + "integer")
DOUBLE = NamedNode(XSD + "double")
BOOLEAN = NamedNode(XSD + "boolean")
DATE_TIME = NamedNode(XSD + "dateTime")
BASE64 = NamedNode(XSD + "base64Binary")

MAX_CONNECTIONS = 10_000
"""Most connections in one batch: bounds what a fragment can make us allocate (about 1 MB)."""

_LIMIT = 2**63
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (naive UTC: the arithmetic is half as dear)
_AWARE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6})0*)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
# Printable ASCII that RFC 3987 lets stand in an IRI; what can't be there can't break a stanza.
_IRI = re.compile(r"urn:[!#-;=?-\[\]_a-z~]{1,252}")


def date_time(time_us: int) -> str:
    """``xsd:dateTime`` in UTC of epoch microseconds, always with six decimals."""
    if not 0 <= time_us <= MAX_TIME_US:
        raise ValueError(f"outside [0, {MAX_TIME_US}] microseconds")
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.isoformat(timespec="microseconds") + "Z"


def same_instant(text: str, time_us: int) -> bool:
    """Whether ``xsd:dateTime`` text, in any time zone, names the same microsecond."""
    if text == date_time(time_us):
        return True
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return False
    try:
        moment = datetime.fromisoformat(f"{match[1]}.{(match[2] or '0').ljust(6, '0')}{match[3]}")
        return (moment - _AWARE_EPOCH) // _MICROSECOND == time_us
    except (ValueError, OverflowError):
        return False


def address_text(address: Address) -> str:
    """One spelling per address (RFC 5952), whatever the Python version makes of mapped ones."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone means nothing on another machine")
        if address.ipv4_mapped is not None:
            low = int(address) & 0xFFFFFFFF
            return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}"
    return str(address)


@lru_cache(maxsize=8192)
def host_node(address: Address) -> NamedNode:
    """The individual of the host with this address."""
    if not isinstance(address, IPv4Address | IPv6Address):
        raise ValueError("not an IPv4Address or IPv6Address")
    return NamedNode(HOST_PREFIX + address_text(address))


@lru_cache(maxsize=8192)
def host_address(iri: str) -> Address:
    """The address that a host's individual is named for."""
    if not iri.startswith(HOST_PREFIX):
        raise ValueError(f"not a host ({HOST_PREFIX}ADDRESS)")
    text = iri[len(HOST_PREFIX) :]
    address: Address
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError as e:
        raise ValueError("not an IPv4 or IPv6 address") from e
    if address_text(address) != text:
        # Otherwise one host would be two individuals.
        raise ValueError(f"not the canonical spelling, {address_text(address)}")
    return address


def record_node(iri: str) -> NamedNode:
    """The individual of a record, from its id."""
    return NamedNode(record_iri(iri))


def record_iri(iri: str) -> str:
    """The id, if it can be one: ``urn:``, at most 256 printable ASCII characters, not a host."""
    if not isinstance(iri, str) or not _IRI.fullmatch(iri) or iri.startswith(HOST_PREFIX):
        raise ValueError("not a record id (urn:…, printable ASCII, at most 256 characters)")
    return iri


def text_literal(value: str) -> Literal:
    if not isinstance(value, str):
        raise ValueError("not a string")
    try:
        return Literal(value)
    except ValueError as e:
        raise ValueError("holds a lone surrogate") from e


def integer_literal(value: int) -> Literal:
    try:
        number = int(index(value))
    except TypeError as e:
        raise ValueError("not an integer") from e
    if not -_LIMIT <= number < _LIMIT:
        # Beyond 64 bits pyoxigraph would silently write a double.
        raise ValueError("not an integer of 64 bits")
    return Literal(number)


def double_literal(value: float) -> Literal:
    return Literal(float(value))


def boolean_literal(value: bool) -> Literal:
    if not isinstance(value, bool | np.bool_):
        raise ValueError("not a boolean")
    return Literal(bool(value))


def date_time_literal(value: int) -> Literal:
    return Literal(date_time(value), datatype=DATE_TIME)


def read_text(literal: Literal) -> str:
    return literal.value


def read_integer(literal: Literal) -> int:
    text = literal.value
    if not _INTEGER.fullmatch(text):
        raise ValueError("not an integer of at most 19 digits")
    return int(text)


def read_double(literal: Literal) -> float:
    text = literal.value
    if not _DOUBLE.fullmatch(text):
        raise ValueError("not a finite number")
    return float(text)


def read_boolean(literal: Literal) -> bool:
    text = literal.value
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError("not a boolean")


def pack_connections(connections: NDArray[np.void]) -> Literal:
    """The array as ``xsd:base64Binary`` of its zlib-compressed bytes."""
    check_connections(connections)
    packed = zlib.compress(connections.tobytes(), 6)
    return Literal(base64.b64encode(packed).decode("ascii"), datatype=BASE64)


def unpack_connections(text: str, count: int) -> NDArray[np.void]:
    """The reverse; never allocates more than ``count`` connections take.

    Raises:
        ValueError: not base64, not zlib, not exactly ``count`` connections, or values out of range.
    """
    if not 0 <= count <= MAX_CONNECTIONS:
        raise ValueError(f"connection count {count} outside [0, {MAX_CONNECTIONS}]")
    size = count * CONNECTION.itemsize
    unpacker = zlib.decompressobj()
    try:
        packed = base64.b64decode(text, validate=True)
        # One byte more than is due, so that a longer array shows without being unpacked.
        data = unpacker.decompress(packed, size + 1)
    except (binascii.Error, zlib.error) as e:
        raise ValueError(f"not zlib in base64: {e}") from e
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"does not unpack to exactly {count} connections")
    connections = np.frombuffer(data, dtype=CONNECTION)
    check_connections(connections)
    return connections


def check_connections(connections: NDArray[Any]) -> None:
    """Refuse what the decoder of packets can't have made, before cores index tables by it."""
    if len(connections) > MAX_CONNECTIONS:
        raise ValueError(f"{len(connections)} connections, at most {MAX_CONNECTIONS} per batch")
    if not len(connections):
        return
    start, duration = connections["start_us"], connections["duration_us"]
    if start.min() < 0 or start.max() > MAX_TIME_US:
        raise ValueError("a connection starts outside the range of times")
    if duration.min() < 0 or duration.max() > MAX_TIME_US:
        raise ValueError("a connection has a duration out of range")
    if connections["state"].max() >= len(CONNECTION_STATES):
        raise ValueError("a connection has an unknown state")
    version = connections["ip_version"]
    if not np.all((version == 4) | (version == 6)):
        raise ValueError("a connection has an IP version other than 4 and 6")
