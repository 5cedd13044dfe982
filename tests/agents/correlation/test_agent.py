"""The shell without a bus: what it stores, sends and survives. The bus has tests of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.base import AgentContext
from agents.clock import now_us
from agents.correlation.agent import MAX_QUEUE, CorrelationAgent
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from ontology.fragments import FragmentError
from ontology.records import Alert, Decision, Incident, Record

ANALYZER = "analyzer.gw1@honeynet.localdomain"


class Probe(CorrelationAgent):
    """Keeps what it would put into the outbox."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.sent: list[tuple[str, str, tuple[Record, ...]]] = []

    async def send(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        reply_by_us: int | None = None,
    ) -> AclMessage:
        self.sent.append((receiver.partition(".")[0], performative, tuple(records)))
        return MESSAGE


MESSAGE = AclMessage(
    performative="inform",
    sender=ANALYZER,
    receivers=("correlation.gw1@honeynet.localdomain",),
)


@asynccontextmanager
async def running(state: Path, kind: type[Probe] = Probe) -> AsyncIterator[Probe]:
    settings = Settings.model_validate(
        {
            "state_dir": state,
            "node": [
                {
                    "name": "gw1",
                    "agents": ["sensor", "analyzer", "ontology", "correlation", "supervisor"],
                    "interfaces": ["eth0"],
                }
            ],
            "honeypot": [{"address": "198.51.100.5", "node": "gw1"}],
        }
    )
    agent = kind(AgentContext(settings=settings, role="correlation", node="gw1"))
    await agent.on_start()
    try:
        yield agent
    finally:
        await agent.on_stop()
        await agent._end_tasks()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the agent offers no event for this


def alert(number: int, classification: str, ago_s: int) -> Alert:
    begin_us = now_us() - ago_s * 1_000_000
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        classification=classification,
        source=ip_address("192.0.2.7"),
        target=ip_address("198.51.100.5"),
        protocol=6,
        begin_us=begin_us,
        end_us=begin_us + 1,
        confidence=0.9,
        verified_source=True,
        sensor="sensor.gw1@honeynet.localdomain",
        analyzer=ANALYZER,
        explanation="because",
    )


def decisions(agent: Probe, receiver: str) -> list[Decision]:
    return [r for to, _, rs in agent.sent if to == receiver for r in rs if isinstance(r, Decision)]


async def test_alerts_become_a_request_with_everything_it_rests_on(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: len(agent.sent) == 2)
        assert [(to, how, getattr(r, "topic", "")) for to, how, (r,) in agent.sent] == [
            ("analyzer", "subscribe", "Alert"),
            ("ontology", "subscribe", "HostProfile"),
        ]
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        (decision,) = decisions(agent, "supervisor")
        request = next(
            records for to, performative, records in agent.sent if performative == "request"
        )
        incident = next(r for r in request if isinstance(r, Incident))
        assert request[0] == decision and decision.incident == incident.id
        assert {a.id for a in request if isinstance(a, Alert)} == set(incident.alerts)


async def test_a_restart_remembers_the_scan_and_repeats_nothing(tmp_path: Path) -> None:
    scan = alert(1, "SynScan", 9)
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (scan,))
        await until(lambda: agent.counters["senior"] == 1)
        await until(lambda: agent._log().read(done=True) == [scan])
    async with running(tmp_path) as agent:
        # At-least-once delivery: the same message may come again.
        await agent.on_message(MESSAGE, (scan,))
        await agent.on_message(MESSAGE, (alert(2, "FtpBruteForce", 5),))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        rules = {r.rule for _, _, rs in agent.sent for r in rs if isinstance(r, Incident)}
        assert "ScanThenBruteForce" in rules and agent.counters["alerts_received"] == 1


async def test_what_was_acknowledged_but_not_reasoned_about_is_done_after_a_crash(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        # As if killed between the acknowledgement and the tick.
        agent._log().add([alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)])
    async with running(tmp_path) as agent:
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


async def test_a_killed_reasoner_loses_no_alert(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: agent._worker is not None and agent._worker.pid is not None)
        assert agent._worker is not None and agent._worker.pid is not None
        psutil.Process(agent._worker.pid).kill()
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "supervisor")) == 1)
        assert not agent._log().read(done=False)


async def test_a_full_queue_leaves_the_message_unacknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        many = tuple(alert(i, "SynScan", 9) for i in range(3))
        agent._queue.extend([many[0]] * (MAX_QUEUE - 2))
        with pytest.raises(RuntimeError, match="wait for the reasoner"):
            await agent.on_message(MESSAGE, many)
        assert agent.counters["queue_full"] == 1 and agent._log().read(done=False) == []
        agent._queue.clear()


async def test_an_incident_that_can_not_be_sent_does_not_hold_up_the_order(tmp_path: Path) -> None:
    class Narrow(Probe):
        async def send(
            self, receiver: str, performative: str, records: Sequence[Record], **more: Any
        ) -> AclMessage:
            if any(isinstance(r, Incident) for r in records):
                raise FragmentError("too large")
            return await super().send(receiver, performative, records, **more)

    async with running(tmp_path, Narrow) as agent:
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: agent.counters["incidents_unsendable"] == 2)
        assert len(decisions(agent, "supervisor")) == 1
        await until(lambda: not agent._log().read(done=False))
