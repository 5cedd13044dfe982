"""REST ``/api/v1/ontology``: questions to the ontology agent, facts to assert and retract."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from agents.console.access import Operator, Writer, gate_of
from agents.console.api import Reason
from agents.console.views import View

router = APIRouter(prefix="/api/v1/ontology")


class Question(BaseModel):
    """A SPARQL question."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sparql: str = Field(min_length=1, max_length=10_000)
    """SELECT or ASK."""


class Results(View):
    """SPARQL 1.1 results in JSON."""

    head: dict[str, Any]
    boolean: bool | None = None
    """The answer to ASK."""
    results: dict[str, Any] | None = None
    """``bindings``: the rows of SELECT."""
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
    """Version and number of all asserted facts."""


@router.post("/query")
async def query_ontology(request: Request, _: Writer, body: Question) -> Results:
    """Ask the ontology agent in SPARQL: archive, ontology, rules, clusters, asserted facts."""
    results, truncated = await gate_of(request).console.knowledge.query(body.sparql)
    return Results(
        head=results.get("head", {}),
        boolean=results.get("boolean"),
        results=results.get("results"),
        truncated=truncated,
    )


@router.post("/facts")
async def change_facts(request: Request, caller: Operator, body: Facts) -> FactsView:
    """Assert facts, or retract asserted ones; 200: checked by Pellet, on disk and in force."""
    detail = await gate_of(request).console.knowledge.change(
        body.action, body.fragment, body.reason, caller.user
    )
    return FactsView(detail=detail)
