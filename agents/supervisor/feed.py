"""The feed of a console: a snapshot, then changes, in numbered messages; never more than it takes.

Changes are marked when they happen and read from the ledger a moment later, many in one message.
Nothing here delays an order: orders have left before a change is marked, and one message is made
at a time. Loop-bound; the ledger is read in threads.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from uuid import uuid4

from agents.supervisor.directory import Directory
from agents.supervisor.feed_records import (
    Group,
    agent_group,
    audit_group,
    ban_group,
    evidence_groups,
    explanation_groups,
    pack,
    ruling_group,
)
from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Entry
from agents.supervisor.store import AuditLine
from ontology.oversight import FeedPart
from ontology.records import Alert, Decision, Incident, Record

logger = logging.getLogger(__name__)

TOPIC = "Oversight"
"""What a console subscribes to."""
Post = Callable[[Sequence[Record]], Awaitable[None]]
"""Sends one message to the console. Raises: ValueError if it can't be written."""

FIRST_S = 0.05
"""From the first change to its message: what belongs together comes together."""
NEXT_S = 0.5
"""Between two messages of changes that go on."""
RENEWALS_S = 15.0
"""Between two messages of registrations that were only renewed: the feed's heartbeat as well."""
RETRY_S = 10.0
"""After a failure (the ledger can't be read, the outbox can't be written)."""
PACE_S = 0.02
"""Between two messages of a snapshot: what else is due goes first."""
MAX_MARKED = 5_000
"""Changes that wait; beyond them a new snapshot tells all at once."""
SNAPSHOT_ENDED = 500
SNAPSHOT_EXPLAINED = 500
"""Newest bans whose evidence a snapshot tells; a console keeps what it was told before."""
SNAPSHOT_FINDINGS = 1_000
SNAPSHOT_AUDIT = 2_000
_CHUNK = 20
"""Bans read from the ledger at a time."""


