"""Log lines in bounds: of each kind so many in a while, then the count of what was left out.

Strangers decide how many packets there are, and so how many lines about them. A kind is what the
program says (logger, level, text before its values are filled in), so that a flood of one leaves
the others alone. Debug lines are not limited: who asks for them wants them all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO

INTERVAL_S = 10.0
LINES = 50
"""Of one kind in an interval."""
ORDER: Final = {"line_limit": 1000}
"""``extra`` of the one line about a block or another order: why an address was blocked stands there
even if a thousand were."""
MAX_KINDS = 512
"""Kinds told apart in an interval: a library may fill in values itself."""
_SHOWN = 100
"""Characters of a kind's text where what was left out is told."""

Kind = tuple[str, int, str]
"""(logger, level, text)."""
_OTHER = "any other"


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines, and at the end of an interval how many it did not.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._end_s = clock() + INTERVAL_S
        self._kinds: dict[Kind, int] = {}
        """Lines of each in this interval."""
        self._left_out: dict[Kind, int] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or count it. Called with the handler's lock held."""
        if self._clock() >= self._end_s:
            self._tell()
        if record.levelno > logging.DEBUG and not self._room(record):
            return
        super().emit(record)

    def close(self) -> None:
        """Tell what was left out so far, and end."""
        self._on_end()
        super().close()

    def _room(self, record: logging.LogRecord) -> bool:
        kind = (record.name, record.levelno, str(record.msg))
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = ("", record.levelno, _OTHER)
        lines = self._kinds[kind] = self._kinds.get(kind, 0) + 1
        limit: int = getattr(record, "line_limit", LINES)
        if lines <= limit:
            return True
        self._left_out[kind] = self._left_out.get(kind, 0) + 1
        if self._timer is None:
            # Nothing more may come that would end the interval.
            self._timer = threading.Timer(max(self._end_s - self._clock(), 0.0), self._on_end)
            self._timer.daemon = True
            self._timer.start()
        return False

    def _on_end(self) -> None:
        self.acquire()
        try:
            self._tell()
        finally:
            self.release()

    def _tell(self) -> None:
        """End the interval."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left_out, self._left_out = self._left_out, {}
        self._kinds.clear()
        self._end_s = self._clock() + INTERVAL_S
        for (name, level, text), count in left_out.items():
            values = (count, text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
            record = logging.LogRecord(
                name or "root", level, "", 0, "left out: %d more lines like %r", values, None
            )
            super().emit(record)
