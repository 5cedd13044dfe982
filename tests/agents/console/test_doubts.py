from ipaddress import ip_address
from typing import Any

import pytest

from agents.console.doubts import doubted, doubts_about
from agents.console.views import AgentView, BlockView, ConditionView, GatewayView, agent_view


def gateway(name: str, state: str = "up", role: str = "reaction", *held: str) -> AgentView:
    conditions = tuple(
        ConditionView(name=h, level="degraded", reason=f"no {h}", since_us=1, numbers={})
        for h in held
    )
    update = {"state": state, "renewed_us": 1_790_000_000_000_000, "conditions": conditions}
    return agent_view(f"{role}.{name}@h", role, name).model_copy(update=update)


def block(**states: str) -> BlockView:
    said: dict[str, Any] = {"since_us": 1, "expires_us": 2, "wanted": "block"}
    return BlockView(
        id="urn:uuid:1",
        source=ip_address("192.0.2.66"),
        target=None,
        state="active",
        settled=all(state == "active" for state in states.values()),
        classification="SynScan",
        reason="",
        origin="",
        since_us=1,
        expires_us=2,
        ended_us=0,
        ended_by="",
        decision="",
        incident=None,
        gateways=tuple(
            GatewayView(gateway=g, state=s, confirmed=s == "active", detail="", **said)
            for g, s in states.items()
        ),
    )


@pytest.mark.parametrize(
    ("agent", "why"),
    [
        (gateway("gw1"), ""),
        (gateway("gw1", "degraded", "reaction", "behind"), ""),
        (gateway("gw1", "degraded", "reaction", "firewall"), "no firewall"),
        (gateway("gw1", "degraded", "reaction", "behind", "packet-path"), "no packet-path"),
        (gateway("gw1", "silent"), "it has not been heard since 2026-09-21 14:13:20 UTC"),
        (gateway("gw1", "absent"), "it has not been heard since the supervisor started"),
        (gateway("gw1", "silent", "sensor"), ""),
    ],
)
def test_whose_word_may_not_hold_any_more(agent: AgentView, why: str) -> None:
    assert doubts_about([agent]).get("gw1", "") == why


def test_active_is_what_is_known_now_and_not_what_was_said_last() -> None:
    one = block(gw1="active", gw2="active", gw3="pending", gw4="lifted")
    found = doubted(one, {"gw1": "it is dead", "gw3": "it is dead", "gw4": "it is dead"})
    assert [g.state for g in found.gateways] == ["unknown", "active", "pending", "lifted"]
    assert found.gateways[0].detail == "it said active, but it is dead"
    assert not found.gateways[0].confirmed and found.gateways[1].confirmed
    assert not found.settled


def test_without_doubt_nothing_changes() -> None:
    one = block(gw1="active", gw2="active")
    assert doubted(one, {}) is one and doubted(one, {"gw9": "it is dead"}) is one
    assert one.settled
