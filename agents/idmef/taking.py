"""Bytes of a manager of others, in either form of IDMEF, to alerts that we can correlate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from agents.idmef import reading, xml_reading
from agents.idmef.complaints import IdmefError
from agents.idmef.foreign_reports import Origin, Report, alert_of
from ontology.records import Alert


@dataclass(slots=True)
class Taken:
    """What became of what was sent."""

    alerts: list[Alert] = field(default_factory=list)
    ignored: int = 0
    """Heartbeats, and reports that tell of no attack."""
    refused: list[str] = field(default_factory=list)
    """A line for each report that can't be used: place, element, value, why."""
    reports: int = 0
    """How many were read, in all."""


def take(data: bytes, origin: Origin, *, sensor: str, now_us: int) -> Taken:
    """Alerts of IDMEFv2 JSON (a document, or an array of them) or of RFC 4765 XML.

    A report that can't be used leaves out itself alone, data that can't be read all of it.
    """
    taken = Taken()
    readers: list[Callable[[], Report | None]]
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    try:
        if start in (b"{", b"["):
            readers = [
                partial(reading.report_of, one, f"document {n}")
                for n, one in enumerate(reading.documents(data), 1)
            ]
        else:
            message = xml_reading.message_of(data)
            taken.ignored += len(message.all("Heartbeat"))
            readers = [
                partial(xml_reading.report_of, one, place)
                for place, one in xml_reading.alerts_in(message)
            ]
    except IdmefError as e:
        taken.refused.append(str(e))
        return taken
    taken.reports = len(readers) + taken.ignored
    found: dict[str, Alert] = {}
    for read in readers:
        try:
            report = read()
            alert = (
                None if report is None else alert_of(report, origin, sensor=sensor, now_us=now_us)
            )
        except IdmefError as e:
            taken.refused.append(str(e))
            continue
        if alert is None:
            taken.ignored += 1
        else:
            found[alert.id] = alert
    # Said twice under one id: the later one, as no message can hold both.
    taken.alerts = list(found.values())
    return taken
