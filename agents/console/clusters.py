"""What the analyzers' clusters are called, and how an operator has one called otherwise.

The ontology agent owns the file of names and announces them; a wish goes to the supervisor, which
writes into the audit trail what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.base.conversations import NoAnswer, RefusedByPeer
from agents.console.action_errors import SILENT, ActionError, kind_of
from agents.console.asking import Ask
from agents.console.views import ClusterView, cluster_view
from ontology.oversight import USER_PREFIX
from ontology.records import OntologyChanged, Record
from ontology.traffic_cluster import TrafficCluster

LIMIT_S = 7.0
"""The supervisor waits 5 s for the ontology agent."""


class ClusterNames:
    """Names as they were announced last, and wishes for others."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._clusters: dict[int, TrafficCluster] = {}
        self._announced_us = 0

    def all(self) -> list[ClusterView]:
        """By number; empty until the ontology agent has announced them."""
        return [cluster_view(self._clusters[number]) for number in sorted(self._clusters)]

    def on_announcement(self, records: Sequence[Record]) -> list[ClusterView]:
        """The ontology agent says how all clusters are called; returns those that changed."""
        at_us = max((r.changed_us for r in records if isinstance(r, OntologyChanged)), default=0)
        clusters = {r.cluster_number: r for r in records if isinstance(r, TrafficCluster)}
        if not clusters or at_us < self._announced_us:
            return []
        before, self._clusters, self._announced_us = self._clusters, clusters, at_us
        return [cluster_view(c) for n, c in clusters.items() if before.get(n) != c]

    async def rename(
        self, number: int, name: str, traffic_class: str, reason: str, user: str
    ) -> ClusterView:
        """Have a cluster called otherwise. Raises: ActionError"""
        current = self._clusters.get(number)
        if current is None:
            raise ActionError("unknown", f"there is no cluster {number}")
        try:
            wanted = replace(
                current,
                cluster_name=name,
                traffic_class=traffic_class,
                detail=f"{USER_PREFIX}{user}: {reason}",
            )
        except ValueError as e:
            raise ActionError("refused", str(e)) from e
        try:
            reply = await self._ask("supervisor", "request", wanted, LIMIT_S)
        except RefusedByPeer as e:
            said = next((r.detail for r in e.records if isinstance(r, TrafficCluster)), e.reason)
            raise ActionError(kind_of(e), said or "refused") from e
        except (NoAnswer, RuntimeError) as e:
            raise ActionError("supervisor silent", SILENT) from e
        answer = next((r for r in reply.records if isinstance(r, TrafficCluster)), wanted)
        return cluster_view(answer)
