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
        visit.begin_us = min(visit.begin_us, one.at_us)
        visit.end_us = max(visit.end_us, one.at_us)
        for kind, value in one.left:
            for text in _texts(value):
                if (kind, text) in visit.values or len(visit.values) < MAX_LEFT:
                    visit.values[kind, text] = None
                else:
                    counters["traces_left_out"] += 1
    for visit in visits.values():
        source, whom, port, _, verified, _ = visit.first
        values = list(visit.values)
        counters["traces"] += len(values)
        for begin in range(0, len(values), MAX_VALUES):
            part = values[begin : begin + MAX_VALUES]
            name = f"{sensor}/{mark}/{source.value}/{whom and whom.value}/{port}/{verified}"
            yield ObservedData(
                id=uuid.uuid5(_NAMESPACE, f"{name}/{begin}").urn,
                source=source.value,
                target=whom.value if whom else None,
                observed_port=port or None,
                begin_us=visit.begin_us,
                end_us=visit.end_us,
                verified_source=verified,
                sensor=sensor,
                input_kind=input_kind,
                **{name: tuple(sorted(t for k, t in part if k == name)) for name in KINDS},
            )


_NAMESPACE = uuid.UUID("0d1ef9c6-6f0a-5a3e-9f43-3ad0a3d5c1b8")


def credential(user: object, password: object) -> str:
    """``user:password``, as far as they are texts."""
    words = (value if isinstance(value, str) else "" for value in (user, password))
    return ":".join(word[:MAX_TEXT] for word in words)


def _texts(value: object) -> Iterator[str]:
    """The texts of a field, printable and short."""
    for one in value[:_LISTED] if isinstance(value, list) else (value,):
        if isinstance(one, str) and one:
            # Control characters take several when they are shown.
            yield clean(one, MAX_TEXT)[:MAX_TEXT]
