"""Lines of CSV whose quoted fields hold what strangers sent, line feeds included (RFC 4180)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

from agents.sensor.inputs.events import HEADING, UNRELATED, LineRefused, text_of


class QuotedCsv:
    """Cells by the names of their columns; keeps whether a quoted field goes on."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self.inside = False
        """The next line begins inside a quoted field."""

    def read(self, line: bytes) -> Any:
        """A dictionary, or why there is none: a heading, unrelated, or an empty tuple for a line
        inside a field.

        Raises: LineRefused.
        """
        text = text_of(line)
        columns = self._columns
        if self.inside or '"' in text:
            # A password may hold line feeds: what follows them is his text, not a line of the log.
            # Quotes in it are doubled, so that only the field's own end makes them odd.
            began_inside = self.inside
            self.inside ^= bool(text.count('"') & 1)
            if began_inside:
                return ()
            try:
                cells = next(iter(csv.reader([text])), [])
            except csv.Error:
                raise LineRefused("shape") from None
            if self.inside:
                cells += [""] * (len(columns) - len(cells))
        else:
            cells = text.split(",")
        if tuple(cells[:2]) == columns[:2]:
            return HEADING
        if len(cells) < 2:
            return UNRELATED
        if len(cells) < len(columns):
            raise LineRefused("shape")
        return dict(zip(columns, cells, strict=False))
