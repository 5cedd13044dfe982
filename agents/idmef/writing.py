"""Alerts and incidents as IDMEFv2 documents, and such documents of ours back.

What has no place in IDMEFv2 travels in the attachment ``ontoidps``; only we look at it, and only in
documents of our own: `agents.idmef.foreign_reports` reads what others say.
"""

from __future__ import annotations

import dataclasses
import uuid
from ipaddress import ip_address
from typing import Any, Final

from agents.idmef.class_words import category_of
from agents.idmef.complaints import IdmefError, clean
from agents.idmef.schema import VERSION, check_document
from agents.idmef.times import iso_us
from ontology._values import date_time
from ontology.records import Address, Alert, Incident

MAX_TEXT: Final = 2_000
"""Characters of a description; attackers may have written parts of it."""
MAX_NAME: Final = 200
ATTACHMENT: Final = "ontoidps"
PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "IPv6-ICMP", 132: "SCTP"}
"""IANA's names, as far as the schema has letters for them; others are written as numbers."""
PRIORITIES: Final = (("Low", 0.0), ("Medium", 0.4), ("High", 0.7))
"""Priority, and from which severity on."""
_NAMESPACE = uuid.UUID("5a1c1f9a-7f3e-5a6b-9a55-6b1f1d8f3a10")
_CVE: Final = "https://www.cve.org/CVERecord?id="
_ALERT = frozenset(field.name for field in dataclasses.fields(Alert))
_INCIDENT = frozenset(field.name for field in dataclasses.fields(Incident))


def document_of(record: Alert | Incident) -> dict[str, Any]:
    """The document of a record; times, ids and texts are the record's own, so that one record is
    one document."""
    return _of_alert(record) if isinstance(record, Alert) else _of_incident(record)


def _of_alert(alert: Alert) -> dict[str, Any]:
    sources = _named(alert.source, alert.sources)
    targets = _named(alert.target, alert.targets)
    protocol = PROTOCOLS.get(alert.protocol, str(alert.protocol))
    port = {} if alert.target_port is None else {"Port": [alert.target_port]}
    user = {"User": alert.users[0]} if len(alert.users) == 1 else {}
    category = category_of(alert.classification)
    if category == "Availability.DoS" and alert.source is None and alert.source_count > 1:
        category = "Availability.DDoS"
    document: dict[str, Any] = _head(alert, category)
    document |= {
        "Status": ["Event"],
        "Confidence": float(alert.confidence),
        "Priority": _priority(alert.severity),
        "Analyzer": {
            "Name": clean(alert.analyzer, MAX_NAME),
            "Category": ["NET.NIDS"],
            "Method": _method(alert),
        },
        "Sensor": [{"Name": clean(alert.sensor, MAX_NAME)}],
    }
    if sources:
        document["Source"] = [
            {"ID": _part(alert.id, "source", one), "IP": _text(one), "Protocol": [protocol]}
            for one in sources
        ]
    if targets:
        document["Target"] = [
            {"ID": _part(alert.id, "target", one), "IP": _text(one), **port, **user}
            for one in targets
        ]
    if alert.cves:
        document["Ref"] = [_CVE + clean(name, MAX_NAME) for name in alert.cves]
    kept = {
        "id": alert.id,
        "source": None if alert.source is None else str(alert.source),
        "sources": [str(one) for one in alert.sources],
        "target": None if alert.target is None else str(alert.target),
        "targets": [str(one) for one in alert.targets],
        **{
            name: getattr(alert, name)
            for name in (
                *("source_count", "target_count", "target_port", "protocol", "count", "cves"),
                *("verified_source", "signatures", "affected_services", "affected_systems"),
                *("stage", "host_events", "severity", "users"),
                *("cluster_number", "cluster_name", "cluster_distance"),
            )
        },
    }
    return _attached(document, kept)


