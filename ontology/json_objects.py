"""Records as JSON objects, for ``--json`` (docs/json.md)."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ontology.records import Alert, Decision, Incident

JsonObject = dict[str, Any]


def iso_time(time_us: int) -> str:
    """RFC 3339, UTC, microseconds: ``2026-11-21T20:13:00.000000Z``."""
    seconds, microseconds = divmod(time_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _value(value: object) -> object:
    if isinstance(value, IPv4Address | IPv6Address):
        return str(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return value


def json_object(record: Alert | Incident | Decision) -> JsonObject:
    """One object: ``type, source, target, class, time, explanation`` first, then every field.

    ``time`` is when it was complete: an alert's or incident's last packet, a decision's making.
    """
    kind = type(record).__name__.lower()
    if isinstance(record, Alert):
        head = {
            "source": record.source,
            "target": record.target,
            "class": record.classification,
            "time": iso_time(record.end_us),
            "explanation": record.explanation,
        }
    elif isinstance(record, Incident):
        head = {
            "source": record.source,
            "target": record.targets[0] if record.targets else None,
            "class": record.classification,
            "time": iso_time(record.end_us),
            "explanation": record.explanation,
        }
    else:
        head = {
            "source": record.source,
            "target": record.target,
            "class": record.classification,
            "time": iso_time(record.decided_us),
            "explanation": record.reason,
        }
    out: JsonObject = {"type": kind} | {key: _value(value) for key, value in head.items()}
    for f in fields(record):
        if f.name not in ("classification", "explanation"):
            out.setdefault(f.name, _value(getattr(record, f.name)))
    return out
