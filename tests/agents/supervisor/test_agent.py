"""Supervisor, console and a (dry-run) reaction agent as processes, on a real XMPP server."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agents.console.client import ConsoleClient
from agents.console.operator_socket import operator_socket
from tests.agents.processes import (
    Correlation,
    agent_processes,
    needs_prosody,
    served_honeynet,
    until,
)

pytestmark = [pytest.mark.xmpp, pytest.mark.e2e, needs_prosody]


@pytest.fixture
def honeynet(honeynet_file):
    # A node of its own: the test is not the user that its neighbours would expect.
    with honeynet_file.open("a") as file:
        file.write('[[node]]\nname = "cell"\nagents = ["correlation"]\n')
    with served_honeynet(honeynet_file) as settings:
        yield settings


@pytest.fixture
def start(honeynet, honeynet_file):
    with agent_processes(honeynet_file) as run:
        yield run


async def test_a_decision_is_propagated_reported_lifted_and_survives_kills(honeynet, start, kit):
    supervisor = start("supervisor")
    start("reaction")
    start("console")
    await until(operator_socket(honeynet, "gw1").exists, "the console listens")
    correlation = Correlation(honeynet, "cell")
    made = replace(kit.decision(), origin=correlation.jid)
    allowed = replace(kit.decision("d2", "198.51.100.7"), origin=correlation.jid)
    forged = replace(kit.decision("d3", "203.0.113.99"), origin="user:operator")

    with ConsoleClient(honeynet) as client:

        def gateways():
            found = client.blocks(state="all", source="203.0.113.9")
            assert len(found) <= 1
            states = {g["gateway"]: g["state"] for b in found for g in b["gateways"]}
            return states or {"gw1": "unheard of"}

        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            group.create_task(correlation.run())
            await correlation.started.wait()
            incident, alerts = kit.evidence(made)

            async def ask(*records):
                await correlation.send(
                    honeynet.jids("supervisor")[0], "request", records, protocol="fipa-request"
                )

            await ask(made, incident, *alerts)
            await ask(allowed)
            await ask(forged)
            await until(lambda: gateways()["gw1"] == "active", "gw1 reports the block")
            await until(lambda: len(correlation.answers) == 2, "both decisions are answered")
            await until(lambda: correlation.refused, "the forged origin is refused")
            # In any order: what came before they were acquainted comes again.
            answers = {name: (said, reason) for said, name, reason in correlation.answers}
            assert answers[made.id][0] == "agree"
            performative, reason = answers[allowed.id]
            assert performative == "refuse" and "allow-list" in reason
            assert correlation.refused == ["role"]
            assert gateways()["gw2"] == "pending"
            (block,) = client.blocks()
            detail = client.block(block["id"])
            assert detail["incidents"][0]["rule"] == "ScanThenBruteForce"
            assert len(detail["alerts"]) == 2

            # A gateway that comes later gets what remains.
            start("reaction", "gw2")
            await until(lambda: gateways()["gw2"] == "active", "gw2 gets the block when it comes")

            # The supervisor dies without a word, and comes back with all it knew.
            supervisor.kill()
            supervisor.wait()
            start("supervisor")
            await until(lambda: client.blocks(), "the new supervisor knows the block")
            lifted = client.lift("203.0.113.9", reason="false positive")
            assert lifted["state"] == "lifted"
            await until(
                lambda: set(gateways().values()) == {"lifted"}, "both gateways confirm the lift"
            )
            whats = [line["what"] for line in client.audit()["lines"]]
            assert whats.count("block: blocked") == 1
            states = {(a["role"], a["node"]): a["state"] for a in client.agents()}
            assert states["supervisor", "gw1"] == "up"
            correlation.stop()
