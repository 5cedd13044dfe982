"""What is said of one blocked source, or of one that a mode holds back."""

from __future__ import annotations

import pytest

from agents.supervisor.bans import expired
from agents.supervisor.entry import Entry, GatewayState


def entry(kit, *states: tuple[str, str]) -> Entry:
    made = kit.decision()
    return Entry(
        id=kit.urn("e"),
        cause=made,
        decision=made,
        state="active",
        since_us=kit.T0,
        expires_us=kit.T0 + 900 * kit.S,
        gateways=tuple(
            GatewayState(
                gateway=f"gw{n}",
                wanted=wanted,
                state=state,
                since_us=kit.T0,
                expires_us=0,
                reported_us=0,
                decision=made.id,
            )
            for n, (wanted, state) in enumerate(states, 1)
        ),
    )


@pytest.mark.parametrize(
    ("states", "held", "waits", "lacking"),
    [
        ([("none", "waiting"), ("none", "shadow")], "waiting", True, []),
        ([("none", "shadow"), ("none", "shadow")], "shadow", False, []),
        ([("block", "active"), ("none", "waiting")], "", True, []),
        ([("block", "pending"), ("none", "shadow")], "", False, ["gw1"]),
        ([("block", "shadow"), ("block", "refused")], "", False, []),
    ],
)
def test_what_is_held_back_is_lacked_by_nobody(kit, states, held, waits, lacking):
    one = entry(kit, *states)
    assert (one.held, one.waits) == (held, waits)
    assert [g.gateway for g in one.gateways if one.lacks(g.gateway)] == lacking
    assert [g.state for g in one.gateways if not one.confirmed(g) and g.wanted == "none"] == []


def test_what_nobody_approved_in_time_no_longer_waits(kit):
    over = expired(entry(kit, ("none", "waiting"), ("none", "shadow")))
    assert [g.state for g in over.gateways] == ["expired", "shadow"]
    assert (over.held, over.waits) == ("", False)
