"""Facts that people assert: kept and told, or refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from ontology.records import HostProfile, OntologyAction, OntologyChanged, Subscription

Unconnected = Any
World = Any
CORRELATION = "correlation.gw1@honeynet.test"
CONSOLE = "console.gw1@honeynet.test"
PROFILE = """\
@prefix idps: <https://w3id.org/ontoidps#> .
<urn:x:host> a idps:HostProfile ; idps:describesHost <urn:ontoidps:host:198.51.100.77> ;
    idps:hostRole "Honeypot" ; idps:assetValue 4 .
"""


def action(what: str, fragment: str = PROFILE) -> OntologyAction:
    return OntologyAction(id="urn:uuid:a", ontology_action=what, fragment=fragment)  # type: ignore[arg-type]


async def test_facts_are_told_to_those_who_follow(agent: Unconnected) -> None:
    agent.sent.clear()
    topic = Subscription(id="urn:uuid:s", topic="HostProfile")
    await agent.hear("subscribe", topic, sender="correlation.gw2@honeynet.test")
    assert [sent.performative for sent in agent.sent] == ["refuse"]
    await agent.hear("subscribe", topic, sender=CORRELATION)
    (change, *hosts) = agent.sent[-1].records
    assert isinstance(change, OntologyChanged) and change.kind == "facts"
    assert change.version == f"facts+{change.digest[:12]}"
    assert all(isinstance(host, HostProfile) for host in hosts)


async def test_a_fact_is_kept_told_and_survives_a_restart(world: World) -> None:
    async with world.running() as agent:
        before = agent.running.facts.version
        agent.sent.clear()
        await agent.hear("request", action("assert"), sender=CONSOLE)
        told, answer = agent.sent
        (change, host) = told.records
        assert told.receiver == CORRELATION and isinstance(host, HostProfile)
        assert str(host.address) == "198.51.100.77" and host.asset_value == 4
        assert change.version == agent.running.facts.version != before
        assert (answer.receiver, answer.performative) == (CONSOLE, "inform")
        version = change.version
    async with world.running() as agent:
        assert agent.running.facts.version == version
        await agent.hear("request", action("retract"), sender=CONSOLE)
        assert agent.running.facts.version == before


async def test_what_is_no_fact_is_refused_and_nobody_is_told(agent: Unconnected) -> None:
    agent.sent.clear()
    wrong = PROFILE.replace("idps:hostRole", "idps:hostRule")
    await agent.hear("request", action("assert", wrong), sender=CONSOLE)
    (answer,) = agent.sent
    assert answer.performative == "refuse" and "hostRule" in answer.records[0].detail


async def test_a_damaged_file_is_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with world.running() as agent:
        await agent.hear("request", action("assert"), sender=CONSOLE)
    path = world.context.state_dir / "knowledge" / "facts.nt"
    path.write_text("<half")
    async with world.running() as agent:
        assert agent.running.facts.version == "" and "no fact can be asserted" in caplog.text
        await agent.hear("request", action("assert"), sender=CONSOLE)
        assert agent.sent[-1].performative == "refuse"
        assert "READ-ONLY" in agent.sent[-1].records[0].detail
    assert path.read_text() == "<half"
