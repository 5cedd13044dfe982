from __future__ import annotations

from dataclasses import replace

import pytest

from agents.correlation.belief import case_level, finding_level
from agents.correlation.cases import Case
from agents.correlation.inference_findings import Finding
from rules.shipped_files import shipped_outcomes
from tests.agents.correlation.alerts import alert


def test_a_finding_is_believed_as_its_surest_alert_that_completes_the_pattern() -> None:
    finding = Finding("ScanThenExploit", "", None, None)
    finding.by_id = {"a": alert(1, confidence=1.0), "b": alert(2, confidence=0.5)}
    finding.later_by_id = {"b": finding.by_id["b"]}
    assert finding_level(finding, shipped_outcomes()) == pytest.approx(0.95 * 1.5 / 2)


def test_a_case_is_believed_the_more_the_further_it_went() -> None:
    case = Case("c", "s", "S", (alert(1, confidence=1.0),), (), "rule", (), (), 0.4)
    further = replace(case, share=0.8)
    reached = replace(case, objectives=("goal",))
    assert 0 < case_level(case) < case_level(further) < case_level(reached) < 1