def _of_incident(incident: Incident) -> dict[str, Any]:
    document = _head(incident, category_of(incident.classification, root="Incident"))
    document |= {
        "Status": ["Incident"],
        "Priority": _priority(incident.severity),
        "Analyzer": {
            "Name": "correlation",
            "Category": ["SIEM.SIEM"],
            "Method": ["Correlation", "Rule-based"],
        },
        "AggrCondition": [clean(incident.rule, MAX_NAME)],
        "CorrelID": [_uuid(one) for one in incident.alerts],
    }
    if incident.source is not None:
        one = incident.source
        document["Source"] = [{"ID": _part(incident.id, "source", one), "IP": _text(one)}]
    if incident.targets:
        document["Target"] = [
            {"ID": _part(incident.id, "target", one), "IP": _text(one)} for one in incident.targets
        ]
    kept = {
        "id": incident.id,
        "source": None if incident.source is None else str(incident.source),
        "targets": [str(one) for one in incident.targets],
        "alerts": incident.alerts,
        "rule": incident.rule,
        "severity": incident.severity,
        "verified_source": incident.verified_source,
    }
    return _attached(document, kept)


def _head(record: Alert | Incident, category: str) -> dict[str, Any]:
    return {
        "Version": VERSION,
        "ID": _uuid(record.id),
        "CreateTime": date_time(record.end_us),
        "StartTime": date_time(record.begin_us),
        "EndTime": date_time(record.end_us),
        "Type": ["Cyber"],
        "Category": [category],
        "AltCategory": [f"ontoidps:{record.classification}"],
        "Cause": "Malicious",
        "Description": clean(record.explanation, MAX_TEXT),
    }


def _attached(document: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    content = {
        name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()
    }
    document["Attachment"] = [
        {"Name": ATTACHMENT, "ContentType": "application/json", "Content": content}
    ]
    return document


def record_of(document: dict[str, Any], place: str = "document") -> Alert | Incident:
    """What `document_of` was given, but for texts that were too long or not printable.

    For documents of our own, from a place that we trust: it takes their word for everything.

    Raises: IdmefError.
    """
    check_document(document, place)
    ours = [one for one in document.get("Attachment", ()) if one["Name"] == ATTACHMENT]
    kept = ours[0].get("Content") if ours else None
    if not isinstance(kept, dict):
        raise IdmefError(place, "Attachment", None, f"there is none called {ATTACHMENT}")
    incident = "rule" in kept
    known = _INCIDENT if incident else _ALERT
    if unknown := kept.keys() - known:
        raise IdmefError(place, "Attachment.Content", min(unknown), "no field of a record")
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()
        }
        for name in ("source", "target"):
            if fields.get(name) is not None:
                fields[name] = ip_address(fields[name])
        for name in ("sources", "targets"):
            if name in fields:
                fields[name] = tuple(ip_address(one) for one in fields[name])
        fields |= {
            "classification": document["AltCategory"][0].removeprefix("ontoidps:"),
            "begin_us": iso_us(document["StartTime"]),
            "end_us": iso_us(document["EndTime"]),
            "explanation": document["Description"],
        }
        if incident:
            return Incident(**fields)
        return Alert(
            **fields,
            confidence=float(document["Confidence"]),
            analyzer=document["Analyzer"]["Name"],
            sensor=document["Sensor"][0]["Name"],
        )
    except (KeyError, IndexError, TypeError, ValueError) as e:
        raise IdmefError(place, "Attachment.Content", None, clean(e, 160)) from e


def _named(one: Address | None, several: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys([*([] if one is None else [one]), *several]))


def _text(address: Address) -> str:
    return str(address)


def _uuid(name: str) -> str:
    """The UUID of an id, whose form IDMEFv2 demands; of other ids one that follows from it."""
    bare = name.removeprefix("urn:uuid:")
    try:
        return str(uuid.UUID(bare))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, name))


def _part(name: str, what: str, address: Address) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{name}/{what}/{address}"))


def _priority(severity: float | None) -> str:
    if severity is None:
        return "Unknown"
    return next(name for name, least in reversed(PRIORITIES) if severity >= least)


def _method(alert: Alert) -> list[str]:
    found = []
    if alert.classification == "HoneypotContact":
        found.append("Honeypot")
    if alert.signatures:
        found.append("Signature")
    if alert.cluster_number is not None:
        found.append("Statistical")
    return found or ["Threshold"]
