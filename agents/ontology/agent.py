"""The ontology agent: archives what is reported and decided, answers questions, watches the files.

Receives Alert (from analyzers, which it subscribes to), Incident, Decision and Block, and archives
them; receives Query, sends Answer. Sends OntologyChanged to those who reason or decide when an edit
of the ontology or the rules has passed all checks; an edit that has not is logged, and what was
valid before stays.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import ClassVar

from agents.acl import AclMessage
from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.ontology.archive import Archive
from agents.ontology.query import QueryRunner
from agents.ontology.service import plan, to_answer
from agents.ontology.watch import (
    FileWatch,
    Knowledge,
    check_with_java,
    knowledge_paths,
    load_knowledge,
)
from ontology.knowledge_base import KnowledgeBaseError
from ontology.records import OntologyChanged, Record, Subscription

logger = logging.getLogger(__name__)

WATCH_EVERY_S = 0.2
"""An edit counts once two looks agree, and is to be in force within 2 s."""
AUDIENCE = ("correlation", "reaction", "supervisor")
"""Roles that hear of a new version; sensors and analyzers work with fixed words only."""


class OntologyAgent(BaseAgent):
    """Shell around `Archive`, `QueryRunner`, `plan` and `FileWatch`."""

    role: ClassVar[str] = "ontology"
    services: ClassVar[tuple[str, ...]] = ("alert-archive", "fipa-query", "ontology-versions")

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._archive: Archive
        self._queries: QueryRunner
        self._watch: FileWatch

    async def on_start(self) -> None:
        """Open the archive, take over the files as they are, subscribe to all analyzers."""
        folder = self.context.state_dir
        self._archive = await asyncio.to_thread(Archive, folder / "archive")
        self._queries = QueryRunner(self._archive, folder)
        self._watch = await asyncio.to_thread(FileWatch, knowledge_paths)
        # The shipped state was checked with Pellet when it was made, or before it was taken over.
        await self._take_over(thorough=False)
        self.every(WATCH_EVERY_S, self._look, name="ontology watch")
        for analyzer in self.settings.jids("analyzer"):
            wish = f"{self.jid} {analyzer} Alert"
            await self.send(
                analyzer,
                "subscribe",
                [Subscription(id=f"urn:uuid:{_uuid(wish)}", topic="Alert")],
                protocol="fipa-subscribe",
                conversation_id=f"alerts-{_uuid(wish)}",
            )

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Archive or answer; a ValueError (not understood, query refused) goes to the sender."""
        work = plan(message.performative, records)
        if work.archive:
            removed = await asyncio.to_thread(self._archive.add, work.archive)
            self.counters["archived"] += len(work.archive)
            self.counters["archive_removed"] += removed
        for query in work.queries:
            results, truncated = await asyncio.to_thread(self._queries.run, query.sparql)
            self.counters["queries"] += 1
            await self.reply(
                message, "inform-ref", [to_answer(query, results, truncated=truncated)]
            )

    async def on_stop(self) -> None:
        """Write the archive to disk."""
        if hasattr(self, "_archive"):
            await asyncio.to_thread(self._archive.close)

    async def _look(self) -> None:
        if await asyncio.to_thread(self._watch.poll):
            await self._take_over(thorough=True)

    async def _take_over(self, *, thorough: bool) -> None:
        """Check the files; if they are valid and new, store them and announce them."""
        before = self._archive.ontology_version
        try:
            knowledge = await asyncio.to_thread(
                load_knowledge, knowledge_paths(), check=check_with_java if thorough else None
            )
        except KnowledgeBaseError as e:
            self.counters["ontology_refused"] += 1
            logger.error("ontology edit refused, %s stays in force: %s", before or "nothing", e)
            return
        if knowledge.version == before:
            return
        await asyncio.to_thread(self._archive.set_ontology, knowledge.ntriples, knowledge.version)
        self.counters["ontology_versions"] += 1
        enabled = sum(rule.enabled for rule in knowledge.rules)
        logger.info("ontology %s in force, %d rules enabled", knowledge.version, enabled)
        for warning in knowledge.warnings:
            logger.warning("ontology: %s", warning)
        if before:
            await self._announce(knowledge, before)

    async def _announce(self, knowledge: Knowledge, before: str) -> None:
        change = OntologyChanged(
            id=f"urn:uuid:{uuid.uuid4()}",
            version=knowledge.version,
            changed_us=now_us(),
            detail=f"was {before}; {len(knowledge.rules)} rules",
        )
        for role, node in self.settings.agents():
            if role in AUDIENCE:
                await self.send(
                    self.settings.jid(role, node),
                    "inform",
                    [change],
                    protocol="fipa-subscribe",
                    conversation_id=f"ontology-{_uuid(knowledge.version)}",
                )


def _uuid(text: str) -> uuid.UUID:
    """Stable name: the same wish after a restart is the same conversation."""
    return uuid.uuid5(uuid.NAMESPACE_URL, text)
