"""Which gateways' words about blocks are no longer known to be so, and what that makes of a block.

A gateway says what it blocks whenever that changes, and every few seconds that it is there. Who has
not said so for a while, can't look at its rules, or found that its kernel doesn't do what they say,
may or may not drop: its ``active`` is shown as ``unknown``. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from agents.base.conditions import UNSURE
from agents.console.views import AgentView, BlockView, GatewayView


def doubts_about(agents: Iterable[AgentView]) -> dict[str, str]:
    """Gateway → why its last word may not hold any more."""
    found = {}
    for agent in agents:
        if agent.role == "reaction" and (why := _doubt(agent)):
            found[agent.node] = why
    return found


def _doubt(agent: AgentView) -> str:
    if agent.state == "absent":
        return "it has not been heard since the supervisor started"
    if agent.state == "silent":
        heard = datetime.fromtimestamp(agent.renewed_us / 1e6, UTC)
        return f"it has not been heard since {heard:%Y-%m-%d %H:%M:%S} UTC"
    return next((held.reason for held in agent.conditions if held.name in UNSURE), "")


def doubted(block: BlockView, doubts: Mapping[str, str]) -> BlockView:
    """The block with ``unknown`` in place of what a gateway said that is no longer known."""
    gateways = tuple(
        _unknown(gateway, doubts[gateway.gateway])
        if gateway.gateway in doubts and gateway.state == "active"
        else gateway
        for gateway in block.gateways
    )
    if gateways == block.gateways:
        return block
    return block.model_copy(update={"gateways": gateways, "settled": False})


def _unknown(gateway: GatewayView, why: str) -> GatewayView:
    detail = "; ".join(part for part in (f"it said active, but {why}", gateway.detail) if part)
    return gateway.model_copy(update={"state": "unknown", "confirmed": False, "detail": detail})
