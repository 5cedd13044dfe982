"""What the ontology agent does with a message: pure, message in, work out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from agents.ontology.archive import Archived
from agents.ontology.query import QueryRefused
from ontology.records import (
    Answer,
    OntologyAction,
    OntologyChanged,
    Query,
    Record,
    Subscription,
    TrafficCluster,
)

_NAMES = uuid.UUID("5b0c2b3e-30d9-5b36-8c55-5f5f6f1a2d11")
TOPICS = ("OntologyChanged", "TrafficCluster", "HostProfile")
"""What one may subscribe to."""


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
    """To versions of the rules, the names of clusters, or what is asserted of hosts."""
    actions: tuple[OntologyAction, ...] = ()
    reports: tuple[OntologyChanged, ...] = ()
    """What a receiver made of a version: in force (``inform``) or not (``refuse``)."""


def plan(performative: str, records: Sequence[Record]) -> Work:
    """Sort a message: ``inform`` is archived, ``query-ref`` and ``query-if`` are answered,
    ``request`` gives clusters other names, asserts, retracts, translates or exports, ``subscribe``
    asks for names or host facts, the rest is not understood.

    Raises:
        ServiceError: not for us.
    """
    match performative:
        case "inform":
            reports = _reports(records)
            if reports:
                return Work(reports=reports)
            kept: list[Archived] = []
            for record in records:
                if not isinstance(record, Archived):
                    raise ServiceError(f"{type(record).__name__} is not archived")
                kept.append(record)
            return Work(archive=tuple(kept))
        case "query-ref" | "query-if":
            queries: list[Query] = []
            for record in records:
                if not isinstance(record, Query):
                    raise ServiceError(f"{performative} wants Query, got {type(record).__name__}")
                queries.append(record)
            if len(queries) != 1:
                raise ServiceError(f"{performative} wants one Query, got {len(queries)}")
            return Work(queries=tuple(queries))
        case "request":
            wishes = tuple(r for r in records if isinstance(r, TrafficCluster))
            actions = tuple(r for r in records if isinstance(r, OntologyAction))
            if len(wishes) + len(actions) != 1 or len(records) != 1:
                raise ServiceError("request wants one TrafficCluster or one OntologyAction")
            return Work(wishes=wishes, actions=actions)
        case "subscribe":
            wanted = tuple(r for r in records if isinstance(r, Subscription))
            topics = [r.topic for r in wanted]
            if len(records) != 1 or len(topics) != 1 or topics[0] not in TOPICS:
                raise ServiceError(f"the ontology agent offers {', '.join(TOPICS)}, not {topics}")
            return Work(subscriptions=wanted)
        case "agree" | "refuse" | "not-understood" | "failure":
            reports = _reports(records)
            if reports and performative in ("refuse", "failure"):
                return Work(reports=reports)
            # Answers to our own subscriptions; nothing to do.
            if all(isinstance(record, Subscription) for record in records):
                return Work()
    raise ServiceError(
        "the ontology agent takes inform, query-ref, query-if, request and subscribe, "
        f"not {performative}"
    )


def _reports(records: Sequence[Record]) -> tuple[OntologyChanged, ...]:
    reports = tuple(r for r in records if isinstance(r, OntologyChanged))
    return reports if len(reports) == len(records) else ()


def to_answer(query: Query, results: str, *, truncated: bool) -> Answer:
    """The answer record; the same query gets the same id, so that a repeat is seen as one."""
    return Answer(
        id=f"urn:uuid:{uuid.uuid5(_NAMES, query.id)}",
        query=query.id,
        results=results,
        truncated=truncated,
    )


def to_truth(query: Query, results: str) -> Answer:
    """The answer to ``query-if``: true or false.

    Raises: QueryRefused if the question was not a yes-or-no one.
    """
    if "boolean" not in json.loads(results):
        raise QueryRefused("query-if wants ASK; all else goes into query-ref")
    return to_answer(query, results, truncated=False)


def to_refusal(query: Query, reason: str) -> Answer:
    """Why a question is not answered, in place of the results."""
    return to_answer(query, json.dumps({"error": reason}), truncated=False)
