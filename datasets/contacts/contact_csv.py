"""Contacts from a CSV file with a header: which column is what can be said, or is known by name.

The honeypot set "marx" (Jay Jacobs and Bob Rudis, Data Driven Security, ``marx.csv``: ``datetime,
host,src,proto,type,spt,dpt``, addresses as numbers, in the wider file with the place of each
address behind) is such a file: its columns are known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo

from datasets.contacts.contact_log import ContactReader, port_of, protocol_of, time_of, within

COLUMNS: dict[str, tuple[str, ...]] = {
    "time": ("datetime", "timestamp", "time", "date_time", "ts", "@timestamp"),
    "source": ("src", "source", "src_ip", "source_ip", "srcip", "saddr", "srcstr"),
    "sensor": ("host", "sensor", "gateway", "dst", "dst_ip", "dest_ip", "target", "honeypot"),
    "port": ("dpt", "dst_port", "dest_port", "dport", "port", "target_port"),
    "protocol": ("proto", "protocol"),
}
"""What is looked for, and under which names, in this order."""
NEEDED = ("time", "source", "sensor")
_LONGEST = 65_536


def find_columns(header: Sequence[str], named: Mapping[str, str], place: str) -> dict[str, int]:
    """Index of each column that is there.

    Args:
        named: names of columns as somebody said them; keys of `COLUMNS`.
        place: file and line, for errors.

    Raises:
        ValueError: one that was named or is needed is not there.
    """
    spelt = [name.strip().strip("\ufeff") for name in header]
    lower = [name.lower() for name in spelt]
    found: dict[str, int] = {}
    for what, usual in COLUMNS.items():
        if what in named:
            if named[what] not in spelt:
                raise ValueError(f"{place}: no column {named[what]!r} for {what}")
            found[what] = spelt.index(named[what])
            continue
        index = next((lower.index(name) for name in usual if name in lower), None)
        if index is not None:
            found[what] = index
        elif what in NEEDED:
            raise ValueError(
                f"{place}: no column for {what} among {', '.join(spelt)[:200]!r}; "
                f"name it with --{what}"
            )
    return found


def read_csv(
    blocks: Iterable[list[bytes]],
    reader: ContactReader,
    *,
    name: str,
    named: Mapping[str, str],
    zone: tzinfo = UTC,
) -> None:
    """Add the contacts of one file; a bad line is counted by its first fault, and passed over.

    Reasons: columns (too few), time, source, sensor, port, protocol, shape (no CSV).

    Args:
        blocks: lines, as `agents.sensor.inputs.log_files.read_lines` gives them.
        name: of the file, for errors.
        named: as in `find_columns`.
        zone: of times that name none.

    Raises:
        ValueError: no header, or not the columns that are needed; one line.
    """
    lines = iter(within(blocks))
    number, header = next(lines, (1, ""))
    if not header.strip():
        raise ValueError(f"{name}:{number}: no header that names the columns")
    delimiter = max(",;\t", key=header.count)
    where = find_columns(_split(header, delimiter) or [], named, f"{name}:{number}")
    time, source, sensor = (where[what] for what in NEEDED)
    port, protocol = where.get("port", -1), where.get("protocol", -1)
    least = max(where.values())
    for number, line in lines:
        if not line.strip():
            continue
        row = _split(line, delimiter)
        try:
            if row is None:
                raise ValueError("shape")
            if len(row) <= least:
                raise ValueError("columns")
            reader.add(
                time_of(row[time], zone),
                row[source],
                row[sensor].strip(),
                port_of(row[port]) if port >= 0 else -1,
                protocol_of(row[protocol]) if protocol >= 0 else -1,
            )
        except ValueError as e:
            reader.refuse(str(e), f"{name}:{number}")


def _split(line: str, delimiter: str) -> list[str] | None:
    """Fields of one line; None: it is none."""
    if len(line) > _LONGEST or "\0" in line:
        return None
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        return None
