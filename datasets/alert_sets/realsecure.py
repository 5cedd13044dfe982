"""RealSecure's alerts of DARPA 2000 (LLDOS) as comma-separated files.

Columns, without a header: id, seconds since the epoch (of the replay, not of the capture), origin,
service, source, destination (octets may be padded with zeros), name, action, process id, source
port, destination port, RealSecure's own record (may be empty), and in some files a tag: 1 belongs
to the attack.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from datasets.alert_sets.labelled import LabelledAlert, SetError, alert_id, shipped_names
from ontology.records import Address, Alert

NAMES = "realsecure.tsv"
_LEAST, _TAG, _RECORD = 11, 12, 11
_HARDWARE = 14
"""Of RealSecure's own record: the hardware address that sent the frame."""
_SETTLED = 8
"""Frames of one source after which a hardware address is its host's."""
Truth = Mapping[str, str]
"""Id → phase ("" if it has no name) of the alerts of the attack; all others are not of it."""


def address(text: str) -> Address | None:
    """``172.016.112.050``; None if it is empty.

    Raises: ValueError.
    """
    if not text:
        return None
    return IPv4Address(".".join(str(int(octet)) for octet in text.split(".")))


def read_realsecure(path: Path, truth: Truth | None = None) -> list[LabelledAlert]:
    """All alerts of a file, in order of time.

    Where the sensor wrote the hardware address of a frame down and it is the one of a host that it
    knows by now, but the frame names another source, that source is forged: the host sent it.

    Args:
        truth: by ids; None: the tag, where the file has one.

    Raises:
        SetError: a line is no alert of RealSecure.
        OSError: the file can't be read.
    """
    names = shipped_names(NAMES)
    rows: list[tuple[int, str, list[str]]] = []
    with path.open(newline="", encoding="latin-1") as stream:
        reader = csv.reader(stream)
        try:
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if len(row) < _LEAST:
                    raise SetError(f"{place}: {len(row)} columns, at least {_LEAST} are needed")
                try:
                    begin_us = round(float(row[1]) * 1_000_000)
                except (ValueError, OverflowError):
                    raise SetError(f"{place}: {row[1]!r} is no time in seconds") from None
                rows.append((begin_us, place, row))
        except csv.Error as e:
            raise SetError(f"{path}:{reader.line_num}: not a table: {e}") from e
    if not rows:
        raise SetError(f"{path}: holds no alert")
    rows.sort(key=lambda row: (row[0], row[2][0]))
    senders = _Senders()
    found = []
    for begin_us, place, row in rows:
        try:
            source, target = address(row[4]), address(row[5])
            port = int(row[10]) if row[10] else None
            said = row[6]
            sender = senders.of(_hardware(row), source)
            meaning = names.of(said)
            explanation = said
            if sender is not None and sender != source:
                explanation = f"{said}, sent by {sender} in the name of {source}"
            alert = Alert(
                id=alert_id("realsecure", row[0]),
                classification=meaning.classification,
                source=source if sender is None else sender,
                target=target,
                target_port=port,
                protocol=6 if meaning.verified else 17,
                begin_us=begin_us,
                end_us=begin_us,
                confidence=meaning.confidence,
                verified_source=meaning.verified,
                sensor="RealSecure",
                analyzer="RealSecure",
                explanation=explanation,
            )
        except ValueError as e:
            raise SetError(f"{place}: {e}") from e
        if truth is not None:
            found.append(LabelledAlert(alert, row[0], row[0] in truth, truth.get(row[0], "")))
        elif len(row) > _TAG and row[_TAG].strip() in ("0", "1"):
            related = row[_TAG].strip() == "1"
            found.append(LabelledAlert(alert, row[0], related, said if related else ""))
        else:
            found.append(LabelledAlert(alert, row[0]))
    return found


def read_truth(path: Path, alerts: Path) -> dict[str, str]:
    """Which alerts are of the attack: from a list of ids, or of names.

    A list of ids is comma-separated, the id first; a line that says ``NOTHING TO DO`` is left out.
    A list of names is separated by tabs and begins with ``name source phase``; an alert of
    ``alerts`` belongs to the attack if its name begins so and its source is that address (``*``:
    any).

    Raises: SetError, OSError.
    """
    lines = path.read_text(encoding="latin-1").splitlines()
    if lines and lines[0].split("\t") == ["name", "source", "phase"]:
        wanted = [line.split("\t") for line in lines[1:] if line and not line.startswith("#")]
        short = next((line for line in wanted if len(line) != 3), None)
        if short is not None:
            raise SetError(f"{path}: {short!r} is not name, source and phase")
        with alerts.open(newline="", encoding="latin-1") as stream:
            rows = [row for row in csv.reader(stream) if len(row) >= _LEAST]
        return {
            row[0]: phase
            for row in rows
            for name, source, phase in wanted
            if row[6].startswith(name) and source in ("*", str(address(row[4])))
        }
    found = {}
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split(",")]
        if not any(cells):
            continue
        if not cells[0].isdigit():
            raise SetError(f"{path}:{number}: {cells[0]!r} is no id of an alert")
        if "NOTHING TO DO" not in line:
            found[cells[0]] = cells[4] if len(cells) > 4 else ""
    return found


class _Senders:
    """Which hardware address is whose, as frames tell it in the order of time.

    A router's carries many sources, a host's nearly always its own.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Counter[Address]] = {}

    def of(self, hardware: str, source: Address | None) -> Address | None:
        """Who sent a frame; None if that is not known."""
        if not hardware or source is None:
            return None
        seen = self._seen.setdefault(hardware, Counter())
        if source not in seen and len(seen) == 1 and seen.total() >= _SETTLED:
            return next(iter(seen))
        seen[source] += 1
        return None


def _hardware(row: list[str]) -> str:
    if len(row) <= _RECORD or not row[_RECORD]:
        return ""
    record = next(csv.reader([row[_RECORD]]), [])
    return record[_HARDWARE] if len(record) > _HARDWARE else ""
