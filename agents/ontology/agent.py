"""The ontology agent: archives what is reported and decided, answers questions, watches the files.

Receives Alert (from analyzers, which it subscribes to), HostEvent, Incident, Decision and Block,
and archives them; receives Query, sends Answer. Sends OntologyChanged with all files
(KnowledgePiece) to those who reason when an edit of the ontology, the rules, the attack models or
the policy tables has passed all checks, and keeps what they made of it; an edit that has not is
logged, and what was valid before stays. Tells analyzers and supervisor what the clusters are called
(TrafficCluster), and takes the supervisor's wish to call one otherwise. Asserts and retracts facts
and switches rules on and off for the supervisor (OntologyAction), tells correlation what facts say
of hosts (HostProfile), and translates fragments for anyone.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import ClassVar

from agents.base import AgentContext, BaseAgent
from agents.base.confinement import Needs
from agents.messages.acl import AclMessage
from agents.ontology.archive import Archive
from agents.ontology.asserted_facts import AssertedFacts
from agents.ontology.asserted_hosts import HOSTS_IRI, describe_hosts
from agents.ontology.cluster_names import ClusterNames
from agents.ontology.descriptions import SERVICES
from agents.ontology.publication import WATCH_EVERY_S, Publication
from agents.ontology.query import QueryRefused, QueryRunner
from agents.ontology.service import plan, to_answer, to_refusal, to_truth
from ontology.records import Query, Record, Role, Subscription

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Duties:
    """What the ontology agent does, part by part."""

    archive: Archive
    queries: QueryRunner
    publication: Publication
    names: ClusterNames
    facts: AssertedFacts


class OntologyAgent(BaseAgent[Duties]):
    """Shell that hands each message to the part whose duty it is."""

    role: ClassVar[Role] = "ontology"
    services: ClassVar[tuple[str, ...]] = (
        "alert-archive",
        *SERVICES,
        "fipa-query",
        "ontology-versions",
    )

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """Pellet and questions to the archive are processes of their own."""
        return Needs(executes=True)

    async def on_start(self) -> Duties:
        """Open the archive, take over the files as they are, subscribe to all analyzers."""
        folder = self.context.state_dir
        archive = await asyncio.to_thread(Archive, folder / "archive", faults=self.conditions)
        self.at_end(lambda: asyncio.to_thread(archive.close))
        self.keeps(archive.look, name="archive")
        hosts = describe_hosts(self.settings.host_profiles())
        await asyncio.to_thread(archive.set_graph, HOSTS_IRI, hosts)
        facts = AssertedFacts(self, archive)
        await facts.open(folder / "knowledge")
        publication = Publication(self, folder, archive, facts)
        await publication.start()
        self.every(WATCH_EVERY_S, publication.look, name="ontology watch")
        names = ClusterNames(self, archive)
        await names.open(folder / "knowledge")
        for analyzer in self.settings.jids("analyzer"):
            wish = f"{self.jid} {analyzer} Alert"
            await self.send(
                analyzer,
                "subscribe",
                [Subscription(id=_uuid(wish).urn, topic="Alert")],
                protocol="fipa-subscribe",
                conversation_id=f"alerts-{_uuid(wish)}",
            )
        return Duties(archive, QueryRunner(archive, folder), publication, names, facts)

    @property
    def ontology_version(self) -> str:
        """The version in force, as it is announced."""
        return self.running.publication.version

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Archive, answer or act; a ValueError (not understood) goes to the sender."""
        duties = self.running
        work = plan(message.performative, records)
        for wanted in work.wishes:
            await duties.names.rename(message, wanted)
        for subscription in work.subscriptions:
            await self._on_subscription(message, subscription)
        for report in work.reports:
            await duties.publication.on_report(message, report)
        if work.archive:
            removed = await asyncio.to_thread(duties.archive.add, work.archive)
            self.counters["archived"] += len(work.archive)
            self.counters["archive_removed"] += removed
        for query in work.queries:
            await self._answer(message, query)
        for action in work.actions:
            if action.ontology_action in ("enable", "disable"):
                await duties.publication.switch(message, action)
            elif action.ontology_action == "export":
                await duties.publication.export(message, action)
            else:
                await duties.facts.act(message, action)

    async def _on_subscription(self, message: AclMessage, subscription: Subscription) -> None:
        duties = self.running
        match subscription.topic:
            case "HostProfile":
                await duties.facts.on_subscription(message, subscription)
            case "TrafficCluster":
                await duties.names.on_subscription(message, subscription)
            case _:
                await duties.publication.on_subscription(message, subscription)

    async def _answer(self, message: AclMessage, query: Query) -> None:
        try:
            results, truncated = await asyncio.to_thread(self.running.queries.run, query.sparql)
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


def _uuid(text: str) -> uuid.UUID:
    """Stable name: the same wish after a restart is the same conversation."""
    return uuid.uuid5(uuid.NAMESPACE_URL, text)
