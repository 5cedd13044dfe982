"""The feed of a console: a snapshot, changes, and nothing when nothing happens."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from agents.supervisor import feed as feed_module
from agents.supervisor.operations import Operations
from ontology.oversight import AgentStatus, AuditLine, Ban, FeedPart, Ruling
from ontology.records import Incident
from tests.agents.factories import decision, describe, evidence, report


class Told:
    """Messages as they came."""

    def __init__(self) -> None:
        self.messages: list[tuple] = []
        self.fails = 0

    async def __call__(self, records) -> None:
        if self.fails and len(records) > 1:
            self.fails -= 1
            raise ValueError("no fragment can hold it")
        self.messages.append(tuple(records))

    def take(self, kind):
        """Records of a kind since the last call of any."""
        found = [r for m in self.messages for r in m if isinstance(r, kind)]
        self.messages.clear()
        return found

    @property
    def parts(self):
        return [m[0] for m in self.messages]


@pytest.fixture
async def told(operations):
    made = Told()
    await operations.feed.open(made)
    yield made
    await operations.feed.close()


async def test_a_snapshot_is_numbered_and_opened_and_closed(operations):
    made = decision()
    await operations.decide(made, *evidence(made))
    told = Told()
    await operations.feed.open(told)
    parts = told.parts
    assert all(isinstance(p, FeedPart) for p in parts)
    assert [p.part_number for p in parts] == list(range(1, len(parts) + 1))
    assert [p.opens_snapshot for p in parts] == [True] + [False] * (len(parts) - 1)
    assert [p.closes_snapshot for p in parts] == [False] * (len(parts) - 1) + [True]
    assert len({p.feed for p in parts}) == 1
    records = [r for m in told.messages for r in m]
    assert sum(isinstance(r, Ban) for r in records) == 1
    assert sum(isinstance(r, Ruling) for r in records) == 1
    assert any(isinstance(r, AuditLine) for r in records)
    await operations.feed.close()


async def test_changes_of_a_moment_are_one_message(operations, told):
    told.messages.clear()
    for n in range(5):
        made = decision(f"d{n}", f"203.0.113.{n + 1}")
        await operations.decide(made, *evidence(made))
        await operations.report(report(made, "gw1"))
    async with asyncio.timeout(10):
        while not told.messages:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(told.messages) == 1
    (message,) = told.messages
    assert sum(isinstance(r, Ban) for r in message) == 5
    assert sum(isinstance(r, Incident) for r in message) == 5
    lines = [r.line_number for r in message if isinstance(r, AuditLine)]
    assert lines == [1, 2, 3, 4, 5]


async def test_nothing_is_told_while_nothing_happens(operations, told, settings, monkeypatch):
    jid = settings.jid("reaction", "gw1")
    await operations.register(describe(settings, "reaction", "gw1"), jid)
    await operations.feed.flush()
    told.messages.clear()
    for _ in range(20):
        await operations.register(describe(settings, "reaction", "gw1"), jid)
        await operations.sweep()
        await operations.feed.beat()
    await asyncio.sleep(0.2)
    assert told.messages == [], "renewals wait for their turn"
    monkeypatch.setattr(feed_module, "RENEWALS_S", 0.0)
    await operations.feed.beat()
    assert len(told.messages) == 1
    (status,) = told.take(AgentStatus)
    assert status.agent_state == "up"


async def test_a_lapse_is_told_at_once(operations, told, settings, clock):
    jid = settings.jid("reaction", "gw1")
    await operations.register(describe(settings, "reaction", "gw1"), jid)
    clock.turn(60)
    told.messages.clear()
    await operations.sweep()
    await operations.feed.flush()
    assert [s.agent_state for s in told.take(AgentStatus)] == ["silent"]


async def test_a_flood_of_changes_becomes_a_snapshot(operations, told, monkeypatch):
    monkeypatch.setattr(feed_module, "MAX_MARKED", 3)
    told.messages.clear()
    for n in range(5):
        await operations.decide(decision(f"d{n}", f"203.0.113.{n + 1}"), None, ())
    await operations.feed.flush()
    assert told.parts[0].opens_snapshot
    assert len({r.id for r in told.take(Ban)}) == 5
    assert operations.feed.snapshots == 2


async def test_after_the_clock_was_set_everything_is_told_again(operations, told, ledger, clock):
    await operations.decide(decision(), None, ())
    await operations.feed.flush()
    told.messages.clear()
    (before,) = ledger.active(clock())
    ledger.move_ends(3600_000_000, clock() + 3600_000_000)
    operations.feed.anew()
    await operations.feed.flush()
    assert told.parts[0].opens_snapshot
    (ban,) = told.take(Ban)
    assert ban.expires_us == before.expires_us + 3600_000_000


async def test_what_can_not_be_written_leaves_no_gap(operations, told):
    first = told.parts[-1].part_number
    told.messages.clear()
    told.fails = 1
    await operations.decide(decision(), None, ())
    await operations.feed.flush()
    assert [p.part_number for p in told.parts] == [first + 1]
    assert operations.feed.unwritten == 1


@pytest.mark.parametrize("flush", ["_flush_guarded", "beat"])
async def test_a_failure_ends_in_a_snapshot(operations, told, monkeypatch, flush):
    monkeypatch.setattr(feed_module, "RETRY_S", 0.05)
    monkeypatch.setattr(feed_module, "RENEWALS_S", 0.0)
    told.messages.clear()

    def broken(*_, **__):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(operations.ledger, "audit_trail", broken)
        await operations.decide(decision(), None, ())
        await getattr(operations.feed, flush)()
        assert told.messages == []
    async with asyncio.timeout(10):
        while operations.feed.snapshots < 2 or not told.parts or not told.parts[-1].closes_snapshot:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(told.take(Ban)) == 1


async def test_without_a_console_nothing_is_kept(operations):
    await operations.decide(decision(), None, ())
    await operations.feed.flush()
    assert not operations.feed._bans and not operations.feed._groups


async def test_an_old_ban_keeps_its_evidence_in_a_snapshot_and_an_older_one_only_itself(
    settings, ledger, clock, post, monkeypatch
):
    monkeypatch.setattr(feed_module, "SNAPSHOT_EXPLAINED", 1)
    monkeypatch.setattr(feed_module, "SNAPSHOT_FINDINGS", 0)
    operations = Operations(settings, ledger, clock=clock, send=post.send, archive=post.archive)
    for n in range(3):
        made = decision(f"d{n}", f"203.0.113.{n + 1}")
        await operations.decide(made, *evidence(made))
        clock.turn(1)
    told = Told()
    await operations.feed.open(told)
    records = [r for m in told.messages for r in m]
    assert sum(isinstance(r, Ban) for r in records) == 3
    assert [r.decision for r in records if isinstance(r, Ruling)] == [made.id]
    await operations.feed.close()
