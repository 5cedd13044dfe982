"""One input of a node as the sensor agent uses it: the followed file, its parser, its place."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from agents.base.losses import QUIET_S
from agents.idmef.foreign_reports import Origin
from agents.sensor.evidence.citations import Citation
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import FromLog, Intake
from agents.sensor.inputs.registry import make_parser
from agents.sensor.inputs.tail import Stretch, Tail
from agents.settings.honeynet import Input
from ontology.records import Address

logger = logging.getLogger(__name__)

NOT_RELATED = 200
"""Lines since the start of which none was of this kind: another log. (Few may be, in a common
one.)"""
NOT_UNDERSTOOD = 10
"""Lines in a row that the parser refuses: it is another format, or another program's log."""
ROTATION_S = 2.0
"""How long a log that was followed may be without a file of its name."""


class Follower:
    """Give `next`'s records away, then call `done`. Blocks: call it from threads."""

    def __init__(
        self,
        settings: Input,
        *,
        sensor: str,
        state_dir: Path,
        honeypots: Iterable[Address],
        own: tuple[Address, ...] = (),
        manager: Origin | None = None,
    ) -> None:
        """``own``: the node's addresses; ``manager``: whose alerts it holds.

        Raises: InputError if the plug-in can't be loaded.
        """
        options = Options(
            address=settings.address or None,
            own=own,
            honeypots=frozenset(honeypots),
            timezone=settings.zone(),
            table=settings.table,
            manager=manager,
        )
        self._name = f"{settings.kind}:{settings.path}"
        self._parser = make_parser(settings.kind, options)
        self._intake = Intake(self._parser, sensor=sensor, relays=settings.relays)
        # One state file per input; the path is in the name only as a hash, whatever it is made of.
        state = f"input-{settings.kind}-{hashlib.sha256(self._name.encode()).hexdigest()[:16]}.json"
        self._tail = Tail(
            settings.path,
            state_dir / state,
            from_start=settings.from_start,
            record_bytes=getattr(self._parser, "record_bytes", 0),
        )
        self._lock = threading.Lock()
        self._stretch: Stretch | None = None
        self._complained = self._fault = ""
        self._closed = False
        self._refused, self._refused_s = 0, 0.0
        self._missing_s: float | None = None
        self._kind = settings.kind
        self._tail.load()
        try:
            self._parser.remember(self._tail.memory)
        except (ValueError, TypeError, AttributeError) as e:
            # Only what helps to understand the next lines is lost, not the place.
            logger.warning("%s: forgets its open sessions: %s", self._name, e)

    def next(self, now_us: int) -> list[FromLog] | None:
        """Records of the next lines (perhaps none), or None if there are no new lines."""
        with self._lock:
            if self._closed:
                return None
            try:
                stretch = self._tail.read()
                if stretch is None:
                    self._complained = self._fault = ""
                    return None
                records = self._intake.on_lines(
                    stretch.lines, f"{self._name}:{stretch.mark}", now_us
                )
                if records:
                    self._tail.promise(stretch)
            except OSError as e:
                if str(e) != self._complained:
                    self._complained = str(e)
                    logger.warning("input %s: %s; trying again", self._name, e)
                self._intake.counters["errors"] += 1
                self._fault = str(e)
                return None
            self._fault = ""
            self._stretch = stretch
            return records

    def done(self) -> None:
        """What `next` gave is on its way for good. Raises: OSError."""
        with self._lock:
            if self._stretch is not None:
                self._tail.settle(self._stretch, self._parser.memory())
                self._stretch = None

    def trouble(self) -> str:
        """Why this log brings nothing, in words; empty if it does, or may."""
        with self._lock:
            if self._fault:
                return f"log {self._kind}: {self._fault}"
            there = self._tail.is_open and self._tail.path.exists()
            if there or self._missing_s is None:
                self._missing_s = None if there else time.monotonic()
            # Between two steps of a rotation there is none for a moment.
            if not self._tail.is_open or (
                self._missing_s is not None and time.monotonic() - self._missing_s > ROTATION_S
            ):
                return f"log {self._kind}: no file {self._tail.path}"
            if self._intake.not_understood >= NOT_UNDERSTOOD:
                reason = self._intake.last_refusal
                example = self._intake.examples.get(reason, "")
                return (
                    f"log {self._kind}: no line of {self._tail.path} is understood (the last one:"
                    f" {reason}" + (f", e.g. {example!r})" if example else ")")
                )
            if self._intake.counters["unrelated"] >= NOT_RELATED and self._intake.trouble():
                return f"log {self._kind}: {self._tail.path}: {self._intake.trouble()}"
        return ""

    def refusals(self) -> str:
        """Why lines are refused, with an example of each reason; empty if none was for a while."""
        with self._lock:
            refused = self._intake.counters["refused"]
            now_s = time.monotonic()
            if refused != self._refused:
                self._refused, self._refused_s = refused, now_s
            if not refused or now_s - self._refused_s > QUIET_S:
                return ""
            return f"log {self._kind}: lines refused: {self._intake.refusals(numbers=False)}"

    def take_citations(self) -> list[Citation]:
        """Packets that the log's alerts rest on, since the last call."""
        with self._lock:
            return self._intake.packets.take()

    @property
    def name(self) -> str:
        """Kind and path."""
        return self._name

    def counters(self) -> Counter[str]:
        """Lines, rows, claims, refusals, rotations … as ``input.KIND.NAME``."""
        every = self._intake.counters + self._tail.counters
        return Counter({f"input.{self._kind}.{name}": n for name, n in every.items()})

    def close(self) -> None:
        """Safe to call twice."""
        with self._lock:
            self._closed = True
            self._tail.close()
