"""What an operator asks of the ontology agent: questions, and facts to assert or retract.

The supervisor asks in the operator's name and writes into the audit trail what became of a change.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from agents.supervisor.errors import ServiceError
from agents.supervisor.ledger import Ledger
from ontology.records import Answer, OntologyAction, OntologyActionName, Query, Record

Ask = Callable[[Record, str, str], Awaitable[None]]
"""Sends a record to the ontology agent with this performative, in the conversation of this name."""

ANSWER_LIMIT_S = 30.0
"""Pellet looks at every assertion, which takes seconds."""
MAX_WAITING = 16


class KnowledgeDesk:
    """Requests on their way. Coroutines run in the agent's loop."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self.ask: Ask | None = None
        """Set by the agent; without it nothing can be asked."""
        self._ledger, self._clock = ledger, clock
        self._waiting: dict[str, asyncio.Future[tuple[bool, Record]]] = {}

    def answered(self, conversation: str, record: Record, *, done: bool) -> None:
        """The ontology agent's answer."""
        future = self._waiting.get(conversation)
        if future is not None and not future.done():
            future.set_result((done, record))

    async def query(self, sparql: str) -> tuple[dict[str, Any], bool]:
        """SPARQL results (JSON format), and whether rows are missing. Raises: ServiceError"""
        record = Query(id=uuid4().urn, sparql=sparql)
        done, answer = await self._request(record, "query-ref")
        results = json.loads(answer.results) if isinstance(answer, Answer) else {}
        if not done or not isinstance(answer, Answer):
            raise ServiceError("refused", str(results.get("error", "refused")))
        return results, answer.truncated

    async def change(
        self, action: OntologyActionName, fragment: str, reason: str, user: str
    ) -> str:
        """Assert or retract; returns the version in force. Raises: ServiceError"""
        who = f"user:{user}"
        record = OntologyAction(
            id=uuid4().urn, ontology_action=action, fragment=fragment, detail=f"{who}: {reason}"
        )
        subject = f"facts {hashlib.sha256(fragment.encode()).hexdigest()[:12]}"
        try:
            done, answer = await self._request(record, "request")
        except ServiceError as e:
            await self._audit(who, f"{action} unanswered", subject, f"{reason}: {e}")
            raise
        said = answer.detail if isinstance(answer, OntologyAction) else "refused"
        shown = " ".join(fragment.split())[:1000]
        if not done:
            await self._audit(who, f"{action} refused", subject, f"{reason}: {said}: {shown}")
            raise ServiceError("refused", said)
        await self._audit(who, f"facts {action}ed", subject, f"{reason}: {said}: {shown}")
        return said

    async def _request(self, record: Record, performative: str) -> tuple[bool, Record]:
        if self.ask is None or len(self._waiting) >= MAX_WAITING:
            raise ServiceError("unanswered", "the ontology agent can't be asked just now")
        conversation = f"knowledge-{uuid4()}"
        future: asyncio.Future[tuple[bool, Record]] = asyncio.get_running_loop().create_future()
        self._waiting[conversation] = future
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self.ask(record, performative, conversation)
                return await future
        except TimeoutError as e:
            raise ServiceError(
                "unanswered", f"the ontology agent has not answered within {ANSWER_LIMIT_S:g} s"
            ) from e
        finally:
            del self._waiting[conversation]

    async def _audit(self, who: str, what: str, subject: str, why: str) -> None:
        await asyncio.to_thread(self._ledger.audit, who, what, subject, why, self._clock())
