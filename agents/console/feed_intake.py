"""What a console hears, put in order and taken in: a snapshot, then changes. Pure but for the
store that it writes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache
from pydantic import BaseModel

from agents.console.event_stream import Topic
from agents.console.store import ReadStore
from agents.console.views import (
    AlertView,
    IncidentView,
    agent_view,
    audit_view,
    block_view,
    ruling_view,
)
from ontology.oversight import AgentStatus, AuditLine, Ban, FeedPart, Receipt, Ruling
from ontology.records import AgentDescription, Alert, Block, Decision, Incident, Record

MAX_EARLY: Final = 64
"""Parts that wait for one before them, as many as may be on their way at once."""
MAX_PAST: Final = 8
"""Names of feeds that are over, so that a late part of one is known for what it is."""

MAX_HEARD: Final = 10_000

Part = tuple[FeedPart, tuple[Record, ...]]


class PartOrder:
    """Parts of a feed in the order of their numbers, whatever the order in which they come."""

    def __init__(self) -> None:
        self.feed = ""
        """The feed that is followed; empty before the first."""
        self._next = 1
        self._early: dict[tuple[str, int], Part] = {}
        self._past: list[str] = []

    def forget(self) -> None:
        """What was taken is lost: only another feed makes it good."""
        if self.feed:
            self._past = [*self._past, self.feed][-MAX_PAST:]
        self.feed, self._next, self._early = "", 1, {}

    @property
    def missing(self) -> bool:
        """Whether parts wait for one that has not come."""
        return bool(self._early)

    def accept(self, part: FeedPart, records: tuple[Record, ...]) -> list[Part]:
        """The parts that are in order now; a part that was taken before is none of them."""
        if part.feed in self._past or (part.feed == self.feed and part.part_number < self._next):
            return []
        if part.opens_snapshot and part.feed != self.feed:
            self._past = [*self._past, self.feed][-MAX_PAST:] if self.feed else self._past
            self.feed, self._next = part.feed, 1
            self._early = {k: v for k, v in self._early.items() if k[0] == part.feed}
        if len(self._early) < MAX_EARLY:
            self._early[part.feed, part.part_number] = (part, records)
        ready: list[Part] = []
        while (found := self._early.pop((self.feed, self._next), None)) is not None:
            ready.append(found)
            self._next += 1
        return ready


@dataclass(slots=True)
class News:
    """What the viewers of the page must hear of."""

    changed: list[tuple[Topic, str, BaseModel]] = field(default_factory=list)
    """(topic, key, view), in the order in which it came."""
    anew: bool = False
    """A snapshot was completed: they read everything again."""


class Intake:
    """Writes parts into the store. Blocks: for threads, one call at a time."""

    def __init__(self, store: ReadStore) -> None:
        self._store = store
        self._order = PartOrder()
        self._snapshot = True
        """Until the first snapshot is complete, and while another one comes in."""
        self.parts = 0
        """Parts taken in so far."""
        self._heard: LRUCache[str, int] = LRUCache(MAX_HEARD)
        """Ban: the number of parts when it last came."""

    @property
    def behind(self) -> bool:
        """Whether something is missing: parts wait for one that has not come, or were lost."""
        return self._order.missing or not self._order.feed

    @property
    def complete(self) -> bool:
        """Whether a snapshot was taken in whole, and no other one is coming in."""
        return not self._snapshot

    def take(self, records: tuple[Record, ...]) -> News:
        """Take in one message of a feed.

        Raises: ValueError if it is none, or can't be read alone; sqlite3.Error, after which the
            feed is lost and `behind` says so.
        """
        if not records or not isinstance(records[0], FeedPart):
            raise ValueError("a message of a feed begins with its FeedPart")
        try:
            return self._take(records[0], records[1:])
        except sqlite3.Error:
            self._order.forget()
            raise

    def _take(self, first: FeedPart, rest: tuple[Record, ...]) -> News:
        news = News()
        for part, records in self._order.accept(first, rest):
            self.parts += 1
            if part.opens_snapshot:
                self._snapshot = True
            found = self._write(records, part.feed)
            if part.closes_snapshot:
                self._store.end_snapshot(part.feed)
                self._snapshot, news.anew = False, True
            if not self._snapshot:
                news.changed += found.changed
        return news

    def take_answer(self, records: Sequence[Record], asked_at: int) -> News:
        """Take in a ban that answers a question, unless the feed has brought a newer one meanwhile.

        Args:
            asked_at: `parts` when the question was asked.
        """
        newer = any(
            isinstance(record, Ban) and self._heard.get(record.id, -1) > asked_at
            for record in records
        )
        return News() if newer else self._write(records, self._order.feed)

    def _write(self, records: Sequence[Record], feed: str) -> News:
        """Raises: ValueError if a record comes without those that it can't be read without."""
        by_id: dict[str, Record] = {record.id: record for record in records}
        blocks = [r for r in records if isinstance(r, Block)]
        received = {
            key: r.received_us for r in records if isinstance(r, Receipt) for key in r.received
        }
        news = News()
        with self._store.transaction():
            for record in records:
                match record:
                    case Ban():
                        block = block_view(record, _decision(by_id, record.cause), blocks)
                        self._store.put_block(block, feed)
                        self._heard[record.id] = self.parts
                        news.changed.append(("blocks", record.id, block))
                    case Ruling():
                        ruling = ruling_view(record, _decision(by_id, record.decision))
                        self._store.put_ruling(ruling, record.ban)
                    case Incident() if record.id in received:
                        incident = IncidentView(incident=record, received_us=received[record.id])
                        self._store.put_incident(incident)
                        news.changed.append(("incidents", record.id, incident))
                    case Alert() if record.id in received:
                        alert = AlertView(alert=record, received_us=received[record.id])
                        self._store.put_alert(alert)
                        news.changed.append(("alerts", record.id, alert))
                    case AuditLine():
                        self._store.put_audit(audit_view(record), feed)
                    case AgentStatus():
                        agent = by_id.get(record.agent)
                        if not isinstance(agent, AgentDescription):
                            raise ValueError(f"{record.id}: {record.agent} does not come with it")
                        view = agent_view(agent.name, agent.role, agent.node, agent, record)
                        self._store.put_agent(view, feed)
                        news.changed.append(("agents", agent.name, view))
                    case _:
                        pass
        return news


def _decision(by_id: dict[str, Record], key: str) -> Decision:
    found = by_id.get(key)
    if not isinstance(found, Decision):
        raise ValueError(f"decision {key} does not come with what names it")
    return found
