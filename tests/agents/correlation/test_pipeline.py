"""Alerts on their way: queued, reasoned about after a crash, waiting for a reasoner that died."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agents.correlation.outcome import Outcome
from agents.correlation.pipeline import MAX_QUEUE, MAX_UNVERIFIED_BATCH, MAX_UNVERIFIED_QUEUE
from ontology.records import Alert, Block, Incident
from tests.agents.correlation.probe import MESSAGE, Probe, alert, decisions, running, until

reasoner_stays = pytest.mark.usefixtures("reasoner_stays")


@reasoner_stays
async def test_a_restart_remembers_the_scan_and_repeats_nothing(tmp_path: Path) -> None:
    scan = alert(1, "SynScan", 9)
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (scan,))
        await until(lambda: agent.counters["senior"] == 1)
        await until(lambda: agent.running.journal.read(done=True) == [scan])
    async with running(tmp_path) as agent:
        # At-least-once delivery: the same message may come again.
        await agent.on_message(MESSAGE, (scan,))
        await agent.on_message(MESSAGE, (alert(2, "FtpBruteForce", 5),))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        rules = {r.rule for _, _, rs in agent.sent for r in rs if isinstance(r, Incident)}
        assert "ScanThenBruteForce" in rules and agent.counters["alerts_received"] == 1


@reasoner_stays
async def test_what_was_acknowledged_but_not_reasoned_about_is_done_after_a_crash(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        # As if killed between the acknowledgement and the tick.
        agent.running.journal.add([alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)])
    async with running(tmp_path) as agent:
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


@reasoner_stays
async def test_what_a_slip_of_ours_interrupts_is_done_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slip(*_: object) -> None:
        raise KeyError("not thought of")

    async with running(tmp_path) as agent:
        with monkeypatch.context() as patch:
            patch.setattr(agent.running.engine, "on_alerts", slip)
            await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
            await until(lambda: agent.counters["alerts_put_off"] == 2)
        # Another one is dealt with, and doesn't take the two along.
        await agent.on_message(MESSAGE, (replace(alert(3, "SynScan", 4), source=None),))
        await until(lambda: agent.running.idle)
        assert decisions(agent, "supervisor") == []
    async with running(tmp_path) as agent:
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


async def test_a_killed_reasoner_loses_no_alert(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: agent.running.worker.pid is not None)
        assert agent.running.worker.pid is not None
        psutil.Process(agent.running.worker.pid).kill()
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "supervisor")) == 1)
        assert not agent.running.journal.read(done=False)


@reasoner_stays
async def test_a_full_queue_leaves_the_message_unacknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        many = tuple(alert(i, "SynScan", 9) for i in range(3))
        agent.running._queue.extend([many[0]] * (MAX_QUEUE - 2))
        with pytest.raises(RuntimeError, match="wait for the reasoner"):
            await agent.on_message(MESSAGE, many)
        assert agent.counters["queue_full"] == 1 and agent.running.journal.read(done=False) == []
        agent.running._queue.clear()


@reasoner_stays
async def test_what_may_be_forged_waits_in_a_queue_of_its_own_and_holds_up_none(
    tmp_path: Path,
) -> None:
    """A flood of it is left out, counted; verified alerts of the same messages are reasoned about
    before what came in earlier."""
    async with running(tmp_path) as agent:
        pipeline = agent.running
        seen: list[list[bool]] = []
        correlate = pipeline._correlate

        def watched(batch: Sequence[Alert], reports: Sequence[Block]) -> list[Outcome]:
            if batch:
                seen.append([a.verified_source for a in batch])
            return correlate(batch, reports)

        pipeline._correlate = watched  # type: ignore[method-assign]
        flood = [
            replace(alert(1000 + n, "HoneypotContact", n % 50), verified_source=False)
            for n in range(MAX_UNVERIFIED_QUEUE + 500)
        ]
        real = alert(1, "SshBruteForce", 9)
        await agent.on_message(MESSAGE, (*flood, real))
        assert agent.counters["unverified_left_out"] == 500
        assert agent.counters["queue_full"] == 0
        await until(lambda: pipeline.idle)
        assert seen[0] == [True]
        assert [len(batch) for batch in seen[1:]] == [MAX_UNVERIFIED_BATCH] * (
            MAX_UNVERIFIED_QUEUE // MAX_UNVERIFIED_BATCH
        )


def says(agent: Probe) -> str:
    held = agent.conditions.of("reasoner")
    return "" if held is None or held.level != "degraded" else held.reason


async def test_a_reasoner_that_died_idle_is_told_and_comes_back_without_an_alert(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        worker = agent.running.worker
        await until(lambda: worker.pid is not None and agent.running._begun)
        assert says(agent) == ""
        for _ in range(2):
            killed = psutil.Process(worker.pid)
            killed.kill()
            async with asyncio.timeout(5):
                while not says(agent):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert says(agent) == "the reasoner has ended; it is started again"
            await until(lambda: says(agent) == "")
            assert worker.pid not in (None, killed.pid)


@pytest.mark.parametrize("executable", ["/bin/false", "/nonexistent/python", "/bin/sleep"])
async def test_no_reasoner_is_told_with_the_reason_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """As where Java is missing: the worker does not come up, whatever is tried."""
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", executable)
        async with running(tmp_path) as agent:
            await until(lambda: says(agent) != "")
            reason = "no reasoner, alerts wait and nothing is decided: the worker "
            assert says(agent).startswith(reason)
            agent.running.take([alert(1, "SynScan", 1)])
            await until(lambda: agent.running.engine.pending == 1)
            assert says(agent).startswith(reason)
            broken.undo()
            await until(lambda: says(agent) == "" and agent.running.engine.pending == 0)
