from __future__ import annotations

import json
from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.scenario_memory import Row, ScenarioMemory
from ontology.records import Alert
from tests.agents.correlation.alerts import alert


def nothing(alert_id: str) -> Alert | None:
    return None


ids = st.sampled_from("abcdefgh")
steps = st.one_of(
    st.tuples(st.just("pair"), ids, ids, st.sampled_from(["p", "q"])),
    st.tuples(st.just("objective"), ids, st.sampled_from(["x", "y"])),
    st.tuples(st.just("candidate"), ids, st.just("rule")),
    st.tuples(st.just("case"), ids, ids),
)


def apply(known: ScenarioMemory, step: tuple[str, ...]) -> None:
    match step:
        case ("pair", a, b, name):
            known.add_pair(a, b, name, f"rule of {name}", nothing)
        case ("objective", a, name):
            known.add_objective(a, name)
        case ("candidate", a, name):
            known.add_candidate(a, name, "comment")
        case ("case", a, b):
            known.name_case([a, b], a)


def state(known: ScenarioMemory) -> dict[str, object]:
    return {
        one: (
            set(known.linked(one)),
            set(known.objectives(one)),
            known.candidate(one),
            {k: v for k, v in known.pairs.items() if one in k},
            known.name_case([one], "none"),
        )
        for one in "abcdefgh"
    }


@given(st.lists(steps, max_size=40), st.integers(0, 40))
def test_rows_stored_now_and_then_bring_everything_back(
    done: list[tuple[str, ...]], at: int
) -> None:
    """Only what changed since the last time is stored; the latest row of a key counts."""
    known = ScenarioMemory(100)
    stored: dict[tuple[str, str, str], Row] = {}
    for number, step in enumerate(done):
        apply(known, step)
        if number == at:
            stored |= {(r.kind, r.subject, r.object): r for r in known.changes()}
    stored |= {(r.kind, r.subject, r.object): r for r in known.changes()}
    again = ScenarioMemory(100)
    again.restore(stored.values(), nothing)
    assert again.changes() == []
    assert state(again) == state(known)


@given(st.lists(steps, max_size=60))
def test_bounds_hold_and_what_was_forgotten_is_not_stored(done: list[tuple[str, ...]]) -> None:
    known = ScenarioMemory(3)
    for step in done:
        apply(known, step)
    assert len(known) <= 3
    rows = known.changes()
    for kind in ("pair", "objective", "candidate", "case"):
        assert sum(row.kind == kind for row in rows) <= 3
    linked = {a for key in known.pairs for a in key}
    assert {one for one in "abcdefgh" if list(known.linked(one))} == linked


def test_sources_are_found_again_among_the_alerts_that_are_remembered() -> None:
    rows = [Row("pair", alert(1).id, alert(2).id, json.dumps({"p": "rule"}))]
    known = ScenarioMemory(10)
    known.restore(rows, {alert(1).id: alert(1)}.get)
    assert list(known.of_source(ip_address("192.0.2.7"))) == [alert(1).id]
    assert known.source_of(alert(2).id) is None


def test_a_row_of_another_version_is_skipped() -> None:
    known = ScenarioMemory(10)
    bad = [
        Row("pair", "a", "b", "no JSON"),
        Row("pair", "a", "b", "[1]"),
        Row("candidate", "a", "", '["rule"]'),
        Row("dream", "a", "", '"x"'),
    ]
    known.restore([*bad, Row("case", "a", "", '"c"')], nothing)
    assert len(known) == 0 and known.name_case(["a"], "none") == "c"


def test_pairs_of_what_may_be_forged_push_out_no_others() -> None:
    known = ScenarioMemory(10)
    alerts = {a.id: a for a in (alert(n, verified_source=n < 10) for n in range(500))}
    names = list(alerts)
    for earlier, later in pairwise(names[:10]):
        known.add_pair(earlier, later, "p", "rule", alerts.get)
    for later in names[10:]:
        # One of the two is enough.
        known.add_pair(names[0], later, "p", "rule", alerts.get)
    assert all(pair in known.pairs for pair in pairwise(names[:10]))
    assert len(known) <= 9 + 2 and known.forgotten > 400
