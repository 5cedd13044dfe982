"""Assert, retract and translate: what the ontology agent answers to an OntologyAction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from pyoxigraph import Triple

from agents.ontology.facts import (
    Consistent,
    FactBook,
    FactRefused,
    Terms,
    as_owl,
    check_facts,
)
from ontology.authoring.translation import TranslationError, translate
from ontology.fragments import MAX_BYTES, FragmentError
from ontology.records import OntologyAction

logger = logging.getLogger(__name__)

MAX_DETAIL = 1_500


class FactChanges:
    """The facts with what they are checked against. Coroutines run in the agent's loop."""

    def __init__(
        self,
        book: FactBook,
        *,
        consistent: Consistent,
        reported: Callable[[str], bool],
    ) -> None:
        """``reported`` says whether an individual is a record that nobody may change here."""
        self.book = book
        self._consistent, self._reported = consistent, reported
        self._terms: Terms | None = None
        self._lock = asyncio.Lock()

    async def set_terms(self, ntriples: bytes) -> int:
        """Another ontology is in force; returns how many facts no longer fit and were put aside."""
        async with self._lock:
            terms = await asyncio.to_thread(Terms.from_ntriples, ntriples)
            gone = await asyncio.to_thread(self.book.set_aside, terms)
            self._terms = terms
        if gone:
            logger.warning("%d asserted facts no longer fit and are in facts.unfit.nt", gone)
        return gone

    async def change(self, action: OntologyAction) -> tuple[bool, OntologyAction]:
        """Assert or retract; (done, answer). What was refused has changed nothing."""
        async with self._lock:
            before = self.book.version
            try:
                facts = await asyncio.to_thread(
                    self.book.after, action.ontology_action, action.fragment
                )
                if facts != self.book.facts:
                    await asyncio.to_thread(self._check, facts)
                    await asyncio.to_thread(self.book.keep, facts)
            except FactRefused as e:
                return False, replace(action, detail=str(e)[:MAX_DETAIL])
            said = self.book.version if self.book.version != before else f"{before}, as before"
            return True, replace(action, detail=f"{said}, {len(facts)} facts")

    def _check(self, facts: frozenset[Triple]) -> None:
        if self._terms is None:
            raise FactRefused("INCONSISTENT", "there is no ontology in force to check against")
        for fact in facts - self.book.facts:
            name = str(getattr(fact.subject, "value", ""))
            if self._reported(name):
                raise FactRefused(
                    "READ-ONLY", f"<{name}> stands in honeynet.toml or was reported by an agent"
                )
        check_facts(facts, self._terms)
        against = self._consistent(as_owl(facts))
        if against:
            raise FactRefused("INCONSISTENT", against[:MAX_DETAIL])


def translated(action: OntologyAction) -> tuple[bool, OntologyAction]:
    """(done, answer): the fragment in the other terms, with what was lost in ``detail``."""
    try:
        found = translate(action.fragment, action.target_ontology)
    except (TranslationError, FragmentError) as e:
        return False, replace(action, detail=f"TRANSLATION: {e}"[:MAX_DETAIL])
    answer = replace(
        action,
        fragment=found.fragment,
        detail="; ".join(found.losses)[:MAX_DETAIL] or "nothing was lost",
    )
    if len(answer.fragment) > MAX_BYTES // 2:
        return False, replace(action, fragment="", detail="TRANSLATION: too long for a message")
    return True, answer
