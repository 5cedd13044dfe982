"""Lines of text that a table's pattern takes apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.sensor.inputs.events import UNRELATED, LineRefused
from agents.sensor.inputs.wrappers import plain_line


class TextLines:
    """Groups of the pattern by their names."""

    def __init__(
        self, pattern: Any, quick: Callable[[bytes], dict[str, Any] | None] | None = None
    ) -> None:
        """``pattern``: RE2, for bytes; None for a format that has none. ``quick``: gives what the
        pattern would, or None where it isn't sure."""
        self._pattern = pattern
        self._quick = quick
        names = pattern.groupindex.items() if pattern else ()
        self._groups = tuple((name.decode(), index - 1) for name, index in names)

    def read(self, line: bytes) -> Any:
        """A dictionary, or that the line is unrelated."""
        if self._quick is not None:
            event = self._quick(line)
            if event is not None:
                return event
        match = self._pattern.match
        found = match(line)
        if found is None and line.startswith(b"{"):
            try:
                found = match(plain_line(line)[0].encode("utf-8", "replace"))
            except LineRefused:
                return UNRELATED
        if found is None:
            return UNRELATED
        groups = found.groups()
        return {
            name: None if groups[index] is None else groups[index].decode("utf-8", "replace")
            for name, index in self._groups
        }
