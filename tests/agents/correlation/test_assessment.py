"""Reliability and risk: the arithmetic, and that the rules of ``paper.owl`` say the same."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.correlation.assessment import MODES, Rating, reliability, risk
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.paper_facts import PAPER, Counts, with_counts
from ontology.reasoner.window import build_window
from ontology.records import Alert, HostProfile

SOURCE, TARGET = ip_address("192.0.2.7"), ip_address("198.51.100.5")


def test_the_example_of_the_paper_reconstruction() -> None:
    found = reliability(30, 40, MODES["paper"])
    assert found == 7.5
    rating = Rating(found, risk(5, 4, found), 5, 4)
    assert str(rating) == "reliability 7.5, risk 6.0 (VA 5, PS 4)"


def test_the_first_alert_ever_is_not_ten_in_the_windowed_mode() -> None:
    assert reliability(1, 1, MODES["paper"]) == 10.0
    assert reliability(1, 1, MODES["windowed"]) == 0.0
    assert reliability(3, 3, MODES["windowed"]) == pytest.approx(30 / 13)
    assert reliability(0, 0, MODES["paper"]) == 0.0


@given(st.sampled_from(sorted(MODES)), st.data(), st.integers(0, 5), st.integers(0, 5))
def test_both_stay_in_their_range_and_rise_with_the_hosts_share(
    name: str, data: st.DataObject, value: int, priority: int
) -> None:
    system = data.draw(st.integers(1, 10**6))
    few, many = sorted(data.draw(st.lists(st.integers(0, system), min_size=2, max_size=2)))
    low, high = (reliability(n, system, MODES[name]) for n in (few, many))
    assert 0 <= low <= high <= 10
    assert 0 <= risk(value, priority, low) <= risk(value, priority, high) <= 10


# 7 of 24 and 1 of 3: quotients that no decimal has in full.
@pytest.mark.parametrize("mode", sorted(MODES))
@pytest.mark.parametrize(("host", "system", "value"), [(30, 40, 5), (7, 24, 2), (1, 3, 4)])
def test_pellet_concludes_what_the_arithmetic_says(
    paper_worker: PelletWorker, mode: str, host: int, system: int, value: int
) -> None:
    alert = Alert(
        id="urn:uuid:1",
        classification="SynScan",
        source=SOURCE,
        target=TARGET,
        protocol=6,
        begin_us=1,
        end_us=2,
        confidence=1.0,
        verified_source=True,
        sensor="sensor.gw1@honeynet.test",
        analyzer="sample",
        explanation="",
    )
    pot = HostProfile(id="urn:p", address=TARGET, roles=("Honeypot",), asset_value=value)
    counts = Counts(
        host_alerts=lambda address: host if address == SOURCE else 0,
        system_alerts=system,
        added=MODES[mode].added,
        support=MODES[mode].support,
        sensor_priority=lambda name: 4,
        minimum_risk=1.0,
    )
    window = with_counts(
        build_window([alert], {TARGET: pot}), [alert], [alert], {TARGET: pot}, counts
    )
    found = paper_worker.reason(window, 20.0)
    values = {v.property.removeprefix(PAPER): v for v in found.values}
    trust = reliability(host, system, MODES[mode])
    if trust == 0:
        assert not {"reliability", "risk"} & values.keys()
        return
    assert float(values["reliability"].value) == pytest.approx(trust)
    assert float(values["risk"].value) == pytest.approx(risk(value, 4, trust))
    assert values["risk"].explanation.rules == ("Reliability", "Risk")
    wanted = risk(value, 4, trust) >= 1.0
    assert wanted == any(m.name == PAPER + "RiskFinding" for m in found.members)
