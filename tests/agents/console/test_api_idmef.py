"""IDMEF over HTTP: ours out, that of managers of others in, with their key and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agents.console.app import create_app
from agents.console.console import Console
from agents.console.foreign_managers import ForeignManagers
from agents.idmef.schema import check_document
from agents.idmef.writing import record_of
from agents.settings.manager_sections import Manager
from ontology.fragments import encode
from ontology.records import Record
from tests.agents.console.test_api import become
from tests.agents.idmef.samples import PRELUDE, document

KEY = "k" * 40
ROUTE = "/api/v1/idmef"


@pytest.fixture
def sent() -> list[Sequence[Record]]:
    return []


@pytest.fixture
def app(console: Console, credentials, sent):
    """With one manager of others."""

    async def pass_on(records: Sequence[Record]) -> None:
        encode(records)  # what no fragment can hold would never arrive
        sent.append(records)

    console.foreign = ForeignManagers(
        [Manager(name="site-b", trust=0.5)],
        sensor="console.gw1@honeynet.localdomain",
        pass_on=pass_on,
        clock=lambda: 1_795_000_000_000_000,
        steady=lambda: 0,
        counters=console.counters,
    )
    keys = {"site-b": hashlib.sha256(KEY.encode()).digest()}
    return create_app(console, replace(credentials, manager_keys=keys))


@pytest.fixture
async def entry(operations, link, kit):
    made = kit.decision()
    plan = await operations.decide(made, *kit.evidence(made))
    await link.flush()
    return plan.entry


@pytest.mark.parametrize(
    ("who", "expected"),
    [("nobody", 401), ("viewer", 200), ("operator", 200), ("cli", 200), ("bearer", 401)],
)
async def test_who_may_read(browser, entry, credentials, who, expected):
    async with browser() as client:
        await become(client, who, credentials)
        for kind in ("alerts", "incidents"):
            answer = await client.get(ROUTE, params={"kind": kind, "limit": 1})
            assert answer.status_code == expected
            if expected == 200:
                (found,) = answer.json()
                check_document(found, "document")
                assert record_of(found).classification in found["AltCategory"][0]


async def test_a_managers_key_reads_nothing(browser, entry):
    async with browser() as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        for path in (ROUTE, "/api/v1/alerts", "/api/v1/me"):
            assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("who", ["nobody", "viewer", "operator", "cli", "bearer", "no token"])
async def test_nobody_but_a_manager_may_send(browser, credentials, sent, who):
    async with browser() as client:
        await become(client, who, credentials)
        answer = await client.post(ROUTE, content=PRELUDE)
        assert (answer.status_code, sent) == (401, [])


async def test_a_managers_alerts_are_passed_on(browser, sent, console):
    async with browser() as client:
        del client.headers["Origin"]  # it is no browser
        client.headers["Authorization"] = f"Bearer {KEY}"
        answer = await client.post(ROUTE, content=PRELUDE)
        assert (answer.status_code, answer.json()) == (
            202,
            {"accepted": 2, "ignored": 1, "refused": 0, "why": []},
        )
        ((scan, _),) = sent
        assert (scan.classification, scan.confidence) == ("PortScan", 0.45)
        assert not scan.verified_source
        assert scan.sensor == "console.gw1@honeynet.localdomain"
        mixed = [document(), document(ID="<script>")]
        answer = await client.post(ROUTE, content=json.dumps(mixed))
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        assert answer.json()["why"][0].startswith("document 2: ID '<script>': ")


@pytest.mark.parametrize(
    ("content", "status"), [("{", 422), ("", 422), ("x" * 65_537, 413), ('{"Version": 8}', 422)]
)
async def test_what_can_not_be_used_is_said(browser, sent, content, status):
    async with browser() as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        answer = await client.post(ROUTE, content=content)
        assert (answer.status_code, sent) == (status, [])
        assert answer.json().get("why") or answer.json().get("detail")


async def test_more_than_the_quota_is_put_off(browser, console):
    async with browser() as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        some = json.dumps(
            [document(ID=f"819df7bc-35ef-40d8-bbee-{n:012d}", Target=None) for n in range(100)]
        )
        answers = [await client.post(ROUTE, content=some) for _ in range(7)]
        assert [a.status_code for a in answers] == [202] * 6 + [429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert console.counters["idmef.site-b.taken"] == 600


async def test_without_an_analyzer_nobody_would_hear_of_it(browser, console):
    console.foreign = ForeignManagers(
        [Manager(name="site-b")],
        sensor="x",
        pass_on=None,
        clock=lambda: 0,
        steady=lambda: 0,
        counters=console.counters,
    )
    async with browser() as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        assert (await client.post(ROUTE, content=PRELUDE)).status_code == 503
