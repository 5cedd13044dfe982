"""The message monitor's REST calls, over logs as agents write them."""

from __future__ import annotations

from collections import Counter

import pytest

from agents.base.message_log import NAMES, MessageLog, log_folder
from agents.console import message_monitor as monitor_module
from agents.messages.acl import AclMessage
from ontology.fragments import encode
from ontology.records import OntologyChanged, Query

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"


@pytest.fixture
def logs(settings):
    """Writes messages into agents' logs; ``write(keeper, number, **changes)``."""
    open_: dict[str, MessageLog] = {}

    def write(keeper: str, time_us: int, verdict: str = "-", way: str = "received", **changes):
        jid = settings.jid(*keeper.split("."))
        if jid not in open_:
            open_[jid] = MessageLog(log_folder(settings.state_dir, jid), 1 << 20, Counter())
        record = OntologyChanged(
            id=f"urn:uuid:{time_us}", version="1", changed_us=0, detail=f"{HOSTILE} no. {time_us}"
        )
        message = AclMessage(
            **{
                "performative": "inform",
                "sender": settings.jid("ontology", "gw1"),
                "receivers": (jid,),
                "content": encode([record]),
                "protocol": "fipa-subscribe",
                "conversation_id": f"c-{time_us % 3}",
            }
            | changes
        )
        open_[jid].add(message, way, time_us, verdict)
        return message

    yield write
    for log in open_.values():
        log.close()


@pytest.fixture
async def viewer(browser, credentials):
    async with browser() as client:
        await client.post("/login", data={"user": "viewer", "password": "viewer pass"})
        yield client


async def times(client, **wish) -> list[int]:
    answer = await client.get("/api/v1/messages", params=wish)
    assert answer.status_code == 200, answer.text
    return [m["time_us"] for m in answer.json()["messages"]]


async def test_nobody_reads_without_a_login(browser, credentials, logs):
    logs("supervisor.gw1", 1)
    async with browser() as client:
        for path in ("messages", "messages/x/1/0"):
            assert (await client.get(f"/api/v1/{path}")).status_code == 401


async def test_all_agents_newest_first_and_every_filter(viewer, logs, settings):
    query = encode([Query(id="urn:uuid:q", sparql="ASK {}")])
    for number in range(6):
        logs("supervisor.gw1", number)
    logs("correlation.gw1", 10, "stale", performative="request", protocol="fipa-request")
    logs("ontology.gw1", 11, content=query, performative="query-ref", protocol="fipa-query")
    logs("ontology.gw1", 12, way="sent")
    logs("ontology.gw1", 13, conversation_id="registration-1")
    assert await times(viewer) == [11, 10, 5, 4, 3, 2, 1, 0]
    assert await times(viewer, limit=3) == [11, 10, 5]
    assert await times(viewer, sent=True) == [12]
    assert await times(viewer, routine=True, limit=1) == [13]
    assert await times(viewer, refused=True) == [10]
    assert await times(viewer, performative="request") == [10]
    assert await times(viewer, protocol="fipa-query") == [11]
    assert await times(viewer, record="Query") == [11]
    assert await times(viewer, agent="correlation") == [10]
    assert await times(viewer, conversation="c-2") == [11, 5, 2]
    assert await times(viewer, text="no. 4") == [4]
    assert await times(viewer, agent="", text="") == await times(viewer)
    found = (await viewer.get("/api/v1/messages", params={"refused": True})).json()
    (one,) = found["messages"]
    assert (one["refused"], one["records"], one["way"]) == (
        "stale",
        {"OntologyChanged": 1},
        "received",
    )
    assert found["before"] is None
    assert found["keepers"] == [
        settings.jid(role, node)
        for role, node in settings.agents()
        if node == "gw1" and role in ("supervisor", "correlation", "ontology")
    ]


async def test_pages_hold_every_message_once_also_of_one_instant(viewer, logs):
    for number in range(40):
        logs(("supervisor.gw1", "ontology.gw1")[number % 2], number // 4)
    seen, before = [], {}
    for _ in range(40):
        answer = (await viewer.get("/api/v1/messages", params={"limit": 5, **before})).json()
        seen += [(m["keeper"], m["time_us"], m["offset"]) for m in answer["messages"]]
        if answer["before"] is None:
            break
        before = {"before": answer["before"]}
    assert len(seen) == len(set(seen)) == 40
    assert [s[1] for s in seen] == sorted((s[1] for s in seen), reverse=True)


async def test_a_look_is_bounded_and_the_next_one_goes_on(viewer, logs, monkeypatch):
    for number in range(30):
        logs("supervisor.gw1", number)
    monkeypatch.setattr(monitor_module, "MAX_LOOKED", 10)
    answer = (await viewer.get("/api/v1/messages", params={"text": "no. 3\\"})).json()
    assert (answer["messages"], answer["before"]) == ([], 20)
    answer = (await viewer.get("/api/v1/messages", params={"text": "no. 3"})).json()
    while answer["before"] is not None:
        wish = {"text": "no. 3", "before": answer["before"]}
        answer = (await viewer.get("/api/v1/messages", params=wish)).json()
    assert [m["time_us"] for m in answer["messages"]] == [3]


async def test_the_whole_message_is_what_was_said(viewer, logs, settings):
    message = logs("supervisor.gw1", 7)
    (one,) = (await viewer.get("/api/v1/messages")).json()["messages"]
    path = f"/api/v1/messages/{one['keeper']}/{one['time_us']}/{one['offset']}"
    whole = (await viewer.get(path)).json()
    assert whole["content"] == message.content
    assert whole["records"] == {"OntologyChanged": 1}
    assert whole["fipa"].startswith("(inform") and ":ontology" in whole["fipa"]
    # After a change of files it is still found; once it is gone, that is said.
    folder = log_folder(settings.state_dir, one["keeper"])
    (folder / NAMES[0]).rename(folder / NAMES[1])
    assert (await viewer.get(path)).json() == whole
    (folder / NAMES[1]).unlink()
    for gone in (path, "/api/v1/messages/..%2f..%2fetc/7/0", "/api/v1/messages/nobody/7/0"):
        answer = await viewer.get(gone)
        assert answer.status_code == 404


async def test_a_damaged_log_shows_what_is_whole(viewer, logs, settings):
    logs("supervisor.gw1", 1)
    path = log_folder(settings.state_dir, settings.jid("supervisor", "gw1")) / NAMES[0]
    whole = path.read_bytes()
    path.write_bytes(whole + b"2 received - 5\n(xxx)\n" + whole[: len(whole) // 2])
    assert await times(viewer) == [1]


@pytest.mark.parametrize(
    "wish", [{"limit": 0}, {"limit": 201}, {"before": -1}, {"text": "x" * 257}]
)
async def test_a_bad_wish_is_refused(viewer, wish):
    assert (await viewer.get("/api/v1/messages", params=wish)).status_code == 422
