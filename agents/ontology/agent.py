"""The ontology agent: archives what is reported and decided, answers questions, watches the files.

Receives Alert (from analyzers, which it subscribes to), Incident, Decision and Block, and archives
them; receives Query, sends Answer. Sends OntologyChanged to those who reason or decide when an edit
of the ontology, the rules, the attack models or the policy tables has passed all checks; an edit
that has not is logged, and what was valid before stays. Tells analyzers and supervisor what the
clusters are called (TrafficCluster), and takes the supervisor's wish to call one otherwise. Asserts
and retracts facts for the supervisor (OntologyAction), tells correlation what they say of hosts
(HostProfile), and translates fragments for anyone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from agents.base import AgentContext, BaseAgent
from agents.base.health import give_back_memory
from agents.clock import now_us
from agents.knowledge.load import paper_rules
from agents.knowledge.sources import PolicySources
from agents.knowledge.watch import FileWatch, Knowledge, check_with_java, knowledge_paths
from agents.messages.acl import AclMessage
from agents.ontology.actions import FactDesk, translated
from agents.ontology.archive import Archive
from agents.ontology.clusters import ClusterBook
from agents.ontology.descriptions import SERVICE_IRI, SERVICES, describe
from agents.ontology.facts import FACTS_FILE, FACTS_IRI, FactBook, consistent_with
from agents.ontology.hosts import HOSTS_IRI, describe_hosts, for_correlation
from agents.ontology.query import QueryRefused, QueryRunner
from agents.ontology.service import plan, to_answer, to_refusal, to_truth
from ontology.clusters_file import CLUSTERS_FILE, ClusterFileError, clusters_path
from ontology.knowledge_base import KnowledgeBaseError
from ontology.records import (
    OntologyAction,
    OntologyChanged,
    Query,
    Record,
    Role,
    Subscription,
    TrafficCluster,
)

logger = logging.getLogger(__name__)

WATCH_EVERY_S = 0.2
"""An edit counts once two looks agree, and is to be in force within 2 s."""
AUDIENCE: tuple[Role, ...] = ("correlation", "reaction", "supervisor")
"""Roles that hear of a new version; sensors and analyzers work with fixed words, but for the names
of clusters."""
NAMES_EVERY_S = 0.3
"""A saved name is in force after two looks."""
NAMES_AUDIENCE: tuple[Role, ...] = ("analyzer", "console")


class OntologyAgent(BaseAgent[None]):
    """Shell around `Archive`, `QueryRunner`, `plan` and `FileWatch`."""

    role: ClassVar[Role] = "ontology"
    services: ClassVar[tuple[str, ...]] = (
        "alert-archive",
        *SERVICES,
        "fipa-query",
        "ontology-versions",
    )

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._archive: Archive
        self._queries: QueryRunner
        self._watch: FileWatch
        self._sources: PolicySources
        self._checked = ""
        """Digest of the ontology and rule files in force."""
        self._names: ClusterBook | None = None
        self._names_watch: FileWatch
        self._names_since_us = 0
        self._naming = asyncio.Lock()
        self._facts: FactDesk | None = None
        self._facts_since_us = 0

    async def on_start(self) -> None:
        """Open the archive, take over the files as they are, subscribe to all analyzers."""
        folder = self.context.state_dir
        self._archive = await asyncio.to_thread(Archive, folder / "archive")
        self._queries = QueryRunner(self._archive, folder)
        hosts = describe_hosts(self.settings.host_profiles())
        await asyncio.to_thread(self._archive.set_graph, HOSTS_IRI, hosts)
        self._sources = PolicySources(folder / "knowledge")
        self._watch = await asyncio.to_thread(
            FileWatch, lambda: (*self._knowledge_paths(), *self._sources.watched())
        )
        await self._open_facts()
        # The shipped state was checked with Pellet when it was made, or before it was taken over.
        await self._take_over(thorough=False)
        self.every(WATCH_EVERY_S, self._look, name="ontology watch")
        await self._open_names()
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
        """Archive, answer or act; a ValueError (not understood) goes to the sender."""
        work = plan(message.performative, records)
        for wanted in work.wishes:
            await self._rename(message, wanted)
        if work.subscriptions:
            await self._on_subscription(message, work.subscriptions)
        if work.archive:
            removed = await asyncio.to_thread(self._archive.add, work.archive)
            self.counters["archived"] += len(work.archive)
            self.counters["archive_removed"] += removed
        for query in work.queries:
            await self._answer(message, query)
        for action in work.actions:
            await self._act(message, action)

    async def _answer(self, message: AclMessage, query: Query) -> None:
        try:
            results, truncated = await asyncio.to_thread(self._queries.run, query.sparql)
            if message.performative == "query-if":
                # fipa-query (SC00027): inform that it is true, or that it is false.
                said, answer = "inform", to_truth(query, results)
            else:
                said, answer = "inform-ref", to_answer(query, results, truncated=truncated)
        except QueryRefused as e:
            self.counters["queries_refused"] += 1
            logger.warning("query of %s refused: %s", message.sender, e)
            said, answer = "refuse", to_refusal(query, str(e))
        self.counters["queries"] += 1
        await self.reply(message, said, [answer])

    async def on_stop(self) -> None:
        """Write the archive to disk."""
        if hasattr(self, "_archive"):
            await asyncio.to_thread(self._archive.close)

    def _knowledge_paths(self) -> tuple[Path, ...]:
        return (*knowledge_paths(), *paper_rules(self.settings.policy))

    async def _look(self) -> None:
        if self._watch.stirred() and await asyncio.to_thread(self._watch.poll):
            await self._take_over(thorough=True)
            give_back_memory()

    async def _take_over(self, *, thorough: bool) -> None:
        """Check the files; if they are valid and new, store them and announce them."""
        before = self._archive.ontology_version
        try:
            knowledge = await asyncio.to_thread(
                self._sources.load,
                self._knowledge_paths(),
                check=check_with_java,
                checked=self._checked,
                starting=not thorough,
            )
        except KnowledgeBaseError as e:
            self.counters["ontology_refused"] += 1
            logger.error("ontology edit refused, %s stays in force: %s", before or "nothing", e)
            return
        self._checked = knowledge.digest
        if knowledge.version == before:
            await self._fit_facts(knowledge)
            return
        await asyncio.to_thread(self._archive.set_ontology, knowledge.ntriples, knowledge.version)
        self.counters["ontology_versions"] += 1
        enabled = sum(rule.enabled for rule in knowledge.rules)
        logger.info("ontology %s in force, %d rules enabled", knowledge.version, enabled)
        for warning in knowledge.warnings:
            logger.warning("ontology: %s", warning)
        await self._fit_facts(knowledge)
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

    # --- the names of clusters ------------------------------------------------------------------

    async def _open_names(self) -> None:
        folder = self.context.state_dir / "knowledge"
        # First: a save between the first reading and the first look must not go unseen.
        watch = await asyncio.to_thread(FileWatch, lambda: (folder / CLUSTERS_FILE,))
        try:
            names = await asyncio.to_thread(ClusterBook, folder, clusters_path())
        except (ClusterFileError, OSError) as e:
            # Everything else works without; analyzers go on with the names of their training.
            self.counters["clusters_refused"] += 1
            logger.error("no cluster can be renamed: %s", e)
            return
        self._names, self._names_since_us = names, now_us()
        self._names_watch = watch
        await self._archive_names(names)
        logger.info("clusters: %s, %d named by people", names.path, names.in_force.renamed)
        # Also after an edit while we were down, and to those who were there before us.
        await self._announce_names(names, "as found at start")
        self.every(NAMES_EVERY_S, self._look_at_names, name="cluster watch")

    async def _look_at_names(self) -> None:
        async with self._naming:
            if self._names is None or not self._names_watch.stirred():
                return
            if await asyncio.to_thread(self._names_watch.poll):
                await self._take_over_names(self._names)
                give_back_memory()

    async def _take_over_names(self, names: ClusterBook) -> None:
        try:
            changed = await asyncio.to_thread(names.take_over)
        except ClusterFileError as e:
            self.counters["clusters_refused"] += 1
            logger.error("cluster names refused, the last good ones stay in force: %s", e)
            return
        if not changed:
            return
        self.counters["clusters_renamed"] += len(changed)
        self._names_since_us = now_us()
        said = [f"{c.cluster_number} is {c.cluster_name!r} ({c.traffic_class})" for c in changed]
        logger.info("clusters renamed: %s", "; ".join(said))
        await self._announce_names(names, "; ".join(said[:5]))
        await self._archive_names(names)

    async def _rename(self, message: AclMessage, wanted: TrafficCluster) -> None:
        async with self._naming:
            names = self._names
            try:
                if names is None:
                    raise ClusterFileError("there is no file of clusters, see the log")
                found = await asyncio.to_thread(names.rename, wanted)
            except ClusterFileError as e:
                self.counters["clusters_refused"] += 1
                logger.warning("renaming of cluster %d refused: %s", wanted.cluster_number, e)
                await self.reply(message, "refuse", [replace(wanted, detail=str(e))])
                return
            logger.info("cluster %d is renamed by %s", wanted.cluster_number, wanted.detail)
            await self._take_over_names(names)
            await self.reply(message, "inform", [replace(found, detail=wanted.detail)])

    async def _on_subscription(
        self, message: AclMessage, subscriptions: tuple[Subscription, ...]
    ) -> None:
        """No list is kept: who may subscribe is told of every change anyway."""
        if subscriptions[0].topic == "HostProfile":
            if self._facts is None:
                await self.reply(message, "refuse", subscriptions)
                return
            await self.reply(message, "agree", subscriptions)
            await self.reply(message, "inform", self._news_of_facts(self._facts))
            return
        if self._names is None:
            await self.reply(message, "refuse", subscriptions)
            return
        await self.reply(message, "agree", subscriptions)
        await self.reply(message, "inform", self._news_of_names(self._names, "as it is"))

    def _news_of_names(self, names: ClusterBook, detail: str) -> list[Record]:
        clusters = names.in_force.clusters
        called = "\n".join(f"{c.cluster_name}\t{c.traffic_class}" for c in clusters)
        version = hashlib.sha256(called.encode()).hexdigest()
        change = OntologyChanged(
            id=f"urn:uuid:{uuid.uuid4()}",
            version=f"clusters+{version[:12]}",
            changed_us=self._names_since_us,
            detail=detail,
        )
        return [change, *clusters]

    async def _announce_names(self, names: ClusterBook, detail: str) -> None:
        news = self._news_of_names(names, detail)
        for role in NAMES_AUDIENCE:
            for receiver in self.settings.jids(role):
                await self.send(
                    receiver,
                    "inform",
                    news,
                    protocol="fipa-subscribe",
                    conversation_id=f"clusters-{self.jid}",
                )

    async def _archive_names(self, names: ClusterBook) -> None:
        """So that SPARQL can ask for clusters and cases."""
        await asyncio.to_thread(self._archive.set_clusters, names.in_force.triples)

    # --- asserted facts -------------------------------------------------------------------------

    async def _open_facts(self) -> None:
        try:
            book = await asyncio.to_thread(FactBook, self.context.state_dir / "knowledge")
        except (OSError, SyntaxError) as e:
            # Everything else works without; the file is left for a person to look at.
            self.counters["facts_refused"] += 1
            logger.error("no fact can be asserted: %s: %s", FACTS_FILE, e)
            return
        configured = frozenset(profile.id for profile in self.settings.host_profiles())
        self._facts = FactDesk(
            book,
            # Without the rules: none fires on what may be asserted, and they take 10 s more.
            consistent=lambda facts: consistent_with(knowledge_paths()[:1], facts),
            reported=lambda name: name in configured or self._archive.holds(name),
        )
        self._facts_since_us = now_us()

    async def _fit_facts(self, knowledge: Knowledge) -> None:
        """Other words are in force: describe them, and see whether the facts still fit."""
        described = await asyncio.to_thread(describe, self._knowledge_paths(), knowledge.version)
        await asyncio.to_thread(self._archive.set_graph, SERVICE_IRI, described)
        if self._facts is None:
            return
        gone = await self._facts.set_terms(knowledge.ntriples)
        self.counters["facts_unfit"] += gone
        await asyncio.to_thread(self._archive.set_graph, FACTS_IRI, self._facts.book.graph())
        self.counters["facts"] = len(self._facts.book.facts)
        if gone:
            await self._announce_facts(self._facts)

    async def _act(self, message: AclMessage, action: OntologyAction) -> None:
        if action.ontology_action == "translate":
            done, answer = await asyncio.to_thread(translated, action)
            self.counters["translations"] += 1
            await self.reply(message, "inform" if done else "refuse", [answer])
            return
        if self._facts is None:
            answer = replace(action, detail="READ-ONLY: the file of facts is damaged, see the log")
            await self.reply(message, "refuse", [answer])
            return
        before = self._facts.book.facts
        done, answer = await self._facts.change(action)
        if not done:
            self.counters["facts_refused"] += 1
            logger.warning("%s refused: %s", action.ontology_action, answer.detail)
        elif self._facts.book.facts != before:
            await asyncio.to_thread(self._archive.set_graph, FACTS_IRI, self._facts.book.graph())
            self.counters["facts"] = len(self._facts.book.facts)
            self._facts_since_us = now_us()
            logger.info("%s for %s: %s", action.ontology_action, action.detail, answer.detail)
            await self._announce_facts(self._facts)
        await self.reply(message, "inform" if done else "refuse", [answer])

    def _news_of_facts(self, desk: FactDesk) -> list[Record]:
        change = OntologyChanged(
            id=f"urn:uuid:{uuid.uuid4()}",
            version=desk.book.version,
            changed_us=self._facts_since_us,
            detail=f"{len(desk.book.facts)} asserted facts",
        )
        return [change, *map(for_correlation, desk.book.profiles())]

    async def _announce_facts(self, desk: FactDesk) -> None:
        for receiver in self.settings.jids("correlation"):
            await self.send(
                receiver,
                "inform",
                self._news_of_facts(desk),
                protocol="fipa-subscribe",
                conversation_id=f"facts-{self.jid}",
            )


def _uuid(text: str) -> uuid.UUID:
    """Stable name: the same wish after a restart is the same conversation."""
    return uuid.uuid5(uuid.NAMESPACE_URL, text)
