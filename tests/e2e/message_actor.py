"""One agent of the message tests as a process: ``message_actor.py ROLE NODE FILE JOURNAL JOB``.

Jobs: ``collect`` writes one line per handled record; ``emit:N`` sends N alerts to the correlation
agent, then writes ``all sent`` and, once all are acknowledged, ``acknowledged``; ``trouble`` sends
an alert whose handler fails once, one that is never taken, and a good one. Lines are JSON, one
`write` each, so that they survive SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from ipaddress import IPv4Address
from pathlib import Path
from typing import ClassVar

from agents.base import AgentContext, BaseAgent, run_agent
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from ontology.records import AgentDescription, Alert, Decision, Record


def alert(analyzer: str, explanation: str = "test") -> Alert:
    """A valid alert with an id of its own."""
    return Alert(
        id=f"urn:uuid:{uuid.uuid4()}",
        classification="SynScan",
        source=IPv4Address("192.0.2.1"),
        target=IPv4Address("192.0.2.2"),
        protocol=6,
        begin_us=1_700_000_000_000_000,
        end_us=1_700_000_001_000_000,
        confidence=0.9,
        verified_source=False,
        sensor="test",
        analyzer=analyzer,
        explanation=explanation,
    )


class Actor(BaseAgent[None]):
    """Does the job its command line names."""

    journal: ClassVar[Path]
    job: ClassVar[str]

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self._job = self.job
        self._last: dict[str, int] = {}
        self._failed: set[str] = set()

    @classmethod
    def take(cls, context: AgentContext) -> int:
        """The journal, which lies where an agent may not write."""
        return os.open(cls.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **entry: object) -> None:
        line = json.dumps({"at": time.monotonic()} | entry)
        os.write(self.taken, line.encode() + b"\n")

    async def on_start(self) -> None:
        self.note(event="started")
        self.every(0.1, self._note_counters, name="counters")
        job, _, argument = self._job.partition(":")
        if job == "emit":
            self.spawn(self._emit(int(argument)), name="emit")
        if job == "trouble":
            self.spawn(self._trouble(), name="trouble")

    async def _note_counters(self) -> None:
        now = dict(self.counters) | {"pending": self.pending, "connected": int(self.connected)}
        if now != self._last:
            self._last = now
            self.note(event="counters", **now)

    async def _emit(self, count: int) -> None:
        to = self.settings.jids("correlation")[0]
        for number in range(count):
            message = await self.send(
                to, "inform", [alert(self.jid, f"number {number}")], protocol="fipa-subscribe"
            )
            self.note(event="sent", id=message.reply_with)
            if number % 10 == 9:
                await asyncio.sleep(0.05)
        self.note(event="all sent")
        while self.pending:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        self.note(event="acknowledged")

    async def _trouble(self) -> None:
        to = self.settings.jids("correlation")[0]
        for text in ("fail once", "invalid", "in order"):
            await self.send(to, "inform", [alert(self.jid, text)], protocol="fipa-subscribe")

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        for record in records:
            if isinstance(record, AgentDescription):
                self.note(event="registration", name=record.name)
                await self.reply(message, "inform", ())
                return
            if isinstance(record, Alert) and record.explanation.startswith("fail once"):
                if record.id not in self._failed:
                    self._failed.add(record.id)
                    raise RuntimeError("the handler fails, this once")
            if isinstance(record, Alert) and record.explanation == "invalid":
                raise ValueError("this handler never takes it")
            about = record.reason if isinstance(record, Decision) else ""
            if isinstance(record, Alert):
                about = record.explanation
            self.note(
                event="handled",
                id=record.id,
                kind=type(record).__name__,
                about=about,
                sender=message.sender,
                performative=message.performative,
                key=message.reply_with,
            )

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self.note(event="refused by peer", receiver=receiver, key=reply_with, reason=reason)

    async def on_stop(self) -> None:
        self.note(event="stopped", **self.counters)
        os.close(self.taken)


def main() -> int:
    """Run the actor named on the command line."""
    role, node, file, journal, job = sys.argv[1:6]
    settings = load_settings(Path(file))
    context = AgentContext(settings=settings, role=role, node=node)

    Actor.journal, Actor.job = Path(journal), job
    return run_agent(Actor, context, None)


if __name__ == "__main__":
    sys.exit(main())
