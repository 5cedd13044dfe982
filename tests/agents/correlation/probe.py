"""The correlation agent without a bus: it keeps what it would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from agents.base import AgentContext
from agents.clock import now_us
from agents.correlation.agent import CorrelationAgent
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from ontology.records import Alert, Decision, Record

ANALYZER = "analyzer.gw1@honeynet.localdomain"


class Probe(CorrelationAgent):
    """Keeps what it would put into the outbox."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.sent: list[tuple[str, str, tuple[Record, ...]]] = []

    @property
    def age_s(self) -> float:
        """Of a message that has just been said."""
        return 0.0

    async def send_many(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        within_s: float | None = None,
    ) -> tuple[AclMessage, ...]:
        for receiver in receivers:
            self.sent.append((receiver.partition(".")[0], performative, tuple(records)))
        return (MESSAGE,) * len(receivers)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        self.sent.append((message.sender.partition(".")[0], performative, tuple(records)))
        return MESSAGE


MESSAGE = AclMessage(
    performative="inform",
    sender=ANALYZER,
    receivers=("correlation.gw1@honeynet.localdomain",),
)


CENTRE = (
    {"name": "gw1", "agents": ["sensor", "analyzer", "ontology", "correlation", "supervisor"]},
)
CELLS = (
    {"name": "gw1", "agents": ["sensor", "analyzer", "ontology", "correlation", "reaction"]},
    {"name": "gw2", "agents": ["sensor", "analyzer", "correlation", "reaction"]},
    {"name": "gw3", "agents": ["sensor", "analyzer", "reaction"]},
)
OTHER_CELL = "correlation.gw2@honeynet.localdomain"
KNOWLEDGE = replace(MESSAGE, sender="ontology.gw1@honeynet.localdomain", conversation_id="rules")


@asynccontextmanager
async def running(
    state: Path,
    kind: type[Probe] = Probe,
    nodes: Sequence[dict[str, Any]] = CENTRE,
    sources: Sequence[dict[str, Any]] = (),
) -> AsyncIterator[Probe]:
    settings = Settings.model_validate(
        {
            "state_dir": state,
            "node": [{**node, "interfaces": ["eth0"]} for node in nodes],
            "honeypot": [{"address": "198.51.100.5", "node": "gw1"}],
            "source": sources,
        }
    )
    agent = kind(AgentContext(settings=settings, role="correlation", node="gw1"))
    try:
        await agent.begin()
        yield agent
    finally:
        await agent._at_end.aclose()
        await agent._tasks.end()


async def until(condition: Callable[[], bool], limit_s: float = 90) -> None:
    async with asyncio.timeout(limit_s):  # Pellet's start on a busy machine
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the agent offers no event for this


def alert(number: int, classification: str, ago_s: int) -> Alert:
    begin_us = now_us() - ago_s * 1_000_000
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        classification=classification,
        source=ip_address("192.0.2.7"),
        target=ip_address("198.51.100.5"),
        protocol=6,
        begin_us=begin_us,
        end_us=begin_us + 1,
        confidence=0.9,
        verified_source=True,
        sensor="sensor.gw1@honeynet.localdomain",
        analyzer=ANALYZER,
        explanation="because",
    )


def decisions(agent: Probe, receiver: str) -> list[Decision]:
    return [r for to, _, rs in agent.sent if to == receiver for r in rs if isinstance(r, Decision)]


def step(number: int, classification: str, ago_s: int, source: str | None, target: str) -> Alert:
    return replace(
        alert(number, classification, ago_s),
        source=None if source is None else ip_address(source),
        target=ip_address(target),
        verified_source=source is not None,
    )
