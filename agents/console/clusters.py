"""What the analyzers' clusters are called, and how an operator has one called otherwise.

The ontology agent owns the file of names. The supervisor knows what it was told last, asks for a
change in the operator's name, and writes into the audit trail what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from agents.console.events import Hub
from agents.console.views import ClusterView, cluster_view
from agents.supervisor.errors import ServiceError
from agents.supervisor.ledger import Ledger
from ontology.records import OntologyChanged, Record
from ontology.traffic_cluster import TrafficCluster

Ask = Callable[[TrafficCluster, str], Awaitable[None]]
"""Sends the wish to the ontology agent, in the conversation of this name."""

ANSWER_LIMIT_S = 5.0
MAX_WAITING = 32
"""Operators' wishes on their way at once."""


class ClusterDesk:
    """Names as they are, and wishes under way. Coroutines run in the agent's loop."""

    def __init__(self, ledger: Ledger, hub: Hub, clock: Callable[[], int]) -> None:
        self.ask: Ask | None = None
        """Set by the agent; without it nothing can be renamed."""
        self._ledger, self._hub, self._clock = ledger, hub, clock
        self._clusters: dict[int, TrafficCluster] = {}
        self._told_us = 0
        self._waiting: dict[str, asyncio.Future[tuple[bool, TrafficCluster]]] = {}

    def all(self) -> list[ClusterView]:
        """By number; empty until the ontology agent has told."""
        return [cluster_view(self._clusters[number]) for number in sorted(self._clusters)]

    def told(self, records: Sequence[Record]) -> None:
        """The ontology agent announces how all clusters are called."""
        at_us = max((r.changed_us for r in records if isinstance(r, OntologyChanged)), default=0)
        clusters = {r.cluster_number: r for r in records if isinstance(r, TrafficCluster)}
        if not clusters or at_us < self._told_us:
            return
        before, self._clusters, self._told_us = self._clusters, clusters, at_us
        for number, cluster in clusters.items():
            if before.get(number) != cluster:
                self._hub.publish("clusters", str(number), cluster_view(cluster))

    def answered(self, conversation: str, cluster: TrafficCluster, *, done: bool) -> None:
        """The ontology agent's answer to a wish."""
        future = self._waiting.get(conversation)
        if future is not None and not future.done():
            future.set_result((done, cluster))

    async def rename(
        self, number: int, name: str, traffic_class: str, reason: str, user: str
    ) -> ClusterView:
        """Have a cluster called otherwise. Raises: ServiceError"""
        who = f"user:{user}"
        current = self._clusters.get(number)
        if current is None:
            raise ServiceError("unknown", f"there is no cluster {number}")
        try:
            wanted = replace(
                current,
                cluster_name=name,
                traffic_class=traffic_class,
                detail=f"{who}: {reason}",
            )
        except ValueError as e:
            raise ServiceError("refused", str(e)) from e
        try:
            done, answer = await self._request(wanted)
        except TimeoutError as e:
            await self._audit(who, "cluster renaming unanswered", wanted, reason)
            raise ServiceError(
                "unanswered",
                f"the ontology agent has not answered within {ANSWER_LIMIT_S:g} s; "
                "nothing was changed, as far as we know",
            ) from e
        if not done:
            await self._audit(who, "cluster renaming refused", wanted, answer.detail)
            raise ServiceError("refused", answer.detail)
        await self._audit(who, "cluster renamed", answer, reason)
        return cluster_view(answer)

    async def _request(self, wanted: TrafficCluster) -> tuple[bool, TrafficCluster]:
        if self.ask is None or len(self._waiting) >= MAX_WAITING:
            raise ServiceError("unanswered", "nothing can be renamed just now")
        conversation = f"cluster-{uuid4()}"
        future: asyncio.Future[tuple[bool, TrafficCluster]]
        future = asyncio.get_running_loop().create_future()
        self._waiting[conversation] = future
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self.ask(wanted, conversation)
                return await future
        finally:
            del self._waiting[conversation]

    async def _audit(self, who: str, what: str, cluster: TrafficCluster, why: str) -> None:
        await asyncio.to_thread(
            self._ledger.audit,
            who,
            what,
            f"cluster {cluster.cluster_number}",
            f"{cluster.cluster_name!r}, {cluster.traffic_class}: {why}",
            self._clock(),
        )
