"""Messages in IDMEF's XML (RFC 4765), as Prelude and tools of its age send them, read as reports.

The XML is a stranger's: document types, and with them entities, are refused, and the tree is
bounded (`ontology.safe_xml.read_tree`). Elements of other name spaces are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from agents.idmef.complaints import IdmefError
from agents.idmef.foreign_reports import Report
from agents.idmef.times import iso_us, ntp_us
from ontology.records import Address
from ontology.safe_xml import Element, read_tree

NAMESPACES: Final = ("http://iana.org/idmef", "urn:iana:xml:ns:idmef")
"""RFC 4765's, and that of the drafts before it."""
MAX_ALERTS: Final = 200
"""Of one message."""
_MAX_ELEMENTS: Final = 20_000
_MAX_DEPTH: Final = 24
_SEVERITIES: Final = {"info": 0.1, "low": 0.3, "medium": 0.6, "high": 0.9}
_RATINGS: Final = {"low": 0.3, "medium": 0.6, "high": 0.9}
_CATEGORIES: Final = ("ipv4-addr", "ipv6-addr", "unknown")
"""Of addresses that we read; an absent one is ``unknown``."""
_OTHER_ADDRESSES: Final = (
    *("atm", "e-mail", "lotus-notes", "mac", "sna", "vm", "ipv4-addr-hex", "ipv6-addr-hex"),
    *("ipv4-net", "ipv4-net-mask", "ipv6-net", "ipv6-net-mask"),
)
_TYPES: Final = {"recon": "Recon.Other", "dos": "Availability.DoS", "admin": "Access.Escalation"}
"""Of ``Impact``, in the words of IDMEFv2; ``user``, ``file`` and ``other`` say little."""
_PROTOCOLS: Final = {"icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
_MAX_ENDS: Final = 1024


def message_of(data: bytes) -> Element:
    """The element ``IDMEF-Message``. Raises: IdmefError."""
    try:
        root = read_tree(data, max_elements=_MAX_ELEMENTS, max_depth=_MAX_DEPTH, own=NAMESPACES)
    except ValueError as e:
        raise IdmefError("document", "XML", None, str(e)) from e
    if root.name != "IDMEF-Message":
        raise IdmefError(f"line {root.line}", "root", root.name, "IDMEF-Message is wanted")
    alerts = len(root.all("Alert"))
    if alerts > MAX_ALERTS:
        raise IdmefError("document", "Alert", alerts, f"more than {MAX_ALERTS} in a message")
    return root


def alerts_in(message: Element) -> list[tuple[str, Element]]:
    """Each alert and its place, for complaints; heartbeats are passed over."""
    return [
        (f"alert {number}, line {alert.line}", alert)
        for number, alert in enumerate(message.all("Alert"), 1)
    ]


def report_of(alert: Element, place: str) -> Report:
    """What one ``Alert`` reports. Raises: IdmefError."""
    classification = alert.first("Classification")
    if classification is None or not classification.attributes.get("text"):
        raise IdmefError(place, "Classification", None, "there is none with a text")
    created = alert.first("CreateTime")
    if created is None:
        raise IdmefError(place, "CreateTime", None, "is missing")
    detected = alert.first("DetectTime")
    at_us = _time(created if detected is None else detected, place)
    sources, targets = alert.all("Source"), alert.all("Target")
    if len(sources) + len(targets) > _MAX_ENDS:
        raise IdmefError(place, "Source, Target", None, f"more than {_MAX_ENDS}")
    services = [s for end in targets for s in end.all("Service")]
    ports = {port for service in services if (port := _port(service, place)) is not None}
    numbers = {n for end in (*services, *_services(sources)) if (n := _protocol(end, place))}
    confidence, severity, impact = _assessed(alert, place)
    references = classification.all("Reference")
    return Report(
        place=place,
        id=alert.attributes.get("messageid") or f"{at_us}/{_seed(alert)}",
        begin_us=at_us,
        end_us=at_us,
        sources=_addresses(sources, place),
        targets=_addresses(targets, place),
        target_port=ports.pop() if len(ports) == 1 else None,
        protocol=min(numbers) if numbers else None,
        analyzer=_analyzer(alert),
        text=classification.attributes["text"],
        more="; ".join(filter(None, (_text(alert, "Assessment", "Impact"), *_more(alert)))),
        categories=(_TYPES[impact],) if impact in _TYPES else (),
        confidence=confidence,
        severity=severity,
        users=tuple(_users(targets)),
        references=tuple(
            text
            for reference in references[:16]
            for text in (_text(reference, "name"), _text(reference, "url"))
            if text
        ),
        forged=any(end.attributes.get("spoofed") == "yes" for end in sources),
    )


def _seed(alert: Element) -> str:
    """What an alert without a messageid is known by."""
    parts = [alert.first("Classification"), *alert.all("Source"), *alert.all("Target")]
    return "/".join(_flat(part) for part in parts if part is not None)[:2000]


def _flat(element: Element) -> str:
    values = [element.text, *element.attributes.values()]
    return " ".join([*filter(None, values), *map(_flat, element.children)])


def _text(element: Element, *path: str) -> str:
    found = element.first(*path)
    return "" if found is None else found.text


def _time(element: Element, place: str) -> int:
    """The NTP stamp, which counts where the two differ (it is finer); else the text."""
    stamp = element.attributes.get("ntpstamp")
    if stamp is not None and not stamp.strip("0x."):
        stamp = None  # zero: written by what does not know it
    try:
        return iso_us(element.text) if stamp is None else ntp_us(stamp)
    except ValueError as e:
        name = element.name if stamp is None else f"{element.name} ntpstamp"
        raise IdmefError(place, name, element.text if stamp is None else stamp, str(e)) from e


def _addresses(ends: list[Element], place: str) -> tuple[Address, ...]:
    found: list[Address] = []
    for end in ends:
        for node in end.all("Node"):
            for entry in node.all("Address"):
                category = entry.attributes.get("category", "unknown")
                text = _text(entry, "address")
                where = f"{end.name}.Node.Address"
                if category in _OTHER_ADDRESSES:
                    continue
                if category not in _CATEGORIES:
                    raise IdmefError(place, f"{where} category", category, "not one of RFC 4765's")
                try:
                    found.append(ip_address(text.partition("%")[0]))
                except ValueError as e:
                    if category == "unknown":
                        continue  # a name, as it may be
                    raise IdmefError(place, f"{where}.address", text, "not an IP address") from e
    return tuple(found)


def _services(ends: list[Element]) -> list[Element]:
    return [service for end in ends for service in end.all("Service")]


def _port(service: Element, place: str) -> int | None:
    text = _text(service, "port")
    return None if not text else _whole(text, 65535, place, "Target.Service.port")


def _protocol(service: Element, place: str) -> int | None:
    number = service.attributes.get("iana_protocol_number")
    if number is not None:
        return _whole(number, 255, place, "Service iana_protocol_number")
    names = (service.attributes.get("iana_protocol_name", ""), _text(service, "protocol"))
    return next((_PROTOCOLS[n.lower()] for n in names if n.lower() in _PROTOCOLS), None)


def _whole(text: str, most: int, place: str, element: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) > most:
        raise IdmefError(place, element, text, f"not a number in [0, {most}]")
    return int(text)


def _users(ends: list[Element]) -> Iterator[str]:
    for end in ends:
        for user in end.all("User"):
            yield from (name for one in user.all("UserId") if (name := _text(one, "name")))


def _analyzer(alert: Element) -> str:
    """Who saw it first: an analyzer in an analyzer passed on what the inner one said."""
    names, here = [], alert.first("Analyzer")
    while here is not None:
        given = here.attributes
        names.append(given.get("name") or given.get("model") or given.get("analyzerid", ""))
        here = here.first("Analyzer")
    return next((name for name in reversed(names) if name), "")


def _assessed(alert: Element, place: str) -> tuple[float | None, float | None, str]:
    """(confidence, severity, type of the impact)"""
    severity, kind = None, ""
    impact = alert.first("Assessment", "Impact")
    if impact is not None:
        word = impact.attributes.get("severity")
        if word is not None and word not in _SEVERITIES:
            wanted = ", ".join(_SEVERITIES)
            raise IdmefError(place, "Impact severity", word, f"not one of {wanted}")
        severity = None if word is None else _SEVERITIES[word]
        kind = impact.attributes.get("type", "other")
    given = alert.first("Assessment", "Confidence")
    if given is None:
        return None, severity, kind
    rating = given.attributes.get("rating", "numeric")
    if rating != "numeric":
        if rating not in _RATINGS:
            raise IdmefError(place, "Confidence rating", rating, "not low, medium, high or numeric")
        return _RATINGS[rating], severity, kind
    try:
        value = float(given.text) if len(given.text) <= 40 else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise IdmefError(place, "Confidence", given.text, "not a number in [0, 1]")
    return value, severity, kind


def _more(alert: Element) -> Iterator[str]:
    """What it says besides, the first few: ``meaning: value``."""
    for data in alert.all("AdditionalData")[:8]:
        # In RFC 4765 the value is an element of its type, in older drafts the text itself.
        value = data.text or next((c.text for c in data.children if c.text), "")
        meaning = data.attributes.get("meaning", "")
        if value:
            yield f"{meaning}: {value}"[:160] if meaning else value[:160]