class Feed:
    """What the console is told. Marks are cheap, and nothing while there is no console."""

    def __init__(self, ledger: Ledger, directory: Directory, *, clock: Callable[[], int]) -> None:
        self._ledger, self._directory, self._clock = ledger, directory, clock
        self._post: Post | None = None
        self._name = ""
        self._number = 0
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._last_s = -NEXT_S
        self._renewals_s = 0.0
        self._bans: dict[str, None] = {}
        self._groups: dict[str, Group] = {}
        self._agents: dict[str, None] = {}
        self._renewed: dict[str, None] = {}
        self._audited = 0
        self._tell_all = False
        self.snapshots = 0
        self.unwritten = 0
        """Messages that could not be written (a record above the limit)."""

    # ---- marks

    def ban(self, entry_id: str) -> None:
        """An entry is new or changed."""
        if self._post is not None:
            self._bans[entry_id] = None
            self.touch()

    def decision(
        self, decision: Decision, outcome: str, detail: str, entry_id: str | None, now_us: int
    ) -> None:
        """A decision was ruled on."""
        self._mark(ruling_group(decision, outcome, detail, entry_id, now_us))

    def evidence(self, incident: Incident, alerts: Iterable[Alert], now_us: int) -> None:
        """An incident came with its alerts."""
        for group in evidence_groups((incident, *alerts), now_us):
            self._mark(group)

    def agent(self, name: str, *, renewed: bool = False) -> None:
        """An agent's directory entry changed, or was only ``renewed``."""
        if self._post is not None:
            (self._renewed if renewed else self._agents)[name] = None
            if not renewed:
                self.touch()

    def touch(self) -> None:
        """Something happened, if only in the audit trail: send what is marked, soon."""
        if self._post is None or self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait = max(FIRST_S, self._last_s + NEXT_S - loop.time())
        self._timer = loop.call_later(wait, self._due)

    def anew(self) -> None:
        """So much changed that only a snapshot tells it: the clock was set, say."""
        if self._post is not None:
            self._tell_all = True
            self.touch()

    def _mark(self, group: Group) -> None:
        if self._post is not None:
            self._groups[group[0].id] = group
            self.touch()

    # ---- messages

    async def open(self, post: Post) -> None:
        """A console subscribed: from now on ``post`` gets a snapshot, then every change."""
        async with self._lock:
            self._post = post
            await self._snapshot()

    async def close(self) -> None:
        """No more messages: the console leaves, or we stop. Ends when nothing is read any more."""
        self._post = None
        self._forget()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        async with self._lock:
            pass

    def _forget(self) -> None:
        self._tell_all = False
        for marks in (self._bans, self._groups, self._agents, self._renewed):
            marks.clear()

    def _due(self) -> None:
        self._timer = None
        self._flushing = asyncio.ensure_future(self._flush_guarded())

    async def _flush_guarded(self) -> None:
        try:
            await self.flush()
        except Exception:
            # The marks are lost: only a snapshot makes it good.
            logger.exception("the console's feed failed; a snapshot in %.0f s", RETRY_S)
            if self._post is not None and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._due)
            self._tell_all = True

    async def beat(self) -> None:
        """Every second, from the agent: renewed registrations, when their time has come."""
        now_s = asyncio.get_running_loop().time()
        if self._post is not None and now_s - self._renewals_s >= RENEWALS_S:
            self._renewals_s = now_s
            self._agents |= self._renewed
            self._renewed.clear()
            await self._flush_guarded()

    async def flush(self) -> None:
        """Send what is marked now."""
        async with self._lock:
            if self._post is None:
                return
            self._last_s = asyncio.get_running_loop().time()
            if self._tell_all or len(self._bans) + len(self._groups) > MAX_MARKED:
                await self._snapshot()
                return
            agents, self._agents = self._agents, {}
            groups, self._groups = self._groups, {}
            bans, self._bans = self._bans, {}
            changed = [e for n in agents if (e := self._directory.get(n)) is not None]
            read = await asyncio.to_thread(self._read, list(bans))
            for part in pack(itertools.chain(map(agent_group, changed), groups.values(), read)):
                await self._send(part)

    def _read(self, bans: Sequence[str]) -> list[Group]:
        """The bans as they are by now, and what was added to the trail."""
        found = [e for key in bans if (e := self._ledger.entry(key)) is not None]
        return [*map(ban_group, found), *self._trail(SNAPSHOT_AUDIT)]

    def _trail(self, most: int) -> list[Group]:
        """Lines that the console doesn't know, oldest first; the newest ``most`` of them."""
        new: list[AuditLine] = []
        before: int | None = None
        while len(new) < most:
            lines = self._ledger.audit_trail(limit=min(100, most - len(new)), before=before)
            fresh = [line for line in lines if line.seq > self._audited]
            new += fresh
            if len(fresh) < len(lines) or not lines:
                break
            before = lines[-1].seq
        if new:
            self._audited = new[0].seq
        return [audit_group(line) for line in reversed(new)]

    async def _snapshot(self) -> None:
        """Everything that holds, and the newest of what was; paced, and read in pieces."""
        self._forget()
        self._name, self._number, self._audited = str(uuid4()), 0, 0
        self.snapshots += 1
        now_us = self._clock()
        active = await asyncio.to_thread(self._ledger.active, now_us)
        ended = await asyncio.to_thread(
            lambda: self._ledger.entries(state="ended", limit=SNAPSHOT_ENDED)
        )
        known = [self._directory.get(jid) for jid, _, _ in self._directory.expected()]
        agents = [agent_group(entry) for entry in known if entry is not None]
        await self._send((), opens=True)
        entries = (*reversed(ended), *active)
        bare = len(entries) - SNAPSHOT_EXPLAINED
        await self._send_all(agents)
        for start in range(0, len(entries), _CHUNK):
            if self._post is None:
                return
            some = list(enumerate(entries[start : start + _CHUNK], start))
            await self._send_all(await asyncio.to_thread(self._explained, some, bare))
        if self._post is None:
            return
        await self._send_all(await asyncio.to_thread(self._findings))
        await self._send_all(await asyncio.to_thread(self._trail, SNAPSHOT_AUDIT))
        await self._send((), closes=True)
        self._last_s = self._renewals_s = asyncio.get_running_loop().time()

    def _explained(self, entries: Sequence[tuple[int, Entry]], bare: int) -> list[Group]:
        out: list[Group] = []
        for place, entry in entries:
            if place >= bare:
                out += explanation_groups(entry, self._ledger.explain(entry.id))
            out.append(ban_group(entry))
        return out

    def _findings(self) -> list[Group]:
        out: list[Group] = []
        for alert, at_us in reversed(self._ledger.alerts(SNAPSHOT_FINDINGS)):
            out += evidence_groups((alert,), at_us)
        for incident, at_us in reversed(self._ledger.incidents(SNAPSHOT_FINDINGS)):
            out += evidence_groups((incident,), at_us)
        return out

    async def _send_all(self, groups: Sequence[Group]) -> None:
        for part in pack(groups):
            await self._send(part)
            await asyncio.sleep(PACE_S)

    async def _send(
        self, records: Sequence[Record], *, opens: bool = False, closes: bool = False
    ) -> None:
        if self._post is None:
            return
        self._number += 1
        part = FeedPart(
            id=uuid4().urn,
            feed=self._name,
            part_number=self._number,
            opens_snapshot=opens,
            closes_snapshot=closes,
        )
        try:
            await self._post((part, *records))
        except ValueError as e:
            # MessageError, FragmentError: the console sees the gap, but shouldn't ask for ever.
            self.unwritten += 1
            logger.warning("the console is not told of %d records: %s", len(records), e)
            await self._post((part,))
