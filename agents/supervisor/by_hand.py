"""What a person's word makes of an entry, beside what agents could decide as well. Pure."""

from __future__ import annotations

from dataclasses import replace

from agents.supervisor.entry import Entry, GatewayState
from ontology.records import Decision

VETOED = "vetoed by "
"""How the detail of a gateway begins on which a person said no."""


def shortened(entry: Entry, decision: Decision, expires_us: int, now_us: int) -> Entry:
    """The entry with an earlier end; gateways that block must be told."""
    gateways = tuple(
        replace(g, state="pending", since_us=now_us)
        if g.wanted == "block" and g.state not in ("active", "pending")
        else g
        for g in entry.gateways
    )
    return replace(entry, decision=decision, expires_us=expires_us, gateways=gateways)


def vetoed(entry: Entry, origin: str, now_us: int) -> Entry:
    """The entry after a person said no to what waits: where it is blocked it stays so."""
    gateways = tuple(
        replace(g, state="refused", since_us=now_us, detail=f"{VETOED}{origin}")
        if g.state == "waiting"
        else g
        for g in entry.gateways
    )
    return replace(entry, gateways=gateways)


def waiting_again(entry: Entry, now_us: int, waiting_us: int) -> Entry:
    """The entry as if nobody had said no."""

    def again(g: GatewayState) -> GatewayState:
        no = g.state == "refused" and g.detail.startswith(VETOED)
        if not no and (entry.state == "active" or g.state == "shadow"):
            return g
        return replace(g, state="waiting", wanted="none", since_us=now_us, detail="mode approve")

    return replace(
        entry,
        state="active",
        ended_us=0,
        ended_by="",
        expires_us=entry.expires_us if entry.state == "active" else now_us + waiting_us,
        gateways=tuple(map(again, entry.gateways)),
    )
