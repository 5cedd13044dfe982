"""The ledger: round trips, one active entry a source, bounds, and a trail that can't be altered."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.supervisor.ledger import Ledger, LedgerError, Retention
from agents.supervisor.propagation import Propagation


@pytest.fixture
def entry(settings, kit):
    propagation = Propagation.from_settings(settings)

    def make(name="d1", source="203.0.113.9", now_us=None, **changes):
        made = kit.decision(name, source, **changes)
        return propagation.on_decision(
            made, None, new_id=kit.urn(f"entry-{name}"), now_us=now_us or kit.T0
        ).entry

    return make


def test_an_explanation_brings_decision_incident_and_alerts(ledger, entry, kit):
    made = kit.decision()
    incident, alerts = kit.evidence(made, 7)
    ledger.save(entry())
    ledger.add_alerts(alerts, kit.T0)
    ledger.add_incident(incident, kit.T0)
    ledger.add_decision(made, "blocked", "", kit.urn("entry-d1"), kit.T0)
    ledger.add_decision(made, "covered", "again", None, kit.T0 + 5)
    why = ledger.explain(kit.urn("entry-d1"))
    assert [r.decision for r in why.rulings] == [made]
    assert why.rulings[0].outcome == "blocked"
    assert why.incidents == (incident,)
    assert sorted(a.id for a in why.alerts) == list(incident.alerts)
    assert set(why.alerts) == set(alerts)
    assert ledger.entry_of_decision(made.id).id == kit.urn("entry-d1")
    assert ledger.entry_of_decision("urn:uuid:none") is None


def test_an_explanation_also_tells_what_else_the_source_did(ledger, entry, kit):
    made = kit.decision()
    incident, _ = kit.evidence(made, 1)
    ledger.save(entry())
    ledger.add_decision(made, "blocked", "", kit.urn("entry-d1"), kit.T0)
    seconds = {"before": -59, "during": 300, "too early": -61}
    others = {n: replace(incident, id=kit.urn(n)) for n in seconds}
    stranger = replace(incident, id=kit.urn("stranger"), source=ip_address("203.0.113.200"))
    for name, other in others.items():
        ledger.add_incident(other, kit.T0 + seconds[name] * kit.S)
    ledger.add_incident(stranger, kit.T0)
    found = ledger.explain(kit.urn("entry-d1")).incidents
    assert set(found) == {others["before"], others["during"]}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.tuples(*[st.text(max_size=30)] * 4), max_size=8))
def test_the_trail_holds_any_text_and_verifies(tmp_path_factory, lines):
    with closing(Ledger(tmp_path_factory.mktemp("trail") / "l.sqlite3")) as ledger:
        for i, line in enumerate(lines):
            try:
                ledger.audit(*line, i)
            except UnicodeEncodeError:  # a lone surrogate: refused, not half written
                continue
        head = ledger.verify_audit()
        newest = ledger.audit_trail(limit=1)
        assert head == (newest[0].hash if newest else "")


def test_the_trail_is_append_only(ledger, kit, tmp_path):
    for i in range(3):
        ledger.audit("user:ana", "lift", "203.0.113.9", "mistake", kit.T0 + i)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as raw:
        for sql in ("UPDATE audit SET who = 'user:eve'", "DELETE FROM audit WHERE seq = 2"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET reason = 'other' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "UPDATE audit SET at_us = at_us + 1 WHERE seq = 3",
    ],
)
def test_a_forged_line_is_found(ledger, kit, tmp_path, sql):
    """Somebody with the file in hand can drop the triggers, but not mend the chain unseen."""
    for i in range(4):
        ledger.audit("user:ana", "lift", "203.0.113.9", "mistake", kit.T0 + i)
    ledger.verify_audit()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as raw, raw:
        raw.execute("DROP TRIGGER audit_is_never_changed")
        raw.execute("DROP TRIGGER audit_is_only_pruned")
        raw.execute(sql)
    with pytest.raises(LedgerError, match=r"audit line \d"):
        ledger.verify_audit()


def test_retention_drops_the_oldest_counts_it_and_keeps_the_chain(tmp_path, entry, kit):
    keep = Retention(entries=1, decisions=2, incidents=2, alerts=3, audit=4)
    with closing(Ledger(tmp_path / "small.sqlite3", keep)) as ledger:
        for i in range(6):
            made = kit.decision(f"d{i}", f"203.0.113.{i}")
            incident, alerts = kit.evidence(made, 1)
            ledger.save(entry(f"d{i}", f"203.0.113.{i}", duration_s=900 if i < 3 else 1000))
            ledger.add_decision(made, "blocked", "", None, kit.T0)
            ledger.add_incident(incident, kit.T0)
            ledger.add_alerts(alerts, kit.T0)
            ledger.audit("x", "y", "z", "", kit.T0)
        ledger.expire(kit.T0 + 900 * kit.S)
        assert ledger.dropped == 4 + 4 + 3 + 2 + 2
        assert ledger.counts() == {
            "entry": 4,
            "decision": 2,
            "incident": 2,
            "alert": 3,
            "audit": 4,
            "active": 3,
        }
        ledger.verify_audit()
        assert ledger.audit("x", "y", "z", "", kit.T0).seq == 7
        ledger.verify_audit()
        assert ledger.counts()["audit"] == 4


def test_a_failed_transaction_leaves_nothing(ledger, entry, kit):
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        ledger.save(entry())
        ledger.audit("x", "y", "z", "", kit.T0)
        1 / 0  # noqa: B018
    assert ledger.counts()["entry"] == ledger.counts()["audit"] == 0


def test_a_damaged_ledger_is_set_aside_and_what_can_be_read_is_kept(tmp_path, entry, kit):
    path = tmp_path / "ledger.sqlite3"
    with closing(Ledger(path)) as ledger:
        ledger.save(entry())
        for i in range(1000):
            made = kit.decision(f"d{i}", f"203.0.113.{i % 250 + 1}")
            ledger.add_incident(kit.evidence(made, 1)[0], kit.T0)
            ledger.audit("x", "y", "z", "reason" * 50, kit.T0)
    data = bytearray(path.read_bytes())
    for page in range(20, len(data) // 4096, 20):
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
    path.write_bytes(data)
    told = {}
    faults = SimpleNamespace(fault=told.__setitem__, clear=told.pop)
    with closing(Ledger(path, faults=faults)) as ledger:
        counts = ledger.counts()
        assert counts["incident"] > 300 and counts["audit"] > 300
        assert counts["active"] == 1
        ledger.add_incident(kit.evidence(kit.decision("new", "203.0.113.9"), 1)[0], kit.T0)
    assert "set aside as ledger.sqlite3.damaged-" in told[f"{path} damaged"]
    assert len(list(tmp_path.glob("ledger.sqlite3.damaged-*[0-9]"))) == 1


def test_a_ledger_that_can_have_no_file_works_in_memory(tmp_path, entry):
    (tmp_path / "a-file").write_text("")
    told = {}
    faults = SimpleNamespace(fault=told.__setitem__, clear=told.pop)
    with closing(Ledger(tmp_path / "a-file" / "ledger.sqlite3", faults=faults)) as ledger:
        ledger.save(entry())
        assert ledger.counts()["active"] == 1
    assert "memory" in told[str(tmp_path / "a-file" / "ledger.sqlite3")]
