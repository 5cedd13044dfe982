"""The AIT Alert Data Set (Landauer et al. 2024): one comma-separated file a scenario.

Columns, with a header: ``time`` (seconds since the epoch), ``name``, ``ip`` and ``host`` (of the
host that was looked at), ``short``, ``time_label`` (phase of the attack by the clock, or
``false_positive``), ``event_label`` (what the event was part of, where that is known, else ``-``).
"""

from __future__ import annotations

import csv
import gzip
from ipaddress import ip_address
from pathlib import Path

from datasets.alert_sets.labelled import LabelledAlert, SetError, alert_id, shipped_names
from ontology.records import Alert

NAMES = "ait.tsv"
_HEADER = ("time", "name", "ip", "host", "short", "time_label", "event_label")
_QUIET, _UNKNOWN = "false_positive", "-"


def read_ait(path: Path) -> list[LabelledAlert]:
    """All alerts of a scenario, in order of time; plain or gzip.

    An alert belongs to the attack if its event is known to. One outside of all phases does not;
    of one that only came at the time of a phase nobody knows.

    Raises:
        SetError: a line is no alert of the set.
        OSError: the file can't be read.
    """
    names = shipped_names(NAMES)
    opened = gzip.open if path.suffix == ".gz" else open
    found: list[LabelledAlert] = []
    with opened(path, "rt", encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            missing = set(_HEADER) - set(reader.fieldnames or ())
            if missing:
                raise SetError(f"{path}:1: no column {sorted(missing)[0]!r}")
            for row in reader:
                place = f"{path.name}:{reader.line_num}"
                if None in row.values():
                    raise SetError(f"{place}: too few columns")
                meaning = names.of(row["name"])
                try:
                    begin_us = int(float(row["time"]) * 1_000_000)
                    target = ip_address(row["ip"])
                    alert = Alert(
                        id=alert_id("ait", place),
                        classification=meaning.classification,
                        source=None,
                        target=target,
                        protocol=6,
                        begin_us=begin_us,
                        end_us=begin_us,
                        confidence=meaning.confidence,
                        verified_source=meaning.verified,
                        sensor=row["host"][:60],
                        analyzer=row["name"].partition(":")[0][:20],
                        explanation=row["name"][:200],
                    )
                except (ValueError, OverflowError) as e:
                    raise SetError(f"{place}: {e}") from e
                event, phase = row["event_label"], row["time_label"]
                related = None if event == _UNKNOWN and phase != _QUIET else event != _UNKNOWN
                if not related:
                    phase = ""
                elif phase == _QUIET:
                    phase = event
                found.append(LabelledAlert(alert, place, related, phase))
        except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as e:
            raise SetError(f"{path}: not a table: {e}") from e
    if not found:
        raise SetError(f"{path}: holds no alert")
    return sorted(found, key=lambda one: one.alert.begin_us)
