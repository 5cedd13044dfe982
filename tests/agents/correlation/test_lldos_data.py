"""RealSecure's alerts of LLDOS 1.0, 922 inside: one story with nearly all of the attack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.evaluation.alert_sets import NING, read_set
from agents.evaluation.correlation import correlate
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker

FILE = Path(os.environ.get("ONTOIDPS_DATA", "")) / "darpa2000" / "inside1_events_parsed_v3.csv"


@pytest.mark.data
@pytest.mark.skipif(not FILE.is_file(), reason="ONTOIDPS_DATA names no folder with darpa2000/")
def test_lldos_is_one_incident_with_nearly_all_of_its_alerts(worker: PelletWorker) -> None:
    core = CorrelationEngine(
        (),
        Policy(),
        origin="c@test",
        reasoner=worker,
        joins=find_joins(worker.theory),
        reads=worker.theory.reads,
        reason_timeout_s=60.0,
    )
    given = read_set("realsecure", [FILE], NING, frozenset()).alerts
    result = correlate(given, core)
    told = max(result.incidents, key=lambda one: len(one.joined))
    assert told.incident.explanation.startswith("Scenario LLDOS: ")
    # The attacker, not the hosts that fetched his program from him.
    assert str(told.incident.source) == "202.77.162.213"
    assert told.phases == (
        "sadmind-probe",
        "sadmind-overflow",
        "fetch-mstream",
        "install-mstream",
        "zombie-reports",
        "open-session",
        "mstream-flood",
    )
    # Ning et al. (CCS 2002) on these alerts: 93.18 %, 93.18 % and 6.82 %.
    metrics = result.metrics
    assert metrics.completeness is not None and metrics.completeness >= 0.98
    assert metrics.soundness is not None and metrics.soundness >= 0.98
    assert metrics.false_alert_rate is not None and metrics.false_alert_rate <= 0.02
    assert told.joined == {one.name for one in given if one.related}
