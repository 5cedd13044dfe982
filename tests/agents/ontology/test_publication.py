"""An edit is sent to those who reason with it, whole, and what they make of it is kept."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.knowledge.files import FileSet
from agents.knowledge.pieces import Assembly
from agents.ontology.service import ServiceError
from ontology.records import (
    KnowledgePiece,
    OntologyAction,
    OntologyChanged,
    Query,
    Subscription,
)
from ontology.rule_switches import rule_states
from ontology.taxonomy import Taxonomy, installed
from ontology.theory import rule_label

Unconnected = Any
World = Any
Until = Any
CORRELATION = "correlation.gw1@honeynet.test"


def received(agent: Unconnected, receiver: str = CORRELATION) -> FileSet | None:
    """What the receiver has of the last announcement of rules; None if there was none."""
    assembly: Assembly | None = None
    for sent in agent.sent:
        change = sent.records[0]
        if sent.receiver == receiver and isinstance(change, OntologyChanged):
            if change.kind == "rules" and sent.performative == "inform":
                if assembly is None or assembly.change != change:
                    assembly = Assembly(change)
                for piece in sent.records[1:]:
                    assert isinstance(piece, KnowledgePiece)
                    assembly.add(piece)
    return assembly.files() if assembly is not None else None


def change_of(agent: Unconnected) -> OntologyChanged:
    found = [r for s in agent.sent for r in s.records if isinstance(r, OntologyChanged)]
    return next(change for change in reversed(found) if change.kind == "rules")


async def look(agent: Unconnected) -> None:
    """An edit counts once two looks agree."""
    for _ in range(2):
        await agent.running.publication.look()


async def test_a_valid_edit_goes_whole_to_those_who_reason(
    agent: Unconnected, world: World, until: Until
) -> None:  # slow: Pellet checks the edit, about 3 s
    agent.sent.clear()
    before = agent.running.publication.version
    world.edit("ontoidps.owl", "Half-open scan", "A half-open scan")
    await look(agent)
    await until(lambda: received(agent) is not None)
    files = received(agent)
    assert files is not None
    edited = (world.installed / "ontoidps.owl").read_bytes()
    assert files.contents["ontoidps.owl"] == edited and b"A half-open scan" in edited
    change = change_of(agent)
    assert change.version == agent.running.publication.version != before
    assert change.version.endswith("+" + files.digest[:12])
    # Neither the supervisor nor a gateway reasons: they are told the classes alone.
    changes = [(s.receiver, c) for s in agent.sent for c in s.records[:1]]
    kinds = {(to, c.kind) for to, c in changes if isinstance(c, OntologyChanged)}
    assert (CORRELATION, "rules") in kinds and ("supervisor.gw1@honeynet.test", "words") in kinds
    assert {to for to, kind in kinds if kind == "rules"} == {CORRELATION}
    words = next(c for _, c in changes if isinstance(c, OntologyChanged) and c.kind == "words")
    assert Taxonomy.from_text(words.detail) == installed() and words.version == change.version
    assert agent.counters["receivers_behind"] == 1
    await until(lambda: agent.running.archive.ontology_version == change.version)


async def test_an_invalid_edit_is_refused_and_the_last_good_one_kept(
    agent: Unconnected, world: World, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    agent.sent.clear()
    before = agent.running.archive.ontology_version
    (world.installed / "correlation.owl").write_text("<broken", encoding="utf-8")
    await look(agent)
    # The agent's own watch runs beside these looks, and may be the one that saw the edit.
    await until(lambda: agent.counters["ontology_refused"] == 1)
    assert agent.sent == []
    assert agent.running.publication.version == agent.running.archive.ontology_version == before
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert str(world.installed / "correlation.owl") in line
    assert before in line


async def test_an_edit_made_while_it_was_down_is_announced_at_start(world: World) -> None:
    async with world.running() as agent:
        assert received(agent) is None, "who has the shipped files needs nothing"
    world.edit("reaction_policy.tsv", "Bots that guess", "Those who guess")
    async with world.running() as agent:
        files = received(agent)
        assert files is not None and b"Those who guess" in files.contents["reactions.ttl"]
    async with world.running() as agent:
        assert received(agent) is None


async def test_a_start_while_a_file_is_broken_goes_on_with_the_last_good_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.running() as agent:
        version = agent.running.publication.version
    (world.installed / "attacks.owl").write_text("<half a sav", encoding="utf-8")
    async with world.running() as agent:
        assert agent.running.publication.version == version
        (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
        assert f"{version} stays in force: {world.installed / 'attacks.owl'}: not RDF/XML" in line


def wish(digest: str) -> Subscription:
    return Subscription(id="urn:uuid:s", topic="OntologyChanged", digest=digest)


async def test_a_subscriber_gets_what_it_has_not(agent: Unconnected) -> None:
    agent.sent.clear()
    await agent.hear("subscribe", wish(""), sender=CORRELATION)
    assert agent.sent[0].performative == "agree"
    files = received(agent)
    assert files is not None
    assert agent.counters["receivers_behind"] == 1
    agent.sent.clear()
    await agent.hear("subscribe", wish(files.digest), sender=CORRELATION)
    assert [sent.performative for sent in agent.sent] == ["agree"]
    assert agent.counters["receivers_behind"] == 0
    known = agent.running.publication.receivers.known[CORRELATION]
    assert (known.digest, known.version) == (files.digest, agent.running.publication.version)
    agent.sent.clear()
    await agent.hear("subscribe", wish(""), sender="correlation.gw2@honeynet.test")
    assert [sent.performative for sent in agent.sent] == ["refuse"]


async def test_what_receivers_make_of_it_is_logged_counted_and_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.running() as agent:
        await agent.hear("subscribe", wish("other"), sender=CORRELATION)
        change = replace(change_of(agent), piece_count=0)
        refusal = replace(change, detail="correlation.owl: rule 'X': Pellet can't run it")
        await agent.hear("refuse", refusal, sender=CORRELATION)
        assert agent.counters["rules_refused"] == agent.counters["receivers_behind"] == 1
        line = f"{CORRELATION} refuses {change.version}: correlation.owl: rule 'X': Pellet"
        assert any(line in record.getMessage() for record in caplog.records)
        # It asks again every minute, and is not sent the same again at once.
        agent.sent.clear()
        await agent.hear("subscribe", wish("other"), sender=CORRELATION)
        assert received(agent) is None
    async with world.running() as agent:
        known = agent.running.publication.receivers.known[CORRELATION]
        assert (known.refused, known.reason) == (change.digest, refusal.detail)
        await agent.hear("inform", change, sender=CORRELATION)
        assert agent.counters["rules_taken"] == 1 and agent.counters["receivers_behind"] == 0
        assert agent.running.publication.receivers.known[CORRELATION].refused == ""


async def test_what_fails_at_one_is_taken_back_for_all(
    agent: Unconnected, world: World, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    publication = agent.running.publication
    before, good = publication.version, (world.installed / "correlation.owl").read_bytes()
    world.edit("correlation.owl", "tries passwords on the same", "tries words on the same")
    await look(agent)
    await until(lambda: publication.version != before)
    await until(lambda: received(agent) is not None)
    failed = change_of(agent)
    report = replace(failed, piece_count=0, detail="2 windows in a row failed")
    agent.sent.clear()
    await agent.hear("failure", report, sender=CORRELATION)
    assert publication.version == before and change_of(agent).version == before
    assert change_of(agent).changed_us > failed.changed_us
    held = agent.conditions.of("rules")
    assert held is not None and held.level == "degraded"
    path = world.installed / "correlation.owl"
    assert f"{before} is in force again until the file is changed: {path}: 2 windows" in held.reason
    assert any("was taken back" in r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    with caplog.at_level("INFO"):
        path.write_bytes(good)
        await look(agent)
        await until(lambda: agent.conditions.of("rules") is None)
    said = f"ontology {before} is again the version in force"
    assert said in [r.getMessage() for r in caplog.records]


async def test_a_report_of_anybody_else_is_not_understood(agent: Unconnected) -> None:
    change = OntologyChanged(id="urn:uuid:1", version="1", changed_us=1)
    for kind, sender in (("rules", "correlation.gw2@honeynet.test"), ("facts", CORRELATION)):
        with pytest.raises(ServiceError):
            await agent.hear("inform", replace(change, kind=kind), sender=sender)
    assert agent.running.publication.receivers.known == {}


async def test_several_ontology_agents_tell_each_their_own(world: World, until: Until) -> None:
    """gw2 has an ontology agent and a correlation agent of its own: they don't meet gw1's."""
    settings = world.context.settings
    first, second = settings.node
    more = second.model_copy(update={"agents": (*second.agents, "ontology", "correlation")})
    settings = settings.model_copy(update={"node": (first, more)})
    for node in ("gw1", "gw2"):
        world.context = replace(world.context, settings=settings, node=node)
        async with world.running() as agent:
            old, new = ("Bots", "Who") if node == "gw1" else ("Who", "Bots")
            world.edit("reaction_policy.tsv", f"{old} that guess", f"{new} that guess")
            await look(agent)
            own = f"correlation.{node}@honeynet.test"
            await until(partial(received, agent, own))
            told = {s.receiver for s in agent.sent if isinstance(s.records[0], OntologyChanged)}
            users = {name for name in told if name.startswith(("correlation", "analyzer"))}
            assert users == {own, f"analyzer.{node}@honeynet.test"}


async def test_nothing_is_written_where_people_edit(
    agent: Unconnected, world: World, until: Until
) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    agent.sent.clear()
    world.edit("reaction_policy.tsv", "Bots that guess", "Those who guess")
    before = contents(world.installed)
    await look(agent)
    await until(lambda: received(agent) is not None)
    await asyncio.sleep(0)
    assert contents(world.installed) == before


async def test_a_rule_is_switched_for_the_supervisor(agent: Unconnected, world: World) -> None:
    """Slow: Pellet checks what is left, about 3 s."""
    wish = OntologyAction(
        id="urn:uuid:1",
        ontology_action="disable",
        fragment="ScanThenExploit",
        detail="user:ana: too loud",
    )
    agent.sent.clear()
    await agent.hear("request", replace(wish, fragment="Nothing"))
    (refusal,) = agent.sent
    assert refusal.performative == "refuse"
    assert "no rule 'Nothing'" in refusal.records[0].detail
    await agent.hear("request", wish)
    assert (agent.sent[-1].performative, agent.sent[-1].records[0].detail) == (
        "inform",
        agent.running.publication.version,
    )
    files = received(agent)
    assert files is not None
    assert rule_states(files.contents["correlation.owl"])["ScanThenExploit"] is False
    asked = Query(
        id="urn:uuid:q",
        sparql="SELECT ?rule ?by { ?rule a svc:Rule ; svc:enabled false ; svc:switchedBy ?by }",
    )
    await agent.hear("query-ref", asked)
    (answer,) = agent.sent[-1].records
    (row,) = json.loads(answer.results)["results"]["bindings"]
    assert rule_label(row["rule"]["value"]) == "ScanThenExploit"
    assert row["by"]["value"] == "user:ana: too loud"
