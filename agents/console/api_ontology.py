"""REST ``/api/v1/ontology``: questions, facts to assert and retract, rules to switch."""

from __future__ import annotations

import asyncio
from string import ascii_letters, digits
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from agents.console.access import Operator, Viewer, Writer, gate_of
from agents.console.api import Reason
from agents.console.views import RuleView, View
from ontology.records import OntologyActionName

router = APIRouter(prefix="/api/v1/ontology")

RDF_XML = "application/rdf+xml"
_PREFIX = "urn:uuid:"
_IN_FILE_NAMES = frozenset(ascii_letters + digits + "-")


class Question(BaseModel):
    """A SPARQL question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sparql: str = Field(min_length=1, max_length=10_000)
    """SELECT, ASK, CONSTRUCT or DESCRIBE."""


class Results(View):
    """SPARQL 1.1 results in JSON."""

    head: dict[str, Any]
    boolean: bool | None = None
    """The answer to ASK."""
    results: dict[str, Any] | None = None
    """``bindings``: the rows of SELECT."""
    graph: str | None = None
    """What CONSTRUCT and DESCRIBE give, as N-Triples."""
    truncated: bool
    """There are more rows than an answer may hold."""


class Facts(BaseModel):
    """Facts about individuals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["assert", "retract"]
    fragment: str = Field(min_length=1, max_length=50_000)
    """Turtle."""
    reason: Reason


class FactsView(View):
    """What is in force after it."""

    detail: str
    """Its version, and how many facts are asserted if they were changed."""


class RulesView(View):
    """All rules, by label."""

    rules: tuple[RuleView, ...]


class RuleSwitch(BaseModel):
    """A rule on or off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool
    reason: Reason


@router.post("/query")
async def query_ontology(request: Request, _: Writer, body: Question) -> Results:
    """Ask the ontology agent in SPARQL: archive, ontology, rules, clusters, asserted facts."""
    results, truncated = await gate_of(request).console.knowledge.query(body.sparql)
    return Results(
        head=results.get("head", {}),
        boolean=results.get("boolean"),
        results=results.get("results"),
        graph=results.get("graph"),
        truncated=truncated,
    )


@router.post("/facts")
async def change_facts(request: Request, caller: Operator, body: Facts) -> FactsView:
    """Assert facts, or retract asserted ones; 200: checked by Pellet, on disk and in force."""
    detail = await gate_of(request).console.knowledge.change(
        body.action, body.fragment, body.reason, caller.user
    )
    return FactsView(detail=detail)


@router.get("/rules")
async def list_rules(request: Request, _: Viewer) -> RulesView:
    """Every rule, on or off, with its meaning and the file it stands in."""
    return RulesView(rules=tuple(await gate_of(request).console.knowledge.rules()))


@router.get(
    "/incidents/{incident_id}",
    response_class=Response,
    responses={200: {"content": {RDF_XML: {}}}},
)
async def export_incident(request: Request, caller: Viewer, incident_id: str) -> Response:
    """An incident as one OWL file for Protégé: its alerts, ontology and rules in force.

    The same bytes as ``ontoidps ontology export`` writes for this version.
    """
    console = gate_of(request).console
    name = incident_id if incident_id.startswith(_PREFIX) else _PREFIX + incident_id
    incident = await asyncio.to_thread(console.store.incident, name)
    if incident is None:
        raise HTTPException(404, "there is no such incident")
    found = [await asyncio.to_thread(console.store.alert, one) for one in incident.incident.alerts]
    alerts = [view.alert for view in found if view is not None]
    data = await console.knowledge.export(incident.incident, alerts, caller.user)
    plain = "".join(c for c in name.removeprefix(_PREFIX)[:64] if c in _IN_FILE_NAMES)
    headers = {
        "Content-Disposition": f'attachment; filename="incident-{plain}.owl"',
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=RDF_XML, headers=headers)


@router.post("/rules/{label:path}")
async def switch_rule(
    request: Request,
    caller: Operator,
    label: Annotated[str, Path(min_length=1, max_length=200)],
    body: RuleSwitch,
) -> FactsView:
    """Switch a rule on or off, for good; 200: that is checked and in force."""
    action: OntologyActionName = "enable" if body.enabled else "disable"
    detail = await gate_of(request).console.knowledge.change(
        action, label, body.reason, caller.user
    )
    return FactsView(detail=detail)
