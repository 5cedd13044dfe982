"""Which way a message goes."""

from __future__ import annotations

import asyncio
from collections import Counter

from agents.base.bus import Bus
from agents.base.local import LocalLinks
from agents.base.routes import Routes
from agents.settings.honeynet import Settings
from agents.trust.identity import load_identity


async def test_without_server_and_peers_nobody_is_reached(honeynet: Settings) -> None:
    bus = Bus(load_identity(honeynet, "sensor", "gw1"), honeynet, Counter())
    routes = Routes(bus, LocalLinks(honeynet, "sensor", "gw1", Counter()))
    for to in ("analyzer.gw1@honeynet.test", "analyzer.gw2@honeynet.test"):
        assert not routes.reaches(to) and not routes.has_room(to)


async def test_only_agents_of_the_node_are_reached_without_a_server(honeynet: Settings) -> None:
    counters: Counter[str] = Counter()
    bus = Bus(load_identity(honeynet, "sensor", "gw1"), honeynet, counters)
    ends = [LocalLinks(honeynet, role, "gw1", counters) for role in ("sensor", "analyzer")]
    met: list[str] = []
    for end in ends:
        end.on_peer = met.append
        await end.start()
    try:
        async with asyncio.timeout(5):
            while len(met) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        routes = Routes(bus, ends[0])
        assert routes.reaches("analyzer.gw1@honeynet.test")
        assert routes.has_room("analyzer.gw1@honeynet.test")
        assert not routes.reaches("analyzer.gw2@honeynet.test")
        assert not routes.reaches("correlation.gw1@honeynet.test")  # not started
    finally:
        for end in ends:
            await end.close()
