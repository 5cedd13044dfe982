"""Samples of the generated rules: one for each rule, each near miss a change of what fires."""

import json
from typing import Any

from rules.scenarios.scenario_rules import compiled_rules
from rules.scenarios.scenario_samples import scenario_samples
from rules.shipped_files import shipped_models

SAMPLES: list[dict[str, Any]] = json.loads(scenario_samples(shipped_models()))


def test_every_generated_rule_has_one_sample() -> None:
    assert [sample["rule"] for sample in SAMPLES] == sorted(
        rule.label for rule in compiled_rules(shipped_models())
    )


def test_every_near_miss_differs_from_what_fires_and_says_why() -> None:
    for sample in SAMPLES:
        fires = sample["fires"]["alerts"]
        assert len(sample["near_misses"]) >= 3
        for miss in sample["near_misses"]:
            assert miss["why"] and miss["alerts"] != fires


def test_what_is_expected_names_alerts_of_the_sample() -> None:
    for sample in SAMPLES:
        names = {alert["name"] for alert in sample["fires"]["alerts"]}
        for expected in sample["fires"]["expect"]:
            assert set(expected[1:]) <= names
