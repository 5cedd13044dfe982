"""Facts that people assert: kept, answered for, and told to those who reason about hosts."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.base import BaseAgent
from agents.clock import now_us
from agents.knowledge.following import followers
from agents.knowledge.sources import Edition
from agents.messages.acl import AclMessage
from agents.ontology.actions import FactChanges, translated
from agents.ontology.archive import Archive
from agents.ontology.asserted_hosts import for_correlation
from agents.ontology.facts import FACTS_FILE, FACTS_IRI, FactBook, consistent_with
from ontology.records import OntologyAction, OntologyChanged, Record, Subscription

logger = logging.getLogger(__name__)


class AssertedFacts:
    """The facts in force, and those who are told of them. One agent's, in its event loop."""

    def __init__(self, agent: BaseAgent[Any], archive: Archive) -> None:
        self._agent = agent
        self._archive = archive
        self._changes: FactChanges | None = None
        """None: the file is damaged."""
        self._since_us = 0
        self._words: tuple[Path, ...] = ()
        """The ontology in force, without the rules: none fires on what may be asserted, and they
        take 10 s more."""

    @property
    def version(self) -> str:
        """Of the facts in force; empty if the file is damaged."""
        return self._changes.book.version if self._changes is not None else ""

    async def open(self, folder: Path) -> None:
        """Read the file. One that is damaged is left for a person to look at."""
        try:
            book = await asyncio.to_thread(FactBook, folder)
        except (OSError, SyntaxError) as e:
            # Everything else works without.
            self._agent.counters["facts_refused"] += 1
            logger.error("no fact can be asserted: %s: %s", FACTS_FILE, e)
            return
        self._changes = FactChanges(book, consistent=self._consistent, reported=self._reported())
        self._since_us = now_us()

    async def fit(self, edition: Edition) -> None:
        """Other words are in force: see whether the facts still fit."""
        self._words = edition.paths[:1]
        changes = self._changes
        if changes is None:
            return
        gone = await changes.set_terms(edition.knowledge.ntriples)
        self._agent.counters["facts_unfit"] += gone
        await self._archive_facts(changes)
        if gone:
            await self._announce(changes)

    async def act(self, message: AclMessage, action: OntologyAction) -> None:
        """Assert, retract or translate, and answer."""
        counters = self._agent.counters
        if action.ontology_action == "translate":
            done, answer = await asyncio.to_thread(translated, action)
            counters["translations"] += 1
            await self._agent.reply(message, "inform" if done else "refuse", [answer])
            return
        changes = self._changes
        if changes is None:
            answer = replace(action, detail="READ-ONLY: the file of facts is damaged, see the log")
            await self._agent.reply(message, "refuse", [answer])
            return
        before = changes.book.facts
        done, answer = await changes.change(action)
        if not done:
            counters["facts_refused"] += 1
            logger.warning("%s refused: %s", action.ontology_action, answer.detail)
        elif changes.book.facts != before:
            await self._archive_facts(changes)
            self._since_us = now_us()
            logger.info("%s for %s: %s", action.ontology_action, action.detail, answer.detail)
            await self._announce(changes)
        await self._agent.reply(message, "inform" if done else "refuse", [answer])

    async def on_subscription(self, message: AclMessage, subscription: Subscription) -> None:
        """No list is kept: who follows us is told of every change anyway."""
        if self._changes is None or message.sender not in self._followers():
            await self._agent.reply(message, "refuse", [subscription])
            return
        await self._agent.reply(message, "agree", [subscription])
        await self._agent.reply(message, "inform", self._news(self._changes))

    def _followers(self) -> tuple[str, ...]:
        return followers(self._agent.settings, self._agent.jid, "correlation")

    def _consistent(self, facts: bytes) -> str:
        return consistent_with(self._words, facts)

    def _reported(self) -> Callable[[str], bool]:
        configured = frozenset(profile.id for profile in self._agent.settings.host_profiles())
        return lambda name: name in configured or self._archive.holds(name)

    async def _archive_facts(self, changes: FactChanges) -> None:
        await asyncio.to_thread(self._archive.set_graph, FACTS_IRI, changes.book.graph())
        self._agent.counters["facts"] = len(changes.book.facts)

    def _news(self, changes: FactChanges) -> list[Record]:
        change = OntologyChanged(
            id=f"urn:uuid:{uuid.uuid4()}",
            kind="facts",
            version=changes.book.version,
            digest=changes.book.digest,
            changed_us=self._since_us,
            detail=f"{len(changes.book.facts)} asserted facts",
        )
        return [change, *map(for_correlation, changes.book.profiles())]

    async def _announce(self, changes: FactChanges) -> None:
        await self._agent.send_many(
            self._followers(),
            "inform",
            self._news(changes),
            protocol="fipa-subscribe",
            conversation_id=f"facts-{self._agent.jid}",
        )
