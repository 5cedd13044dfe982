"""Alerts of other managers in a file: IDMEFv2, a document a line, or RFC 4765's XML messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from agents.idmef.foreign_reports import Origin
from agents.idmef.taking import take
from agents.sensor.inputs.events import UNRELATED, LineRefused, Options, Sighting
from agents.sensor.inputs.sightings import Refused

UNNAMED: Final = Origin(name="unnamed", trust=0.5)
"""Whose file it is where nobody says."""
MAX_MESSAGE: Final = 1 << 20
"""Bytes of one XML message."""
MAX_MEMORY: Final = 60_000
_END: Final = b"IDMEF-Message>"


class IdmefParser:
    """An XML message may be of many lines; what came of one that is not over is kept."""

    kind: ClassVar[str] = "idmef"
    now_us = 0

    def __init__(self, options: Options) -> None:
        self._origin = options.manager or UNNAMED
        self._open: list[bytes] = []
        self._size = 0

    def memory(self) -> str:
        whole = b"\n".join(self._open).decode("utf-8", "replace")
        return whole if len(whole.encode()) <= MAX_MEMORY else ""

    def remember(self, memory: str) -> None:
        """The lines of a message that is not over."""
        self._open = memory.encode().split(b"\n") if memory else []
        self._size = len(memory)

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if not self._open and line.lstrip(b"\xef\xbb\xbf \t")[:1] == b"{":
            return tuple(self._taken(line))
        return self._of_xml(line)

    def _of_xml(self, line: bytes) -> Iterable[Sighting]:
        """Raises: LineRefused."""
        seen: list[Sighting] = []
        if self._open and line.lstrip().startswith(b"<?xml"):
            self._forget()
            seen.append(Refused("report", "an XML message without an end, before another one"))
        while line:
            if not self._open and not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"<"):
                return seen or (() if line.isspace() else UNRELATED)
            end = _message_end(line)
            self._open.append(line[:end])
            self._size += len(line)
            if self._size > MAX_MESSAGE:
                self._forget()
                raise LineRefused("overlong")
            if end is None:
                break
            whole = b"\n".join(self._open).strip()
            self._forget()
            seen += self._taken(whole)
            line = line[end:]
        # What can be used comes first (`sightings.Sighting`).
        return sorted(seen, key=lambda one: isinstance(one, Refused))

    def _forget(self) -> None:
        self._open, self._size = [], 0

    def _taken(self, data: bytes) -> Iterator[Sighting]:
        taken = take(data, self._origin, sensor="", now_us=self.now_us)
        yield from taken.alerts
        for line in taken.refused:
            yield Refused("report", line)


def _message_end(line: bytes) -> int | None:
    """Behind ``</IDMEF-Message>``, with a prefix or without; None if it is not there."""
    at = line.find(_END)
    while at >= 0:
        begin = line.rfind(b"<", 0, at)
        prefix = line[begin:at]
        if prefix == b"</" or (prefix.startswith(b"</") and prefix.endswith(b":")):
            return at + len(_END)
        at = line.find(_END, at + 1)
    return None
