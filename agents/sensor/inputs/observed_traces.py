"""What visitors left behind, from many lines: bounded, cleaned, and put together as `ObservedData`.

All of it is strangers' text. One of them can't fill the archive with it: of each visitor a stretch
of lines keeps so many different values, and the rest is counted.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from agents.sensor.inputs.events import Traces, clean
from agents.sensor.inputs.record_ids import urn
from ontology.observed_data import MAX_TEXT, MAX_VALUES, ObservedData

KINDS: Final = ("credentials", "commands", "urls", "file_hashes", "clients")
"""Fields of `ObservedData`."""
MAX_VISITORS = 256
"""Of one stretch of lines."""
MAX_LEFT = 4 * MAX_VALUES
"""Different values of one visitor in one stretch."""
_LISTED = 8
"""Of one field of a line that holds several."""


class _Visit:
    """What one visitor left at one service."""

    __slots__ = ("begin_us", "end_us", "first", "values")

    def __init__(self, first: Traces) -> None:
        self.first = first
        self.begin_us = self.end_us = first.at_us
        self.values: dict[tuple[str, str], None] = {}


def observed_data(
    traces: Iterable[Traces], *, input_kind: str, sensor: str, mark: str, counters: Counter[str]
) -> Iterator[ObservedData]:
    """Records of some lines; ``mark`` names them, and ids follow from it.

    ``counters``: traces (values kept), traces_left_out.
    """
    visits: dict[tuple[bytes, bytes, int, bool], _Visit] = {}
    for one in traces:
        # Bytes are hashed in C, addresses in Python.
        target = one.target.packed if one.target else b""
        key = (one.source.packed, target, one.port, one.verified)
        visit = visits.get(key)
        if visit is None:
            if len(visits) >= MAX_VISITORS:
                counters["traces_left_out"] += len(one.left)
                continue
            visit = visits[key] = _Visit(one)
        at_us = one.at_us
        if at_us < visit.begin_us:
            visit.begin_us = at_us
        elif at_us > visit.end_us:
            visit.end_us = at_us
        values = visit.values
        for kind, value in one.left:
            for text in (_text(value),) if type(value) is str else _texts(value):
                if text and (len(values) < MAX_LEFT or (kind, text) in values):
                    values[kind, text] = None
                elif text:
                    counters["traces_left_out"] += 1
    for visit in visits.values():
        source, whom, port, _, verified, _ = visit.first
        left = list(visit.values)
        counters["traces"] += len(left)
        name = f"{sensor}/{mark}/{source.value}/{whom and whom.value}/{port}/{verified}"
        for begin in range(0, len(left), MAX_VALUES):
            by_kind: dict[str, list[str]] = {}
            for kind, text in left[begin : begin + MAX_VALUES]:
                by_kind.setdefault(kind, []).append(text)
            yield ObservedData(
                id=urn(_NAMESPACE, f"{name}/{begin}"),
                source=source.value,
                target=whom.value if whom else None,
                observed_port=port or None,
                begin_us=visit.begin_us,
                end_us=visit.end_us,
                verified_source=verified,
                sensor=sensor,
                input_kind=input_kind,
                **{kind: tuple(sorted(by_kind[kind])) for kind in KINDS if kind in by_kind},
            )


_NAMESPACE = uuid.UUID("0d1ef9c6-6f0a-5a3e-9f43-3ad0a3d5c1b8")


def credential(user: object, password: object) -> str:
    """``user:password``, as far as they are texts."""
    if type(user) is str and type(password) is str and len(user) + len(password) < MAX_TEXT:
        return f"{user}:{password}"
    before = user[:MAX_TEXT] if isinstance(user, str) else ""
    behind = password[:MAX_TEXT] if isinstance(password, str) else ""
    return f"{before}:{behind}"


def _text(value: str) -> str:
    # Control characters take several when they are shown.
    return clean(value, MAX_TEXT)[:MAX_TEXT]


def _texts(value: object) -> Iterator[str]:
    """The texts of a field, printable and short."""
    for one in value[:_LISTED] if isinstance(value, list) else (value,):
        if isinstance(one, str) and one:
            yield _text(one)
