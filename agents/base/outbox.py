"""The durable half of at-least-once delivery: what isn't acknowledged yet, and what was handled.

Both tables live in one SQLite file in WAL mode. With ``synchronous=NORMAL`` a commit survives the
death of the process (not a power cut of the last milliseconds) and costs about 45 µs.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.base.storage import Database, Faults, open_store, transaction
from agents.base.store_limits import Limits, TableLimit
from agents.clock import ClockReading, passed_s
from agents.messages.acl import AclMessage, from_metadata, to_metadata
from ontology.records import Alert, Record

RETRY_FIRST_S = 2.0
RETRY_LIMIT_S = 30.0
WINDOW = 64
"""Messages to one receiver that may be unacknowledged at a time."""

_PRIORITY = {"Decision": 0, "Alert": 2, "ConnectionBatch": 3, "ObservedData": 4}
_FORGEABLE = 4
_ORDINARY = 1

_SEEN_SLACK = 1000
CAPACITY = 10_000
CAPACITY_BYTES = 96_000_000
SEEN = 100_000
LIMITS = Limits(
    size_bytes=288 << 20,
    tables=(
        TableLimit(table="outbox", rows=2 * CAPACITY, worst_first="priority DESC, id", key="id"),
        TableLimit(table="seen", rows=SEEN + _SEEN_SLACK, worst_first="id", key="id"),
    ),
    reserve_pages=256,
)
_POSTED = "posted"
"""Beside a stored message's parameters: when it was stored and for how long."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, reply_with TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL,
    priority INTEGER NOT NULL, metadata TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_importance ON outbox (priority DESC, id);
CREATE TABLE IF NOT EXISTS seen (
    id INTEGER PRIMARY KEY, sender TEXT NOT NULL, conversation TEXT NOT NULL,
    reply_with TEXT NOT NULL, UNIQUE (sender, conversation, reply_with));
"""


def priority_of(records: Iterable[Record]) -> int:
    """0 (a decision, the last to be dropped) to 4 (alerts whose sources could be forged, and what
    nobody decides by, dropped first, before connection batches and feeds)."""
    records = tuple(records)
    classes = {type(record).__name__ for record in records}
    if "FeedPart" in classes:
        # It tells of decisions and orders nothing: who misses a part is told everything anew.
        return _PRIORITY["ConnectionBatch"]
    if classes == {"Alert"} and not any(
        isinstance(record, Alert) and record.verified_source for record in records
    ):
        return _FORGEABLE
    return min((_PRIORITY.get(name, _ORDINARY) for name in classes), default=_ORDINARY)


def open_mail(path: Path, faults: Faults | None = None) -> Database:
    """Open or make the mail file. Raises: StoreError."""
    return open_store(path, schema=_SCHEMA, version=1, limits=LIMITS, faults=faults)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored message that is due."""

    message: AclMessage
    receiver: str
    posted: ClockReading
    """When it was stored."""
    within_s: float | None
    """How long after that it may still be handled; None: for ever."""

    def waited_s(self, now: ClockReading) -> float:
        """Seconds that it is known to have waited, over restarts and settings of clocks."""
        return passed_s(self.posted, now) if self.posted.boot else 0.0


