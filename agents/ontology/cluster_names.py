"""What clusters are called: names that people save or ask for, told to those who use them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.base import BaseAgent
from agents.base.health import give_back_memory
from agents.clock import now_us
from agents.knowledge.following import followers
from agents.knowledge.watch import FileWatch
from agents.messages.acl import AclMessage
from agents.ontology.archive import Archive
from agents.ontology.clusters import ClusterBook
from ontology.clusters_file import CLUSTERS_FILE, ClusterFileError, clusters_path
from ontology.records import OntologyChanged, Record, Role, Subscription, TrafficCluster

logger = logging.getLogger(__name__)

NAMES_EVERY_S = 0.3
"""A saved name is in force after two looks."""
AUDIENCE: tuple[Role, ...] = ("analyzer", "console")


class ClusterNames:
    """The names in force, and those who are told of them. One agent's, in its event loop."""

    def __init__(self, agent: BaseAgent[Any], archive: Archive) -> None:
        self._agent = agent
        self._archive = archive
        self.book: ClusterBook | None = None
        """None: the shipped file is damaged, or there is no place for ours."""
        self._watch: FileWatch
        self._since_us = 0
        self.lock = asyncio.Lock()
        """Held while names are taken over."""

    async def open(self, folder: Path) -> None:
        """Read the file, tell everybody, and begin to watch it."""
        # First: a save between the first reading and the first look must not go unseen.
        self._watch = await asyncio.to_thread(FileWatch, lambda: (folder / CLUSTERS_FILE,))
        try:
            book = await asyncio.to_thread(ClusterBook, folder, clusters_path())
        except (ClusterFileError, OSError) as e:
            # Everything else works without; analyzers go on with the names of their training.
            self._agent.counters["clusters_refused"] += 1
            logger.error("no cluster can be renamed: %s", e)
            return
        self.book, self._since_us = book, now_us()
        await self._archive_names(book)
        logger.info("clusters: %s, %d named by people", book.path, book.in_force.renamed)
        # Also after an edit while we were down, and to those who were there before us.
        await self._announce(book, "as found at start")
        self._agent.every(NAMES_EVERY_S, self._look, name="cluster watch")

    async def rename(self, message: AclMessage, wanted: TrafficCluster) -> None:
        """Write a name that an operator wants into the file, and answer."""
        async with self.lock:
            book = self.book
            try:
                if book is None:
                    raise ClusterFileError("there is no file of clusters, see the log")
                found = await asyncio.to_thread(book.rename, wanted)
            except ClusterFileError as e:
                self._agent.counters["clusters_refused"] += 1
                logger.warning("renaming of cluster %d refused: %s", wanted.cluster_number, e)
                await self._agent.reply(message, "refuse", [replace(wanted, detail=str(e))])
                return
            logger.info("cluster %d is renamed by %s", wanted.cluster_number, wanted.detail)
            await self._take_over(book)
            await self._agent.reply(message, "inform", [replace(found, detail=wanted.detail)])

    async def on_subscription(self, message: AclMessage, subscription: Subscription) -> None:
        """No list is kept: who follows us is told of every change anyway."""
        if self.book is None or message.sender not in self._followers():
            await self._agent.reply(message, "refuse", [subscription])
            return
        await self._agent.reply(message, "agree", [subscription])
        await self._agent.reply(message, "inform", self._news(self.book, "as it is"))

    def _followers(self) -> tuple[str, ...]:
        agent = self._agent
        return tuple(
            name for role in AUDIENCE for name in followers(agent.settings, agent.jid, role)
        )

    async def _look(self) -> None:
        async with self.lock:
            if self.book is None or not self._watch.has_news():
                return
            if await asyncio.to_thread(self._watch.poll):
                await self._take_over(self.book)
                give_back_memory()

    async def _take_over(self, book: ClusterBook) -> None:
        try:
            changed = await asyncio.to_thread(book.take_over)
        except ClusterFileError as e:
            self._agent.counters["clusters_refused"] += 1
            logger.error("cluster names refused, the last good ones stay in force: %s", e)
            return
        if not changed:
            return
        self._agent.counters["clusters_renamed"] += len(changed)
        self._since_us = now_us()
        said = [f"{c.cluster_number} is {c.cluster_name!r} ({c.traffic_class})" for c in changed]
        logger.info("clusters renamed: %s", "; ".join(said))
        await self._announce(book, "; ".join(said[:5]))
        await self._archive_names(book)

    def _news(self, book: ClusterBook, detail: str) -> list[Record]:
        clusters = book.in_force.clusters
        called = "\n".join(f"{c.cluster_name}\t{c.traffic_class}" for c in clusters)
        digest = hashlib.sha256(called.encode()).hexdigest()
        change = OntologyChanged(
            id=f"urn:uuid:{uuid.uuid4()}",
            kind="cluster-names",
            version=f"clusters+{digest[:12]}",
            digest=digest,
            changed_us=self._since_us,
            detail=detail,
        )
        return [change, *clusters]

    async def _announce(self, book: ClusterBook, detail: str) -> None:
        await self._agent.send_many(
            self._followers(),
            "inform",
            self._news(book, detail),
            protocol="fipa-subscribe",
            conversation_id=f"clusters-{self._agent.jid}",
        )

    async def _archive_names(self, book: ClusterBook) -> None:
        """So that SPARQL can ask for clusters and cases."""
        await asyncio.to_thread(self._archive.set_clusters, book.in_force.triples)
