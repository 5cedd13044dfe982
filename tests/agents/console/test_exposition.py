"""Prometheus' text format, read back by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from agents.console.exposition import exposition
from agents.console.views import AgentView, agent_view

HOSTILE = 'x"} 1\nontoidps_blocks_active 99 # \\'


def an_agent(role: str, **health: str) -> AgentView:
    view = agent_view(f"{role}@x.test", role, "gw1")
    return view.model_copy(update={"state": "up", "health": health})


def samples(*agents: AgentView, counters: dict[str, int] | None = None) -> dict:
    text = exposition({"ban": 3, "active": 2}, agents, counters or {}, {"viewers": 1}).decode()
    return {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_what_is_known_is_exposed():
    found = samples(
        an_agent("supervisor", orders="7"), an_agent("sensor", sent="5"), counters={"pruned": 4}
    )
    assert found["ontoidps_blocks_active",] == 2
    assert found["ontoidps_store_rows", "ban"] == 3
    assert found["ontoidps_agent_up", "gw1", "sensor"] == 1
    assert found["ontoidps_supervisor_total", "orders"] == 7
    assert found["ontoidps_agent_total", "gw1", "sensor", "sent"] == 5
    assert found["ontoidps_viewers",] == 1
    assert found["ontoidps_console_total", "pruned"] == 4


def test_what_agents_write_stays_a_label():
    found = samples(an_agent("sensor", **{HOSTILE: "1", "text": "12 apples", "big": "9" * 40}))
    assert found["ontoidps_blocks_active",] == 2
    assert found["ontoidps_agent_total", *sorted(("gw1", "sensor", HOSTILE))] == 1
    assert sum(name[0] == "ontoidps_agent_total" for name in found) == 1
