"""REST ``/api/v1/clusters``: what clusters are called, and calling one otherwise."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from agents.console.access import Operator, Viewer, gate_of
from agents.console.api import Reason
from agents.console.views import ClustersView, ClusterView
from ontology.taxonomy import ATTACK_CLASSES, NORMAL
from ontology.traffic_cluster import MAX_CLUSTER_NAME

router = APIRouter(prefix="/api/v1")


class Rename(BaseModel):
    """Another name, and class, for a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=MAX_CLUSTER_NAME)
    """One line of printable characters."""
    traffic_class: str = Field(min_length=1, max_length=80)
    """``Normal``, or a class under ``Attack``."""
    reason: Reason


@router.get("/clusters")
async def list_clusters(request: Request, _: Viewer) -> ClustersView:
    """The analyzers' clusters with their names, and the classes that there are."""
    clusters = tuple(gate_of(request).console.clusters.all())
    return ClustersView(clusters=clusters, classes=(NORMAL, *sorted(ATTACK_CLASSES)))


@router.post("/clusters/{number}")
async def rename_cluster(
    request: Request, caller: Operator, number: Annotated[int, Path(ge=0, le=10_000)], body: Rename
) -> ClusterView:
    """Call a cluster otherwise, in alerts and here; 200: it is in the ontology's file."""
    return await gate_of(request).console.clusters.rename(
        number, body.name, body.traffic_class, body.reason, caller.user
    )