class Outbox:
    """Messages until their receivers acknowledge them; time (steady seconds) is an argument.

    Per receiver at most `WINDOW` are in flight, the others wait in order of priority, then age.
    """

    def __init__(
        self,
        mail: Database,
        *,
        capacity: int = CAPACITY,
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self._mail = mail
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self.dropped: Counter[int] = Counter()
        """Messages given up for want of room, by priority."""
        self._entries: dict[str, tuple[str, int, int, int]] = {}
        # reply-with: receiver, priority, id, size
        self._waiting: dict[str, list[tuple[int, int, str]]] = {}
        self._flying: dict[str, dict[str, int]] = {}  # receiver: reply-with: attempts so far
        self._due: list[tuple[float, str, int]] = []
        rows = mail.execute(
            "SELECT reply_with, receiver, priority, id, length(content) FROM outbox ORDER BY id"
        )
        for reply_with, receiver, priority, row, size in rows:
            self._add(reply_with, receiver, priority, row, size)

    def __len__(self) -> int:
        return len(self._entries)

    def _add(self, reply_with: str, receiver: str, priority: int, row: int, size: int) -> None:
        self._entries[reply_with] = (receiver, priority, row, size)
        self._bytes += size
        self._wait(reply_with)

    def _wait(self, reply_with: str) -> None:
        receiver, priority, row, _ = self._entries[reply_with]
        heapq.heappush(self._waiting.setdefault(receiver, []), (priority, row, reply_with))

    def put(
        self,
        message: AclMessage,
        receiver: str,
        priority: int,
        posted: ClockReading,
        within_s: float | None = None,
    ) -> None:
        """Store one message; raises ValueError if it has no `reply_with` or it is taken."""
        if not message.reply_with or message.reply_with in self._entries:
            raise ValueError(f"reply-with {message.reply_with!r} is empty or already in use")
        stored: dict[str, Any] = dict(to_metadata(message))
        stored[_POSTED] = [posted.boot, posted.steady_s, posted.wall_us, within_s]
        metadata = json.dumps(stored)
        cursor = self._mail.execute(
            "INSERT INTO outbox (reply_with, receiver, priority, metadata, content)"
            " VALUES (?, ?, ?, ?, ?)",
            (message.reply_with, receiver, priority, metadata, message.content),
        )
        assert cursor.lastrowid is not None  # noqa: S101
        size = len(message.content)
        self._add(message.reply_with, receiver, priority, cursor.lastrowid, size)
        while self._is_beyond(1) and self._make_room():
            pass

    def _is_beyond(self, times: int) -> bool:
        return (
            len(self._entries) > times * self._capacity
            or self._bytes > times * self._capacity_bytes
        )

    def _make_room(self) -> bool:
        """Drop the oldest of the least important; False if only decisions are left, and they have
        not filled twice the room."""
        found = self._mail.execute(
            "SELECT reply_with, priority FROM outbox ORDER BY priority DESC, id LIMIT 1"
        ).fetchone()
        if found is None or (found[1] == 0 and not self._is_beyond(2)):
            return False
        self.dropped[found[1]] += 1
        self.done([found[0]])
        return True

    def done(self, reply_withs: Iterable[str], receiver: str | None = None) -> list[str]:
        """Forget these; with ``receiver`` only those addressed to it. Returns the ones
        forgotten."""
        gone = []
        for reply_with in reply_withs:
            entry = self._entries.get(reply_with)
            if entry is None or receiver not in (None, entry[0]):
                continue
            del self._entries[reply_with]
            self._bytes -= entry[3]
            self._flying.get(entry[0], {}).pop(reply_with, None)
            gone.append(reply_with)
        if gone:
            with transaction(self._mail):
                self._mail.executemany(
                    "DELETE FROM outbox WHERE reply_with = ?", [(key,) for key in gone]
                )
        return gone

    def restart(self, receiver: str | None = None) -> None:
        """What is in flight (to ``receiver``, or at all) is due again, with its clock at zero."""
        for name in [receiver] if receiver is not None else list(self._flying):
            for reply_with in self._flying.pop(name, {}):
                self._wait(reply_with)

    def take(
        self, now: float, limit: int, has_room: Callable[[str], bool] = lambda _receiver: True
    ) -> list[Waiting]:
        """At most ``limit`` messages that should be sent now.

        Those to a receiver that ``has_room`` is false of wait, their clocks at zero.
        """
        keys: list[str] = []
        while self._due and self._due[0][0] <= now and len(keys) < limit:
            _, reply_with, attempts = heapq.heappop(self._due)
            entry = self._entries.get(reply_with)
            # A clock of an earlier flight, or of a message acknowledged since, means nothing.
            if entry is None or self._flying.get(entry[0], {}).get(reply_with) != attempts:
                continue
            if has_room(entry[0]):
                keys.append(reply_with)
            else:
                del self._flying[entry[0]][reply_with]
                self._wait(reply_with)
        for receiver, heap in self._waiting.items():
            if not heap or not has_room(receiver):
                continue
            flying = self._flying.setdefault(receiver, {})
            while heap and len(keys) < limit and len(flying) < WINDOW:
                reply_with = heapq.heappop(heap)[2]
                if reply_with in self._entries:
                    flying[reply_with] = 0
                    keys.append(reply_with)
        sent = (self._send(reply_with, now) for reply_with in keys)
        return [one for one in sent if one is not None]

    def _send(self, reply_with: str, now: float) -> Waiting | None:
        receiver, priority, _, _ = self._entries[reply_with]
        attempts = self._flying[receiver][reply_with]
        self._flying[receiver][reply_with] = attempts + 1
        delay = min(RETRY_LIMIT_S, RETRY_FIRST_S * 2 ** min(attempts, 10))
        heapq.heappush(self._due, (now + delay, reply_with, attempts + 1))
        found = self._mail.execute(
            "SELECT metadata, content FROM outbox WHERE reply_with = ?", (reply_with,)
        ).fetchone()
        if found is None:  # the file was damaged
            self.done([reply_with])
            self.dropped[priority] += 1
            return None
        return _unpack(json.loads(found[0]), found[1], receiver)

    def waits_for(self, receiver: str) -> bool:
        """Whether there is something for this receiver."""
        return bool(self._waiting.get(receiver) or self._flying.get(receiver))

    def next_due(self) -> float | None:
        """When the earliest retry is due (steady seconds); None if nothing is in flight."""
        return self._due[0][0] if self._due else None


def _unpack(stored: dict[str, Any], content: str, receiver: str) -> Waiting:
    # What was stored before this was kept has none of it.
    boot, steady_s, wall_us, within_s = stored.pop(_POSTED, ["", 0.0, 0, None])
    # Stored messages are unsigned; `from_metadata` wants signed ones, so it gets stand-ins.
    filled = {"sent-us": "0", "session": "-", "signature": "-"} | stored
    posted = ClockReading(boot, steady_s, wall_us)
    return Waiting(from_metadata(filled, content), receiver, posted, within_s)


class Seen:
    """Keys of handled messages, so that a message sent again is acknowledged but not handled
    again."""

    def __init__(self, mail: Database, *, capacity: int = SEEN) -> None:
        self._mail = mail
        self._capacity = capacity
        self._recent: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._since_prune = 0

    def __contains__(self, key: tuple[str, str, str]) -> bool:
        if key in self._recent:
            return True
        found = self._mail.execute(
            "SELECT 1 FROM seen WHERE sender = ? AND conversation = ? AND reply_with = ?", key
        ).fetchone()
        return found is not None

    def add(self, key: Sequence[str]) -> None:
        """Stored with what the handler sent (`Delivery.commit`); its effects elsewhere, in a
        ledger, an archive or the kernel, come before and are idempotent by record id."""
        sender, conversation, reply_with = key
        self._mail.execute(
            "INSERT OR IGNORE INTO seen (sender, conversation, reply_with) VALUES (?, ?, ?)",
            (sender, conversation, reply_with),
        )
        self._recent[(sender, conversation, reply_with)] = None
        if len(self._recent) > _SEEN_SLACK:
            self._recent.popitem(last=False)
        self._since_prune += 1
        if self._since_prune >= _SEEN_SLACK:
            self._since_prune = 0
            self._mail.execute(
                "DELETE FROM seen WHERE id <= (SELECT max(id) FROM seen) - ?", (self._capacity,)
            )

    def forget(self, key: tuple[str, str, str]) -> None:
        """It couldn't be stored after all."""
        self._recent.pop(key, None)
