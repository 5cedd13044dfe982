"""Operators' changes of the knowledge: passed on to the ontology agent, and written into the trail.

The console asks in an operator's name; only the supervisor may have facts asserted and clusters
renamed, so that no change happens that the audit trail doesn't know.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol, TypeVar

from agents.base.conversations import NoAnswer, RefusedByPeer, Reply
from agents.supervisor.ledger import Ledger
from ontology.records import OntologyAction, Record, TrafficCluster

RENAMING_LIMIT_S = 5.0
FACTS_LIMIT_S = 30.0
"""Pellet looks at every assertion, which takes seconds."""
MAX_SHOWN = 1000
"""Characters of a fragment in the trail."""

MAX_LABEL = 200

Outcome = Literal["inform", "refuse", "failure"]
"""Performative of the answer: done; refused; the ontology agent does not answer."""
Change = TypeVar("Change", TrafficCluster, OntologyAction)


class Ask(Protocol):
    """Asks the ontology agent (a request). Raises: NoAnswer, RefusedByPeer, RuntimeError"""

    async def __call__(self, record: Record, limit_s: float) -> Reply: ...


class Changes:
    """See the module. Not for message handlers: it waits for another agent."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int], ask: Ask) -> None:
        self._ledger, self._clock, self._ask = ledger, clock, ask

    async def make(
        self, wanted: TrafficCluster | OntologyAction
    ) -> tuple[Outcome, TrafficCluster | OntologyAction]:
        """Either of them."""
        if isinstance(wanted, TrafficCluster):
            return await self.rename(wanted)
        return await self.change(wanted)

    async def rename(self, wanted: TrafficCluster) -> tuple[Outcome, TrafficCluster]:
        """Have a cluster called otherwise; ``detail`` is ``user:NAME: reason``."""
        who, reason = _author(wanted.detail)
        outcome, answer, why = await self._pass_on(wanted, RENAMING_LIMIT_S)
        words = {
            "inform": "renamed",
            "refuse": "renaming refused",
            "failure": "renaming unanswered",
        }
        await self._audit(
            who,
            f"cluster {words[outcome]}",
            f"cluster {answer.cluster_number}",
            f"{answer.cluster_name!r}, {answer.traffic_class}: {why or reason}",
        )
        return outcome, answer

    async def change(self, wanted: OntologyAction) -> tuple[Outcome, OntologyAction]:
        """Assert or retract facts, switch a rule; ``detail`` is ``user:NAME: reason``."""
        who, reason = _author(wanted.detail)
        outcome, answer, why = await self._pass_on(wanted, FACTS_LIMIT_S)
        action = wanted.ontology_action
        if action in ("enable", "disable"):
            done = {"inform": f"rule {action}d", "refuse": f"{action} refused"}
            said = f"{reason}: {why or answer.detail}"
            label = wanted.fragment[:MAX_LABEL]
            await self._audit(who, done.get(outcome, f"{action} unanswered"), label, said)
            return outcome, answer
        words = {
            "inform": f"facts {action}ed",
            "refuse": f"{action} refused",
            "failure": f"{action} unanswered",
        }
        digest = hashlib.sha256(wanted.fragment.encode()).hexdigest()[:12]
        shown = " ".join(wanted.fragment.split())[:MAX_SHOWN]
        said = why or answer.detail
        await self._audit(who, words[outcome], f"facts {digest}", f"{reason}: {said}: {shown}")
        return outcome, answer

    async def _pass_on(self, wanted: Change, limit_s: float) -> tuple[Outcome, Change, str]:
        """(outcome, the record that answers, why it wasn't done)"""
        try:
            reply = await self._ask(wanted, limit_s)
        except RefusedByPeer as e:
            answer = next((r for r in e.records if isinstance(r, type(wanted))), None)
            why = answer.detail if answer is not None else e.reason or "refused"
            return "refuse", replace(answer or wanted, detail=why), why
        except (NoAnswer, RuntimeError) as e:
            limit = f" within {limit_s:g} s" if isinstance(e, NoAnswer) else ""
            why = (
                f"the ontology agent has not answered{limit}; "
                "nothing was changed, as far as we know"
            )
            return "failure", replace(wanted, detail=why), why
        answer = next((r for r in reply.records if isinstance(r, type(wanted))), wanted)
        return "inform", answer, ""

    async def _audit(self, who: str, what: str, subject: str, why: str) -> None:
        await asyncio.to_thread(self._ledger.audit, who, what, subject, why, self._clock())


def _author(detail: str) -> tuple[str, str]:
    who, _, reason = detail.partition(": ")
    return who, reason
