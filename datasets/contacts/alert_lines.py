"""Contacts from our own alerts: JSON lines of ``ontoidps replay`` and ``ontoidps alerts list``.

A contact is one alert: its first packet, its source, the sensor that saw it. An alert whose source
can't be named (forged, or many) is left out. Where a file has original alerts and the senior ones
they were fused to, the originals count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from datasets.contacts.contact_log import MAX_TIME_S, ContactReader, within

_LONGEST = 1 << 20


def read_alerts(blocks: Iterable[list[bytes]], reader: ContactReader, *, name: str) -> None:
    """Add the contacts of one file; bad lines are counted: json, time, source, sensor, port.

    Args:
        blocks: as in `datasets.contacts.contact_csv.read_csv`.
        name: of the file, for errors.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for number, line in within(blocks):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            value = json.loads(line) if len(line) <= _LONGEST else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            reader.refuse("json", place)
            continue
        alert = value.get("alert", value)
        if not isinstance(alert, dict) or alert.get("type", "alert") != "alert":
            reader.left_out["no alert"] += 1
        elif alert.get("source") is None:
            reader.left_out["no single source"] += 1
        else:
            found.append((place, alert))
    originals = any(alert.get("stage") == "original" for _, alert in found)
    for place, alert in found:
        if originals and alert.get("stage", "original") != "original":
            reader.left_out["senior, beside its originals"] += 1
            continue
        try:
            reader.add(
                _number(alert.get("begin_us"), MAX_TIME_S * 1_000_000, "time"),
                _text(alert.get("source"), "source"),
                _text(alert.get("sensor"), "sensor"),
                _number(alert.get("target_port"), 65_535, "port", absent=-1),
                _number(alert.get("protocol"), 255, "protocol", absent=-1),
            )
        except ValueError as e:
            reader.refuse(str(e), place)


def _number(value: object, most: int, what: str, absent: int | None = None) -> int:
    if value is None and absent is not None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(what)
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(what)
    return value
