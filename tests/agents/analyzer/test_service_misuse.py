from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.analyzer import service_misuse
from agents.analyzer.service_misuse import MARKS, REPEATS, SEVERAL, Mark
from ontology.connection_batch import CONTENT_FLAGS
from ontology.records import INDICATORS
from ontology.taxonomy import ATTACK_CLASSES

FLAG = {name: 1 << bit for bit, name in enumerate(CONTENT_FLAGS)}
BIT = {name: 1 << bit for bit, name in enumerate(INDICATORS)}


def misuse(bench: Any, *marks: str, pot: bool = False, count: int = 1, **row: Any) -> list[Any]:
    core = bench.core(honeypots=(bench.victim,) if pot else ())
    row["indicators"] = sum(BIT.get(mark, 0) for mark in marks)
    row["content_flags"] = sum(FLAG.get(mark, 0) for mark in marks)
    rows = [bench.session(at=i, **row) for i in range(count)]
    found = core.on_batch(bench.batch([np.concatenate(rows)]))
    kinds = {mark.classification for mark in MARKS}
    return [a for a in found if a.classification in kinds]


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark.indicator)
def test_each_mark_is_its_class_there_where_it_counts(bench: Any, mark: Mark) -> None:
    assert mark.classification in ATTACK_CLASSES
    for pot, confidence in ((False, mark.anywhere), (True, mark.at_honeypot)):
        found = misuse(bench, mark.indicator, pot=pot)
        if not confidence:
            assert found == []
            continue
        [alert] = found
        assert (alert.classification, str(alert.source)) == (mark.classification, bench.attacker)
        assert (alert.confidence, alert.verified_source) == (confidence, True)
        assert mark.words in alert.explanation


def test_repeats_and_other_marks_of_the_class_add(bench: Any) -> None:
    [alert] = misuse(bench, "SipScanner", count=20)
    assert alert.confidence == pytest.approx(0.7 + REPEATS)
    [alert] = misuse(bench, "NumberCalled", "TollFraud", pot=True)
    assert alert.confidence == pytest.approx(min(0.8 + SEVERAL, 0.95))
    # What is daily work elsewhere adds nothing there.
    [alert] = misuse(bench, "NumberCalled", "TollFraud")
    assert alert.confidence == pytest.approx(0.75)


def test_datagrams_prove_nothing(bench: Any) -> None:
    [alert] = misuse(bench, "TollFraud", protocol=17, orig_flags="", resp_flags="")
    assert not alert.verified_source


def test_pairs_are_bounded_and_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_misuse, "MAX_PAIRS", 10)
    core = bench.core()
    rows = [bench.session(dst=f"192.0.2.{i}", indicators=BIT["SipScanner"]) for i in range(30)]
    core.on_batch(bench.batch(rows))
    assert core.counters()["service_misuse_evicted"] == 20
