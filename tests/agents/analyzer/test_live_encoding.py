from __future__ import annotations

from agents.analyzer.features import FEATURES
from agents.analyzer.live_encoding import LIVE


def test_live_features_have_groups_that_a_person_knows() -> None:
    assert LIVE.columns == len(FEATURES) == LIVE.clustered
    assert {"service", "flag", "protocol", "duration"} <= set(LIVE.groups)
    assert "service_http" not in LIVE.groups
    assert set(LIVE.column_group.tolist()) == set(range(len(LIVE.groups)))
