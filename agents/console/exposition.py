"""``/metrics``: what the console knows, for Prometheus.

Names and labels come from our code and the honeynet file; names of counters come from other
agents, and prometheus-client escapes what is a label's value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.console.views import AgentView

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_VALUE = 2**63


class _Snapshot(Collector):
    def __init__(
        self,
        rows: Mapping[str, int],
        agents: Iterable[AgentView],
        counters: Mapping[str, int],
        gauges: Mapping[str, int],
    ) -> None:
        self._rows, self._agents, self._counters = dict(rows), tuple(agents), counters
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        rows = dict(self._rows)
        yield _gauge("blocks_active", "Bans in force.", rows.pop("active"))
        table = GaugeMetricFamily(
            "ontoidps_store_rows", "Rows of the console's store.", labels=["table"]
        )
        for name, count in rows.items():
            table.add_metric([name], count)
        yield table
        up = GaugeMetricFamily(
            "ontoidps_agent_up", "Whether an agent holds its lease.", labels=["role", "node"]
        )
        told = CounterMetricFamily(
            "ontoidps_agent", "What an agent counts.", labels=["role", "node", "name"]
        )
        supervisor = CounterMetricFamily(
            "ontoidps_supervisor", "What the supervisor counts.", labels=["name"]
        )
        condition = GaugeMetricFamily(
            "ontoidps_agent_condition",
            "What an agent can't do just now (degraded), or what it loses (warning).",
            labels=["role", "node", "level", "name"],
        )
        for agent in self._agents:
            up.add_metric([agent.role, agent.node], int(agent.state in ("up", "degraded")))
            for held in agent.conditions:
                condition.add_metric([agent.role, agent.node, held.level, held.name], 1)
            for name, value in agent.health.items():
                if value.isdecimal() and int(value) < MAX_VALUE:
                    if agent.role == "supervisor":
                        supervisor.add_metric([name], int(value))
                    else:
                        told.add_metric([agent.role, agent.node, name], int(value))
        yield from (up, condition, told, supervisor)
        for name, size in self._gauges.items():
            yield _gauge(name, name.replace("_", " ").capitalize() + ".", size)
        own = CounterMetricFamily("ontoidps_console", "What the console counts.", labels=["name"])
        for name, count in sorted(self._counters.items()):
            own.add_metric([name], count)
        yield own


def _gauge(name: str, says: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"ontoidps_{name}", says, value=value)


def exposition(
    rows: Mapping[str, int],
    agents: Iterable[AgentView],
    counters: Mapping[str, int],
    gauges: Mapping[str, int],
) -> bytes:
    """Prometheus' text format 0.0.4.

    Args:
        rows: of the store, by table, with ``active`` for bans in force.
        counters: the console's own.
        gauges: name without prefix to value.
    """
    registry = CollectorRegistry()
    registry.register(_Snapshot(rows, agents, counters, gauges))
    return generate_latest(registry)
