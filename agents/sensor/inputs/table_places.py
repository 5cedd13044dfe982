"""Where in its file a table's fault is."""

from __future__ import annotations

from pathlib import Path

import re2

from agents.sensor.inputs.events import clean
from agents.sensor.inputs.format_tables import MAX_BYTES, TableError, load_table
from agents.settings.toml_lines import Place, find_lines

_EVENT = re2.compile(r"event (\d+): ?(?:shows: )?")
_LINE = re2.compile(r"\(at line (\d+), column \d+\)")
_UNKNOWN = re2.compile(r"no key is called '([^']*)'")


def table_fault(path: Path) -> str:
    """What is wrong in a table, as ``FILE:LINE: WHAT`` on one line; empty if nothing is.

    Raises: OSError, and ValueError if the file is no text.
    """
    with path.open("rb") as file:
        text = file.read(4 * MAX_BYTES + 1).decode("utf-8")
    try:
        load_table(text, "")
    except TableError as e:
        what = str(e).removeprefix(": ")
        line = _line(what, text)
        return clean(f"{path}:{line}: {what}" if line else f"{path}: {what}", 600)
    return ""


def _line(what: str, text: str) -> int:
    """0 if the fault is of the whole table."""
    parser = _LINE.search(what)
    if parser:  # it is no TOML
        return int(parser[1])
    place: Place = ()
    rest = what
    event = _EVENT.match(what)
    if event:
        place, rest = ("event", int(event[1]) - 1), what[event.end() :]
    unknown = _UNKNOWN.search(rest)
    if unknown:
        head = rest[: unknown.start()].strip(": ")
        place += (head, unknown[1]) if head else (unknown[1],)
    else:
        place += tuple(rest.partition(" ")[0].rstrip(":,").split("."))
    lines = find_lines(text)
    found = [lines[place[:end]] for end in range(1, len(place) + 1) if place[:end] in lines]
    return found[-1] if found else 0
