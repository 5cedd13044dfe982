"""Samples of the generated rules, in one file: what each must conclude, and what it must not."""

from __future__ import annotations

import json
from typing import Any

from rules.scenarios.compile import Compiled, StepRule
from rules.scenarios.scenario_rules import (
    HORIZON_US,
    alert_variables,
    objective_class,
    slots,
    step_property,
)

_HORIZON_S = HORIZON_US // 1_000_000
_GAP_S = 60


def scenario_samples(compiled: Compiled) -> str:
    """JSON: a list of samples as in ``rules/samples``, in order of rule."""
    samples = [_step_sample(step) for step in compiled.steps]
    for objective in compiled.objectives:
        sample = _step_sample(objective.step)
        sample["rule"] = objective.label
        expected = [objective_class(objective), "later"]
        sample["fires"]["expect"] = [expected]
        samples.append(sample)
    samples.sort(key=lambda sample: str(sample["rule"]))
    return json.dumps(samples, indent=1) + "\n"


def _step_sample(step: StepRule) -> dict[str, Any]:
    alerts = _alerts(step)
    pairs = alert_variables(step)
    names = {variable: f"earlier {number}" for number, (_, variable) in enumerate(pairs, 1)}
    misses = [
        {"why": "the other way round in time", "alerts": _moved(alerts, "later", -3600)},
        {
            "why": "more than 24 hours later",
            "alerts": _moved(alerts, "later", _HORIZON_S + _GAP_S * len(pairs)),
        },
    ]
    for number, slot in enumerate(slots(step)):
        alert, end = slot.places[0]
        name = names.get(alert, "later")
        misses.append(
            {
                "why": f"the {end} of {name!r} is another host",
                "alerts": [
                    row | {end: f"203.0.113.{200 + number}"} if row["name"] == name else row
                    for row in alerts
                ],
            }
        )
    for number in range(len(pairs)):
        name = f"earlier {number + 1}"
        misses.append(
            {
                "why": f"without {name!r}",
                "alerts": [row for row in alerts if row["name"] != name],
            }
        )
    return {
        "rule": step.label,
        "hosts": {},
        "fires": {
            "alerts": alerts,
            "expect": [[step_property(link), names[v], "later"] for link, v in pairs],
        },
        "near_misses": misses,
    }


def _alerts(step: StepRule) -> list[dict[str, Any]]:
    ends: dict[tuple[str, str], str] = {}
    for number, slot in enumerate(slots(step), 1):
        for place in slot.places:
            ends[place] = f"198.51.100.{number}"
    rows = []
    pairs = alert_variables(step)
    ordered = [(v, link.earlier, f"earlier {n}") for n, (link, v) in enumerate(pairs, 1)]
    for number, (variable, model, name) in enumerate([*ordered, ("b", step.later, "later")]):
        rows.append(
            {
                "name": name,
                "class": model.evidence[0],
                "source": ends.get((variable, "source"), f"192.0.2.{10 + number}"),
                "target": ends.get((variable, "target"), f"203.0.113.{10 + number}"),
                "at_s": _GAP_S * number,
                "verified_source": True,
            }
        )
    return rows


def _moved(alerts: list[dict[str, Any]], name: str, seconds: int) -> list[dict[str, Any]]:
    return [row | {"at_s": row["at_s"] + seconds} if row["name"] == name else row for row in alerts]
