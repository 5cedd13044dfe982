"""IDMEFv2 documents of others (JSON, draft-lehmann-idmefv2, versions 03 to 08), read as reports."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final

import msgspec

from agents.idmef.complaints import IdmefError
from agents.idmef.foreign_reports import Report
from agents.idmef.schema import check_document
from agents.idmef.times import iso_us
from agents.idmef.writing import PROTOCOLS
from ontology.records import Address

MAX_DOCUMENTS: Final = 200
"""Of one array."""
SEVERITIES: Final = {"Info": 0.1, "Low": 0.3, "Medium": 0.6, "High": 0.9}
"""Of ``Priority``."""
_NO_ATTACK: Final = frozenset({"Normal", "Error", "Malfunction", "Hazard"})
"""Values of ``Cause``."""
_TAKEN_BACK: Final = frozenset({"Closed", "FalsePositive"})
"""Values of ``Status``."""
_MAX_ENDS: Final = 1024
_NUMBERS = {name.lower(): number for number, name in PROTOCOLS.items()}
_decode = msgspec.json.Decoder().decode


def documents(data: bytes) -> list[object]:
    """The documents in ``data``: one, or an array of them. Raises: IdmefError."""
    try:
        value: object = _decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as e:
        raise IdmefError("document", "JSON", None, str(e)[:160]) from e
    if not isinstance(value, list):
        return [value]
    if len(value) > MAX_DOCUMENTS:
        raise IdmefError("document", "array", len(value), f"more than {MAX_DOCUMENTS} documents")
    return value


def report_of(document: Any, place: str) -> Report | None:
    """What one document reports; None if it says itself that this is no attack (any more).

    Raises: IdmefError.
    """
    check_document(document, place)
    status = document.get("Status", ())
    if document.get("Cause") in _NO_ATTACK or _TAKEN_BACK & {
        *((status,) if isinstance(status, str) else status)
    }:
        return None
    created = _time(document, "CreateTime", place)
    begin = _time(document, "StartTime", place) if "StartTime" in document else created
    end = _time(document, "EndTime", place) if "EndTime" in document else max(begin, created)
    sources, targets = document.get("Source", ()), document.get("Target", ())
    if len(sources) + len(targets) > _MAX_ENDS:
        raise IdmefError(place, "Source, Target", None, f"more than {_MAX_ENDS}")
    ports = {port for one in targets for port in one.get("Port", ())}
    for port in ports:
        if not 0 <= port <= 65535:
            raise IdmefError(place, "Target.Port", port, "not in [0, 65535]")
    names = (name.lower() for one in sources for name in one.get("Protocol", ()))
    numbers = (_NUMBERS.get(name) or _number(name) for name in names)
    alternative = document.get("AltCategory", ())
    own = (a.removeprefix("ontoidps:") for a in alternative if a.startswith("ontoidps:"))
    analyzer = document["Analyzer"]
    return Report(
        place=place,
        id=document["ID"].lower(),
        begin_us=begin,
        end_us=end,
        sources=_addresses(sources, "Source", place),
        targets=_addresses(targets, "Target", place),
        # Several are many connections; no single one is the alert's.
        target_port=int(ports.pop()) if len(ports) == 1 else None,
        protocol=next((number for number in numbers if number is not None), None),
        analyzer=analyzer["Name"],
        text=document.get("Description", ""),
        more=document.get("Note", ""),
        categories=tuple(document.get("Category", ())),
        own_class=next(own, ""),
        confidence=document.get("Confidence"),
        severity=SEVERITIES.get(document.get("Priority", "")),
        users=tuple(one["User"] for one in targets if "User" in one),
        references=(*document.get("Ref", ())[:16], *document.get("AltNames", ())[:16]),
    )


def _time(document: dict[str, Any], element: str, place: str) -> int:
    try:
        return iso_us(document[element])
    except ValueError as e:
        raise IdmefError(place, element, document[element], str(e)) from e


def _addresses(ends: list[dict[str, Any]], element: str, place: str) -> tuple[Address, ...]:
    found = []
    for number, end in enumerate(ends):
        text = end.get("IP")
        if text is None:
            continue
        try:
            # A zone says where, not who (RFC 4007).
            found.append(ip_address(text.partition("%")[0]))
        except ValueError as e:
            raise IdmefError(place, f"{element}.{number}.IP", text, "not an IP address") from e
    return tuple(found)


def _number(name: str) -> int | None:
    number = int(name) if name.isascii() and name.isdigit() and len(name) <= 3 else 256
    return number if number < 256 else None
