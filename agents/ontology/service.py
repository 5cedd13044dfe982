"""What the ontology agent does with a message: pure, message in, work out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from agents.ontology.archive import Archived
from agents.ontology.query import check_query
from ontology.records import (
    Alert,
    Answer,
    Block,
    Decision,
    Incident,
    Query,
    Record,
    Subscription,
    TrafficCluster,
)

_NAMES = uuid.UUID("5b0c2b3e-30d9-5b36-8c55-5f5f6f1a2d11")


class ServiceError(ValueError):
    """A message that the ontology agent does not understand; the message says what it wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one message asks for."""

    archive: tuple[Archived, ...] = ()
    queries: tuple[Query, ...] = ()
    wishes: tuple[TrafficCluster, ...] = ()
    """Clusters with the names that they shall have."""
    subscriptions: tuple[Subscription, ...] = ()
    """To the names of clusters."""


def plan(performative: str, records: Sequence[Record]) -> Work:
    """Sort a message: ``inform`` is archived, ``query-ref`` answered, ``request`` gives clusters
    other names, ``subscribe`` asks for them, the rest is not understood.

    Raises:
        ServiceError: not for us.
        QueryRefused: a question that must not be asked.
    """
    match performative:
        case "inform":
            kept: list[Archived] = []
            for record in records:
                if not isinstance(record, Alert | Incident | Decision | Block):
                    raise ServiceError(f"{type(record).__name__} is not archived")
                kept.append(record)
            return Work(archive=tuple(kept))
        case "query-ref":
            queries: list[Query] = []
            for record in records:
                if not isinstance(record, Query):
                    raise ServiceError(f"query-ref wants Query, got {type(record).__name__}")
                check_query(record.sparql)
                queries.append(record)
            if len(queries) != 1:
                raise ServiceError(f"query-ref wants one Query, got {len(queries)}")
            return Work(queries=tuple(queries))
        case "request":
            wishes = tuple(r for r in records if isinstance(r, TrafficCluster))
            if len(wishes) != 1 or len(records) != 1:
                raise ServiceError("request wants one TrafficCluster")
            return Work(wishes=wishes)
        case "subscribe":
            wanted = tuple(r for r in records if isinstance(r, Subscription))
            topics = [r.topic for r in wanted]
            if topics != ["TrafficCluster"] or len(records) != 1:
                raise ServiceError(f"the ontology agent offers TrafficCluster, not {topics}")
            return Work(subscriptions=wanted)
        case "agree" | "refuse" | "not-understood" | "failure":
            # Answers to our own subscriptions; nothing to do.
            if all(isinstance(record, Subscription) for record in records):
                return Work()
    raise ServiceError(
        f"the ontology agent takes inform, query-ref, request and subscribe, not {performative}"
    )


def to_answer(query: Query, results: str, *, truncated: bool) -> Answer:
    """The answer record; the same query gets the same id, so that a repeat is seen as one."""
    return Answer(
        id=f"urn:uuid:{uuid.uuid5(_NAMES, query.id)}",
        query=query.id,
        results=results,
        truncated=truncated,
    )
