"""Questions to the ontology agent, and facts to assert or retract.

Anybody may ask the ontology agent. Only the supervisor may have facts changed: it is asked in the
operator's name, and writes into the audit trail what became of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from agents.base.conversations import NoAnswer, RefusedByPeer
from agents.console.action_errors import SILENT, ActionError, kind_of
from agents.console.asking import Ask
from ontology.oversight import USER_PREFIX
from ontology.records import Answer, OntologyAction, OntologyActionName, Query, Record

QUERY_LIMIT_S = 30.0
CHANGE_LIMIT_S = 33.0
"""The supervisor waits 30 s for the ontology agent, where Pellet looks at every assertion."""


class Knowledge:
    """Questions and changes of logged-in people."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def query(self, sparql: str) -> tuple[dict[str, Any], bool]:
        """SPARQL results (JSON format), and whether rows are missing. Raises: ActionError"""
        question = Query(id=uuid4().urn, sparql=sparql)
        try:
            reply = await self._ask("ontology", "query-ref", question, QUERY_LIMIT_S)
        except RefusedByPeer as e:
            results = _results(e.records)[0]
            raise ActionError("refused", str(results.get("error", e.reason or "refused"))) from e
        except NoAnswer as e:
            raise ActionError(
                "unanswered", f"the ontology agent has not answered within {QUERY_LIMIT_S:g} s"
            ) from e
        except RuntimeError as e:
            raise ActionError("unanswered", "the ontology agent can't be asked just now") from e
        return _results(reply.records)

    async def change(
        self, action: OntologyActionName, fragment: str, reason: str, user: str
    ) -> str:
        """Assert or retract; returns the version in force. Raises: ActionError"""
        wanted = OntologyAction(
            id=uuid4().urn,
            ontology_action=action,
            fragment=fragment,
            detail=f"{USER_PREFIX}{user}: {reason}",
        )
        try:
            reply = await self._ask("supervisor", "request", wanted, CHANGE_LIMIT_S)
        except RefusedByPeer as e:
            said = next((r.detail for r in e.records if isinstance(r, OntologyAction)), e.reason)
            raise ActionError(kind_of(e), said or "refused") from e
        except (NoAnswer, RuntimeError) as e:
            raise ActionError("supervisor silent", SILENT) from e
        return next((r.detail for r in reply.records if isinstance(r, OntologyAction)), "")


def _results(records: Sequence[Record]) -> tuple[dict[str, Any], bool]:
    for record in records:
        if isinstance(record, Answer):
            return json.loads(record.results), record.truncated
    return {}, False
