"""Questions to the ontology agent, facts to assert or retract, rules to switch.

Anybody may ask the ontology agent. Only the supervisor may have that changed: it is asked in the
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
from agents.console.views import RuleView
from agents.knowledge.window_export import ExportError, unpacked, wish
from ontology.oversight import USER_PREFIX
from ontology.records import (
    Alert,
    Answer,
    Incident,
    OntologyAction,
    OntologyActionName,
    Query,
    Record,
)

QUERY_LIMIT_S = 30.0
CHANGE_LIMIT_S = 33.0
"""The supervisor waits 30 s for the ontology agent, where Pellet looks at every assertion."""


MAX_RULES = 20
"""Answers asked for until all rules are there; each holds a hundred and more."""
_RULES = """SELECT ?label ?comment ?file ?enabled ?by WHERE {
  ?rule a svc:Rule ; rdfs:label ?label ; svc:inFile ?file ; svc:enabled ?enabled .
  OPTIONAL { ?rule rdfs:comment ?comment }
  OPTIONAL { ?rule svc:switchedBy ?by }
} ORDER BY ?label OFFSET %d"""


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
        """Assert or retract, enable or disable; returns the version in force.

        Args:
            fragment: facts in Turtle, or the label of a rule.

        Raises: ActionError
        """
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

    async def export(self, incident: Incident, alerts: Sequence[Alert], user: str) -> bytes:
        """The alerts of an incident as one OWL file, made by the ontology agent.

        Raises: ActionError
        """
        try:
            wanted = wish(uuid4().urn, incident.id, alerts, user)
            reply = await self._ask("ontology", "request", wanted, QUERY_LIMIT_S)
            for record in reply.records:
                if isinstance(record, OntologyAction):
                    return unpacked(record.fragment)
        except RefusedByPeer as e:
            said = next((r.detail for r in e.records if isinstance(r, OntologyAction)), e.reason)
            raise ActionError("refused", said or "refused") from e
        except NoAnswer as e:
            raise ActionError(
                "unanswered", f"the ontology agent has not answered within {QUERY_LIMIT_S:g} s"
            ) from e
        except ExportError as e:
            raise ActionError("refused", str(e)) from e
        except RuntimeError as e:
            raise ActionError("unanswered", "the ontology agent can't be asked just now") from e
        raise ActionError("unanswered", "the ontology agent has answered nothing that fits")

    async def rules(self) -> list[RuleView]:
        """Every rule that is there, switched on or off, by label. Raises: ActionError"""
        found: dict[str, RuleView] = {}
        for _ in range(MAX_RULES):
            results, truncated = await self.query(_RULES % len(found))
            rows = results.get("results", {}).get("bindings", [])
            for row in rows:
                rule = _rule({name: str(cell["value"]) for name, cell in row.items()})
                found[rule.label] = rule
            if not truncated or not rows:
                break
        return [found[label] for label in sorted(found)]


def _rule(row: dict[str, str]) -> RuleView:
    return RuleView(
        label=row.get("label", ""),
        meaning=row.get("comment", ""),
        file=row.get("file", ""),
        enabled=row.get("enabled") == "true",
        switched_by=row.get("by", ""),
    )


def _results(records: Sequence[Record]) -> tuple[dict[str, Any], bool]:
    for record in records:
        if isinstance(record, Answer):
            return json.loads(record.results), record.truncated
    return {}, False
