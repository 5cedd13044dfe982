"""Questions to sensors: which one, how many at once, and answers that don't fit."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from agents.base.conversations import RefusedByPeer, Reply
from agents.console.action_errors import ActionError
from agents.console.evidence import MAX_ASKED, Evidence
from agents.messages.acl import AclMessage
from ontology.records import PacketEvidence
from tests.agents.factories import decision, evidence, make_settings

_, (ALERT, _) = evidence(decision())
SAID = PacketEvidence(
    id="urn:uuid:9",
    alert=ALERT.id,
    evidence_packets=0,
    cited_packet=0,
    omitted_packets=0,
    dissection="",
    capture_data="",
    explanation="none",
)


def reply(*records):
    sender = "sensor.gw1@honeynet.localdomain"
    message = AclMessage(
        performative="inform-ref", sender=sender, receivers=("console@x",), content="-"
    )
    return Reply(message, records)


async def test_the_sensor_of_the_alert_is_asked(tmp_path):
    asked = []

    async def ask(role, performative, record, limit_s, *, name=""):
        asked.append((role, performative, record, name))
        return reply(SAID)

    settings = make_settings(tmp_path)
    alert = replace(ALERT, sensor=settings.jid("sensor", "gw2"))
    assert await Evidence(ask, settings).of(alert) == SAID
    assert asked == [("sensor", "query-ref", alert, settings.jid("sensor", "gw2"))]


@pytest.mark.parametrize(
    "answer", [(), (replace(SAID, alert="urn:uuid:other"),)], ids=["nothing", "another alert"]
)
async def test_an_answer_to_something_else_is_none(tmp_path, answer):
    async def ask(*_, name=""):
        return reply(*answer)

    with pytest.raises(ActionError, match="nothing that fits"):
        await Evidence(ask, make_settings(tmp_path)).of(ALERT)


async def test_a_busy_sensor_is_told_as_such(tmp_path):
    async def ask(*_, name=""):
        raise RefusedByPeer(name, "refuse", "")

    with pytest.raises(ActionError, match="can't say just now") as error:
        await Evidence(ask, make_settings(tmp_path)).of(ALERT)
    assert error.value.kind == "unanswered"


async def test_few_are_asked_at_once(tmp_path):
    go = asyncio.Event()

    async def ask(*_, name=""):
        await go.wait()
        return reply(SAID)

    desk = Evidence(ask, make_settings(tmp_path))
    waiting = [asyncio.ensure_future(desk.of(ALERT)) for _ in range(MAX_ASKED)]
    await asyncio.sleep(0)
    with pytest.raises(ActionError, match="too many"):
        await desk.of(ALERT)
    go.set()
    assert await asyncio.gather(*waiting) == [SAID] * MAX_ASKED
    assert await desk.of(ALERT) == SAID
