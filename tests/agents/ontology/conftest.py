"""The ontology agent with the bus left out: what it would send is written down."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentContext
from agents.knowledge.files import edited_files
from agents.messages.acl import AclMessage
from agents.ontology.agent import OntologyAgent
from agents.settings.honeynet import Policy, Settings
from ontology.records import Record
from rules.shipped_files import SCENARIOS_FILE, models_path

JID = "ontology.gw1@honeynet.test"
ANALYZER = "analyzer.gw1@honeynet.test"


@dataclass
class Sent:
    receiver: str
    performative: str
    records: tuple[Record, ...]


class Unconnected(OntologyAgent):
    """Keeps what it would send."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.sent: list[Sent] = []

    async def send_many(
        self, receivers: Sequence[str], performative: str, records: Sequence[Record], **_: Any
    ) -> tuple[AclMessage, ...]:
        self.sent += [Sent(receiver, performative, tuple(records)) for receiver in receivers]
        return tuple(self.a_message(performative) for _ in receivers)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        return await self.send(message.sender, performative, records, protocol="")

    def a_message(self, performative: str, sender: str = ANALYZER) -> AclMessage:
        return AclMessage(
            performative=performative,
            sender=sender,
            receivers=(JID,),
            protocol="fipa-query",
            conversation_id="c",
        )

    async def hear(self, performative: str, *records: Record, sender: str = ANALYZER) -> None:
        await self.on_message(self.a_message(performative, sender), records)


class World:
    """An installed system, and agents that run in it one after the other."""

    def __init__(self, context: AgentContext, installed: Path) -> None:
        self.context, self.installed = context, installed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Unconnected]:
        agent = Unconnected(self.context)
        try:
            agent._running = await agent.on_start()
            agent._ready.set()
            await asyncio.sleep(0)  # let its watches begin
            yield agent
        finally:
            await agent._tasks.end()
            await agent._at_end.aclose()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.installed / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def context(bare_honeynet: Settings) -> AgentContext:
    return AgentContext(settings=bare_honeynet, role="ontology", node="gw1")


@pytest.fixture
def world(context: AgentContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """With the shipped files where a test may edit them."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for path in (*edited_files(Policy()).values(), models_path().with_name(SCENARIOS_FILE)):
        shutil.copy(path, folder)
    for module in ("files", "sources"):
        monkeypatch.setattr(
            f"agents.knowledge.{module}.models_path", lambda: folder / "attacks.owl"
        )
    monkeypatch.setattr("agents.knowledge.files.ontology_path", lambda: folder / "ontoidps.owl")
    return World(context, folder)


@pytest.fixture
async def agent(world: World) -> AsyncIterator[Unconnected]:
    async with world.running() as started:
        yield started


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Any]:
    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the agent offers no event for this

    return wait
