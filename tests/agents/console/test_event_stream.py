"""The event hub: coalescing, slow viewers, and streams that end with their session."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest
from pydantic import BaseModel

from agents.console import event_stream as events
from agents.console.event_stream import MAX_PENDING, MAX_QUEUED, RESYNC, Hub


class Thing(BaseModel):
    """A view."""

    text: str


def data(message: bytes) -> dict:
    line = next(x for x in message.decode().splitlines() if x.startswith("data: "))
    return json.loads(line.removeprefix("data: "))


@pytest.fixture
def hub():
    made = Hub(lambda: 42)
    yield made
    made.close()


async def test_changes_are_coalesced_by_key(hub):
    async with aclosing(hub.stream("s", lambda: True)) as stream:
        first = await anext(stream)
        assert b"event: hello" in first
        assert data(first) == {"now_us": 42, "heard_us": 42}
        for i in range(5):
            hub.publish("blocks", "a", Thing(text=str(i)))
        hub.publish("blocks", "b", Thing(text="line\nbreak </script>"))
        hub.publish("agents", "a", Thing(text="x"))
        message = await anext(stream)
        assert data(message) == {
            "blocks": [{"text": "4"}, {"text": "line\nbreak </script>"}],
            "agents": [{"text": "x"}],
        }
        assert message.count(b"\n\n") == 1
    assert hub.viewers == 0


async def test_a_quiet_stream_ticks(hub, monkeypatch):
    monkeypatch.setattr(events, "TICK_S", 0.01)
    async with aclosing(hub.stream("s", lambda: True)) as stream:
        await anext(stream)
        assert b"event: tick" in await anext(stream)


async def test_a_slow_viewer_is_told_to_read_anew_and_others_are_not(hub):
    async with aclosing(hub.stream("slow", lambda: True)) as slow:
        await anext(slow)
        for i in range(MAX_QUEUED + 1):
            hub.publish("blocks", str(i), Thing(text=str(i)))
            hub._flush()
        hub.publish("blocks", "last", Thing(text="last"))
        hub._flush()
        assert await anext(slow) == RESYNC
        assert data(await anext(slow)) == {"blocks": [{"text": "last"}]}
    assert hub.resyncs == 1


async def test_a_flood_of_changes_becomes_a_resync(hub):
    async with aclosing(hub.stream("s", lambda: True)) as stream:
        await anext(stream)
        for i in range(MAX_PENDING + 10):
            hub.publish("alerts", str(i), Thing(text=""))
        assert await anext(stream) == RESYNC


async def test_after_a_snapshot_every_viewer_reads_anew(hub):
    async with aclosing(hub.stream("s", lambda: True)) as stream:
        await anext(stream)
        hub.publish("blocks", "a", Thing(text="x"))
        hub.anew()
        assert await anext(stream) == RESYNC


async def test_nobody_watches_nothing_is_kept(hub):
    hub.publish("blocks", "a", Thing(text="x"))
    assert hub._timer is None


async def test_streams_end_with_their_session_only(hub):
    async with (
        aclosing(hub.stream("one", lambda: True)) as one,
        aclosing(hub.stream("two", lambda: True)) as two,
    ):
        await anext(one), await anext(two)
        hub.close("one")
        with pytest.raises(StopAsyncIteration):
            await anext(one)
        hub.publish("blocks", "a", Thing(text="x"))
        assert data(await anext(two)) == {"blocks": [{"text": "x"}]}


async def test_a_dead_session_gets_no_more_news(hub):
    alive = True
    async with aclosing(hub.stream("one", lambda: alive)) as stream:
        await anext(stream)
        alive = False
        hub.publish("blocks", "a", Thing(text="secret"))
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), 5)
