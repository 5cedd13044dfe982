"""The console's own memory: what was told is what is read."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.base.storage import StoreError
from agents.console.store import ReadStore, Retention
from agents.console.views import (
    AlertView,
    AuditView,
    BlockDetail,
    BlockView,
    GatewayView,
    IncidentView,
    RulingView,
    agent_view,
)
from tests.agents.factories import T0, S, decision, evidence, urn


def block(name: str = "b1", source: str = "203.0.113.9", **changes: object) -> BlockView:
    made = decision()
    gateway = GatewayView(
        gateway="gw1",
        wanted="block",
        state="active",
        confirmed=True,
        since_us=T0,
        expires_us=T0 + 900 * S,
        detail="",
    )
    return BlockView(
        **{
            "id": urn(name),
            "source": ip_address(source),
            "target": made.target,
            "state": "active",
            "settled": True,
            "classification": made.classification,
            "reason": made.reason,
            "origin": made.origin,
            "since_us": T0,
            "expires_us": T0 + 900 * S,
            "ended_us": 0,
            "ended_by": "",
            "decision": made.id,
            "incident": made.incident,
            "gateways": (gateway,),
        }
        | changes
    )


def line(number: int, subject: str = "x", digest: str = "0") -> AuditView:
    return AuditView(
        seq=number, at_us=T0, who="user:ana", what="login", subject=subject, reason="", hash=digest
    )


def ruling(made, outcome: str = "blocked", at_us: int = T0) -> RulingView:
    return RulingView(decision=made, outcome=outcome, detail="", received_us=at_us)


def test_a_list_is_the_views_that_were_told_newest_first(store):
    views = [block(f"b{n}", f"203.0.113.{n}", since_us=T0 + n) for n in range(1, 4)]
    for view in views:
        store.put_block(view, "f")
    read = [BlockView.model_validate_json(text) for text in store.blocks(limit=9)]
    assert read == views[::-1]
    assert store.block(views[0].id) == views[0]
    assert store.block(urn("none")) is None
    changed = views[1].model_copy(update={"state": "lifted", "ended_us": T0 + 9})
    store.put_block(changed, "f")

    def found(**wish):
        return [json.loads(text)["source"] for text in store.blocks(**{"limit": 9} | wish)]

    assert found(state="active") == ["203.0.113.3", "203.0.113.1"]
    assert found(state="ended") == found(state="lifted") == ["203.0.113.2"]
    assert found(state="expired") == []
    assert found(source=ip_address("::ffff:203.0.113.1")) == ["203.0.113.1"]
    assert found(gateway="gw1") == ["203.0.113.3", "203.0.113.2", "203.0.113.1"]
    assert found(gateway="gw2") == []
    assert found(limit=1, offset=1) == ["203.0.113.2"]


def test_an_explanation_holds_all_that_belongs_to_a_ban(store):
    made = decision(incident=urn("i"))
    incident, alerts = evidence(made)
    other = replace(incident, id=urn("beside"), rule="Other", alerts=())
    early = replace(incident, id=urn("early"), rule="Early", alerts=())
    foreign = replace(incident, id=urn("foreign"), source=ip_address("192.0.2.1"))
    store.put_block(block(since_us=T0), "f")
    store.put_ruling(ruling(made), urn("b1"))
    store.put_ruling(ruling(decision("d2"), "covered", T0 + 5), urn("b1"))
    store.put_ruling(ruling(decision("d3")), urn("another"))
    for found, at_us in (
        (incident, T0),
        (other, T0 - 59 * S),
        (early, T0 - 61 * S),
        (foreign, T0),
    ):
        store.put_incident(IncidentView(incident=found, received_us=at_us))
    for alert in reversed(alerts):
        store.put_alert(AlertView(alert=alert, received_us=T0))
    store.put_audit(line(1, urn("b1")), "f")
    store.put_audit(line(2), "f")
    detail = BlockDetail.model_validate_json(store.detail(urn("b1")))
    assert detail.block == block(since_us=T0)
    assert [r.outcome for r in detail.decisions] == ["blocked", "covered"]
    assert [i.rule for i in detail.incidents] == ["Other", "ScanThenBruteForce"]
    assert detail.alerts == alerts, "by when they began, whatever the order in which they came"
    assert [x.seq for x in detail.audit] == [1]
    assert store.detail(urn("none")) is None


def test_evidence_that_is_gone_is_simply_absent(store):
    store.put_block(block(), "f")
    store.put_ruling(ruling(decision(incident=urn("gone"))), urn("b1"))
    detail = BlockDetail.model_validate_json(store.detail(urn("b1")))
    assert (detail.incidents, detail.alerts) == ((), ())


def test_a_snapshot_ends_what_it_does_not_tell(store):
    store.put_block(block("still"), "old")
    store.put_block(block("over"), "old")
    store.put_block(block("history", state="expired"), "old")
    store.put_agent(agent_view("a@x.test", "sensor", "gw1"), "old")
    for number in range(1, 6):
        store.put_audit(line(number, digest="old"), "old")
    store.put_block(block("still"), "new")
    store.put_agent(agent_view("b@x.test", "sensor", "gw1"), "new")
    store.put_audit(line(3, digest="new"), "new")
    store.end_snapshot("new")
    assert {json.loads(t)["id"] for t in store.blocks(limit=9)} == {urn("still"), urn("history")}
    assert [a.name for a in store.agents()] == ["b@x.test"]
    hashes = [(json.loads(t)["seq"], json.loads(t)["hash"]) for t in store.audit(limit=9)]
    assert hashes == [(3, "new"), (2, "old"), (1, "old")]


def test_rows_are_bounded_and_active_bans_never_go(tmp_path):
    keep = Retention(bans=2, rulings=2, incidents=2, alerts=2, audit=2)
    with closing(ReadStore(tmp_path / "small.sqlite3", keep)) as store:
        made = decision()
        incident, (alert, *_) = evidence(made)
        for n in range(5):
            store.put_block(block(f"a{n}"), "f")
            store.put_block(block(f"e{n}", state="expired"), "f")
            store.put_ruling(ruling(replace(made, id=urn(f"d{n}"))), None)
            found = replace(incident, id=urn(f"i{n}"))
            store.put_incident(IncidentView(incident=found, received_us=T0))
            store.put_alert(AlertView(alert=replace(alert, id=urn(f"l{n}")), received_us=T0))
            store.put_audit(line(n + 1), "f")
        assert store.dropped == 15
        assert store.counts() == {
            "ban": 7,
            "ruling": 2,
            "incident": 2,
            "alert": 2,
            "audit": 2,
            "active": 5,
        }
        assert [json.loads(t)["seq"] for t in store.audit(limit=9)] == [5, 4]
        assert store.blocks(gateway="gw1", state="ended", limit=9) != []


def test_it_is_there_after_a_restart_and_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "store.sqlite3"
    with closing(ReadStore(path)) as store:
        store.put_block(block(), "f")
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(ReadStore(path)) as store:
        assert store.block(urn("b1")) == block()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=9")
    with pytest.raises(StoreError, match="newer"):
        ReadStore(path)
    path.write_bytes(b"no database" * 200)
    with closing(ReadStore(path)) as store:
        assert store.block(urn("b1")) is None
    assert len(list(tmp_path.glob("store.sqlite3.damaged-*"))) == 1
