"""A clock that is set is seen, told once a node, and forgotten after a while."""

from __future__ import annotations

from collections import Counter

import pytest

from agents.base import clock_watch
from agents.base.clock_watch import NEWS_S, ClockNews, ClockWatch
from agents.base.conditions import Conditions
from agents.base.context import AgentContext
from agents.base.steady_clock import SteadyClock
from agents.clock import ClockReading
from agents.settings.honeynet import Settings

WALL_US = 1_800_000_000_000_000
S = 1_000_000


class Host:
    def __init__(self, honeynet: Settings, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steady_s, self.wall_us = 1_000.0, WALL_US
        self.steps: list[int] = []
        self.counters: Counter[str] = Counter()
        self.conditions = Conditions(lambda: self.wall_us)
        monkeypatch.setattr(clock_watch.time, "monotonic", lambda: self.steady_s)
        context = AgentContext(settings=honeynet, role=role, node="gw1")  # type: ignore[arg-type]
        clock = SteadyClock(read=lambda: ClockReading("one", self.steady_s, self.wall_us))
        self.watch = ClockWatch(context, self.conditions, self.counters, self.on_set, clock)

    async def on_set(self, step_us: int) -> None:
        self.steps.append(step_us)

    async def passes(self, seconds: float, step_s: float = 0.0) -> list[str]:
        self.steady_s += seconds
        self.wall_us += int((seconds + step_s) * S)
        await self.watch.look()
        return [condition.reason for condition in self.conditions.current()]


@pytest.mark.parametrize(
    ("step_s", "words"),
    [
        (-3_600.0, "back by 3,600.0 s, to 2027-01-15 07:00:01 UTC"),
        (86_400.0, "forward by 86,400.0 s, to 2027-01-16 08:00:01 UTC"),
        (-30 * 86_400.0, "back by 2,592,000.0 s"),
    ],
)
async def test_a_step_is_told_with_its_size_and_for_a_while(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch, step_s: float, words: str
) -> None:
    host = Host(honeynet, honeynet.node_named("gw1").agents[0], monkeypatch)
    assert await host.passes(1.0, step_s) != []
    [said] = await host.passes(1.0)
    assert words in said
    assert host.steps == [step_s * S] and host.counters["clock_steps"] == 1
    assert await host.passes(NEWS_S - 2.0) == [said]
    assert await host.passes(5.0) == []


def test_news_of_a_step_is_there_for_whoever_asks_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = [1_000.0, WALL_US]
    monkeypatch.setattr(clock_watch.time, "monotonic", lambda: clocks[0])
    news = ClockNews(SteadyClock(read=lambda: ClockReading("one", clocks[0], int(clocks[1]))))
    assert news.look() == 0 and news.text == ""
    clocks[1] -= 3_600 * S
    assert news.look() == -3_600 * S and news.look() == 0
    assert news.text.startswith("the clock of this host was set back by 3,600.0 s, to 2027-")
    clocks[0], clocks[1] = clocks[0] + NEWS_S + 1, clocks[1] + (NEWS_S + 1) * S
    assert news.look() == 0 and news.text == ""


async def test_others_of_the_node_take_it_in_and_say_nothing(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(honeynet, honeynet.node_named("gw1").agents[-1], monkeypatch)
    assert await host.passes(1.0, -60.0) == []
    assert host.steps == [-60 * S] and host.counters["clock_steps"] == 1


async def test_a_clock_that_is_slewed_is_not_set(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(honeynet, honeynet.node_named("gw1").agents[0], monkeypatch)
    for _ in range(5_000):
        assert await host.passes(1.0, 0.0005) == []
    assert host.steps == []
