"""Ontology and rules: an edit is checked, put in force and sent to those who reason with it.

What became of it is kept by receiver: who has which version in force, and who refused it and why.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.base import BaseAgent
from agents.base.health import give_back_memory
from agents.clock import now_us
from agents.knowledge.following import followers
from agents.knowledge.pieces import by_message, split
from agents.knowledge.sources import Edition, Sources
from agents.knowledge.watch import FileWatch
from agents.knowledge.window_export import (
    ExportError,
    alerts_of,
    incident_file,
    incident_of,
    packed,
)
from agents.knowledge.words import KIND, READERS
from agents.messages.acl import AclMessage
from agents.ontology.archive import Archive
from agents.ontology.asserted_facts import AssertedFacts
from agents.ontology.descriptions import SERVICE_IRI, describe
from agents.ontology.receivers import Receivers
from agents.ontology.service import ServiceError
from ontology.knowledge_base import KnowledgeBaseError
from ontology.records import OntologyAction, OntologyChanged, Record, Subscription
from ontology.taxonomy import put_in_force

logger = logging.getLogger(__name__)

WATCH_EVERY_S = 0.2
"""An edit counts once two looks agree, and is to be in force within 2 s."""
MAX_WHY = 500
"""Characters of who wants what and why, and of why not."""
EDIT, TAKEN_BACK = "edit", "rules"
"""Conditions: files that were refused, and those that failed in use."""
AUDIENCE = "correlation"
"""The role that reasons; all others are told the classes."""


class Publication:
    """The rules in force, and those who are to have them. One agent's, in its event loop.

    Args:
        agent: who speaks.
        folder: for what is in force and what receivers reported.
    """

    def __init__(
        self, agent: BaseAgent[Any], folder: Path, archive: Archive, facts: AssertedFacts
    ) -> None:
        self._agent = agent
        self._archive = archive
        self._facts = facts
        self._sources = Sources(folder / "rules", agent.settings.policy, origin=agent.jid)
        self._watch: FileWatch
        self._lock = asyncio.Lock()
        """An edit at a time: `Sources` is for one thread."""
        self.receivers = Receivers(folder / "receivers.json")

    @property
    def version(self) -> str:
        """In force; empty if nothing is."""
        return self._sources.in_force.kept.version if self._sources.in_force else ""

    async def start(self) -> None:
        """Put in force what is on disk, or what was in force last while that is no good."""
        # First: an edit between the first reading and the first look must not go unseen.
        self._watch = await asyncio.to_thread(FileWatch, self._sources.watched)
        before = await asyncio.to_thread(self._sources.last_version)
        wrong = await asyncio.to_thread(self._sources.start, now_us())
        if wrong:
            self._refuse(wrong)
        edition = self._sources.in_force
        if edition is None:
            return
        await self._put_in_force(edition)
        await self._tell_words(edition)
        if before and before != self.version:
            await self._announce(edition, self._followers())

    async def look(self) -> None:
        """Take over what somebody has saved since the last look."""
        if not self._watch.has_news() or not await asyncio.to_thread(self._watch.poll):
            return
        async with self._lock:
            try:
                changed = await asyncio.to_thread(self._sources.take_over, now_us())
            except KnowledgeBaseError as e:
                self._refuse(str(e))
            else:
                for name in (EDIT, TAKEN_BACK):
                    self._agent.conditions.clear(name)
                if not changed:
                    logger.info("ontology %s is again the version in force", self.version)
                await self._spread(changed)
        give_back_memory()

    async def switch(self, message: AclMessage, action: OntologyAction) -> None:
        """Switch a rule on or off in an operator's name, and answer."""
        on = action.ontology_action == "enable"
        async with self._lock:
            try:
                changed = await asyncio.to_thread(
                    self._sources.switch, action.fragment, on, action.detail[:MAX_WHY], now_us()
                )
            except KnowledgeBaseError as e:
                self._agent.counters["switches_refused"] += 1
                logger.warning("rule %.80s is not switched: %s", action.fragment, e)
                answer = replace(action, detail=str(e)[:MAX_WHY])
                await self._agent.reply(message, "refuse", [answer])
                return
            logger.info(
                "rule %.80s: %sd for %.200s", action.fragment, action.ontology_action, action.detail
            )
            await self._spread(changed)
        said = self.version if changed else f"{self.version}, as before"
        await self._agent.reply(message, "inform", [replace(action, detail=said)])
        give_back_memory()

    async def export(self, message: AclMessage, action: OntologyAction) -> None:
        """Answer with alerts as one OWL file of the version in force."""
        try:
            text = packed(await asyncio.to_thread(self._file, action))
        except (ValueError, OSError) as e:
            self._agent.counters["exports_refused"] += 1
            answer = replace(action, fragment="", detail=str(e)[:MAX_WHY])
            await self._agent.reply(message, "refuse", [answer])
            return
        self._agent.counters["exports"] += 1
        await self._agent.reply(
            message, "inform", [replace(action, fragment=text, detail=self.version)]
        )
        give_back_memory()

    def _file(self, action: OntologyAction) -> bytes:
        edition = self._sources.in_force
        if edition is None:
            raise ExportError("no ontology is in force")
        hosts = self._agent.settings.host_profiles()
        return incident_file(
            incident_of(action),
            alerts_of(action),
            hosts,
            edition.knowledge.ntriples,
            edition.paths[0],
        )

    async def _spread(self, changed: bool) -> None:
        edition = self._sources.in_force
        if changed and edition is not None:
            # Those who decide come first, the archive can wait.
            put_in_force(edition.taxonomy)
            await self._announce(edition, self._followers())
            await self._tell_words(edition)
            await self._put_in_force(edition)

    async def on_subscription(self, message: AclMessage, subscription: Subscription) -> None:
        """Send the version in force, unless the subscriber says that it has it."""
        edition = self._sources.in_force
        if edition is None or message.sender not in self._followers():
            await self._agent.reply(message, "refuse", [subscription])
            return
        await self._agent.reply(message, "agree", [subscription])
        now = now_us()
        if subscription.digest == edition.kept.digest:
            self.receivers.took(message.sender, _change(edition), now)
        elif self.receivers.asks(
            message.sender, subscription.digest, edition.kept.digest, now_us=now
        ):
            await self._announce(edition, (message.sender,))
        self._count_behind()

    async def on_report(self, message: AclMessage, report: OntologyChanged) -> None:
        """A receiver says what it made of a version; of one that failed, all go back.

        Raises: ServiceError (not understood) if it is none of ours.
        """
        if report.kind != "rules" or message.sender not in self._followers():
            raise ServiceError("only those who were sent rules can say what they made of them")
        name = message.sender
        if message.performative == "inform":
            self.receivers.took(name, report, now_us())
            self._agent.counters["rules_taken"] += 1
            logger.info("%s: %.80s is in force", name, report.version)
        else:
            self.receivers.refused(name, report, now_us())
            self._agent.counters["rules_refused"] += 1
            logger.error("%s refuses %.80s: %.500s", name, report.version, report.detail)
            if message.performative == "failure":
                await self._take_back(name, report)
        self._count_behind()

    async def _take_back(self, name: str, report: OntologyChanged) -> None:
        """It was in force there and failed."""
        async with self._lock:
            reason = await asyncio.to_thread(
                self._sources.take_back, report.digest, report.detail, now_us()
            )
            if not reason:
                return
            self._agent.counters["rules_taken_back"] += 1
            said = f"taken back, {self.version} is in force again until the file is changed"
            said = f"{said}: {reason}"
            logger.error("ontology %.80s failed at %s and was %s", report.version, name, said)
            self._agent.conditions.fault(TAKEN_BACK, f"{report.version[:80]} was {said}")
            await self._spread(True)

    def _followers(self) -> tuple[str, ...]:
        return followers(self._agent.settings, self._agent.jid, AUDIENCE)

    def _refuse(self, why: str) -> None:
        self._agent.counters["ontology_refused"] += 1
        said = f"ontology edit refused, {self.version or 'nothing'} stays in force: {why}"
        logger.error("%s", said)
        # The line is in the log already; what is wrong with an edit degrades nothing.
        self._agent.conditions.fault(EDIT, said, level="warning")

    async def _put_in_force(self, edition: Edition) -> None:
        """For those who ask and assert here."""
        put_in_force(edition.taxonomy)
        version, knowledge = edition.kept.version, edition.knowledge
        if version != self._archive.ontology_version:
            await asyncio.to_thread(self._archive.set_ontology, knowledge.ntriples, version)
            self._agent.counters["ontology_versions"] += 1
            for warning in knowledge.warnings:
                logger.warning("ontology: %s", warning)
        enabled = sum(rule.enabled for rule in knowledge.rules)
        logger.info("ontology %s in force, %d rules enabled", version, enabled)
        described = await asyncio.to_thread(
            describe, edition.paths, version, knowledge.rules, self._sources.switched
        )
        await asyncio.to_thread(self._archive.set_graph, SERVICE_IRI, described)
        await self._facts.fit(edition)
        self._count_behind()

    async def _announce(self, edition: Edition, receivers: tuple[str, ...]) -> None:
        change, pieces = await asyncio.to_thread(split, _change(edition), edition.files)
        for group in by_message(pieces):
            records: list[Record] = [change, *group]
            await self._agent.send_many(
                receivers,
                "inform",
                records,
                protocol="fipa-subscribe",
                conversation_id=f"rules-{edition.kept.digest[:32]}",
            )
        self._agent.counters["rules_sent"] += len(receivers)

    async def _tell_words(self, edition: Edition) -> None:
        """To all who do not reason: the classes, and the version that they are of."""
        text = edition.taxonomy.text
        kept = edition.kept
        change = OntologyChanged(
            id=uuid.uuid5(uuid.NAMESPACE_URL, f"words {kept.digest} {kept.changed_us}").urn,
            kind=KIND,
            version=kept.version,
            digest=edition.taxonomy.digest,
            changed_us=kept.changed_us,
            detail=text,
        )
        settings, own = self._agent.settings, self._agent.jid
        receivers = [jid for role in READERS for jid in followers(settings, own, role)]
        if receivers:
            await self._agent.send_many(
                receivers,
                "inform",
                [change],
                protocol="fipa-subscribe",
                conversation_id=f"words-{kept.digest[:32]}",
            )

    def _count_behind(self) -> None:
        current = self._sources.in_force.kept.digest if self._sources.in_force else ""
        known = self.receivers.known
        self._agent.counters["receivers_behind"] = sum(
            name not in known or known[name].digest != current for name in self._followers()
        )


def _change(edition: Edition) -> OntologyChanged:
    """The announcement: the same version is the same announcement, so that pieces that are sent
    again fit to those that have arrived."""
    kept = edition.kept
    return OntologyChanged(
        id=uuid.uuid5(uuid.NAMESPACE_URL, f"{kept.origin} {kept.digest} {kept.changed_us}").urn,
        kind="rules",
        version=kept.version,
        digest=kept.digest,
        changed_us=kept.changed_us,
        detail=f"{len(edition.knowledge.rules)} rules",
    )
