from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.analyzer import hybrid_verdicts
from agents.analyzer.clustering import FAMILY
from agents.analyzer.core import load_model
from agents.analyzer.features import FEATURES
from agents.analyzer.hybrid import HybridModel
from agents.analyzer.hybrid_training import Plan, learn
from agents.analyzer.hybrid_verdicts import ACTIONABLE, WEIGHT, HybridVerdicts, Verdict, weigh
from agents.analyzer.live_encoding import LIVE

WIDTH = len(FEATURES)


def spot(number: int, rows: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows near one of the corners of the unit cube."""
    middle = np.zeros(WIDTH)
    middle[number * 5 : number * 5 + 5] = 1.0
    return middle + np.random.default_rng(seed).normal(0, 0.02, (rows, WIDTH))


@pytest.fixture(scope="module")
def model() -> HybridModel:
    """Normal traffic in one corner, two kinds of attack in others."""
    features = np.concatenate([spot(0, 400, 1), spot(1, 100, 2), spot(2, 100, 3)])
    labels = np.array(["Normal"] * 400 + ["SynScan"] * 100 + ["UdpFlood"] * 100)
    return learn(
        features.astype(np.float32),
        labels,
        labels,
        (labels == "Normal") & (np.arange(600) % 4 == 0),
        np.random.default_rng(1),
        lines=np.arange(1, 601),
        encoding=LIVE,
        classes=("Normal", "SynScan", "UdpFlood"),
        plan=Plan(epochs=30, cases=(200, 100), clusters=None),
        seed=1,
    )


@pytest.fixture
def asked(model: HybridModel) -> Iterator[HybridVerdicts]:
    made = HybridVerdicts(model)
    made.on_batch()
    yield made


def test_three_outcomes(asked: HybridVerdicts) -> None:
    def say(rows: NDArray[np.float64]) -> tuple[str, str]:
        verdict = asked.judge(rows)
        assert verdict is not None
        return verdict.outcome, verdict.kind

    assert say(spot(1, 10, 9)) == ("attack", "SynScan")
    assert say(spot(0, 10, 9)) == ("normal", "")
    # Like nothing it has seen: whatever the odds say, it abstains.
    assert say(spot(7, 10, 9)) == ("uncertain", "")


def test_it_explains_itself_with_cases_and_features(asked: HybridVerdicts) -> None:
    verdict = asked.judge(spot(2, 40, 9))
    assert verdict is not None
    assert "network: attack UdpFlood (16 of 16 connections)" in verdict.words
    assert "nearest cases UdpFlood (sample connection " in verdict.words
    named = verdict.words.partition("features that mattered: ")[2].split(", ")
    mattered = {words.split()[0] for words in named}
    assert mattered and mattered <= {LIVE.groups[i] for i in LIVE.column_group[[*range(15)]]}


def test_a_flood_of_findings_is_not_all_asked_about(
    asked: HybridVerdicts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid_verdicts, "VERDICTS", 3)
    monkeypatch.setattr(hybrid_verdicts, "EXPLANATIONS", 1)
    asked.on_batch()
    said = [asked.judge(spot(1, 4)) for _ in range(5)]
    assert [verdict is None for verdict in said] == [False, False, False, True, True]
    assert ["nearest cases" in o.words for o in said if o] == [True, False, False]
    assert (asked.asked, asked.unasked) == (3, 2)
    asked.on_batch()
    assert asked.judge(spot(1, 4)) is not None


@pytest.mark.parametrize("before", [0.0, 0.02, 0.3, 0.47, 0.499, 0.5, 0.52, 0.9, 0.99])
@pytest.mark.parametrize("outcome", ["normal", "uncertain", "attack"])
@pytest.mark.parametrize("kind", ["SynScan", "UdpFlood"])
def test_its_weight_is_bounded_and_it_blocks_nobody(before: float, outcome: str, kind: str) -> None:
    verdict = Verdict(outcome, kind if outcome == "attack" else "", 1.0, "")
    after = weigh(before, verdict, "Scan", FAMILY.get(verdict.kind))
    assert abs(after - before) <= WEIGHT + 1e-9
    assert 0.0 <= after <= 0.99
    assert not before < ACTIONABLE <= after
    if outcome == "uncertain" or (outcome == "attack" and kind == "UdpFlood"):
        assert after == before
    assert weigh(before, None, "Scan", None) == before
    assert weigh(before, verdict, None, "Scan") == before


def test_the_running_analyzer_asks_and_says_so(bench: Any) -> None:
    rows = [
        bench.connection(at=0.01 * i, dst_port=i, state="REJ", resp_flags="RA") for i in range(100)
    ]
    model = load_model()
    core = bench.core(model)
    [alert] = [a for a in core.on_batch(bench.batch(rows)) if a.classification == "SynScan"]
    for part in ("% in cluster", "distance", "network: ", "nearest cases", "features that matter"):
        assert part in alert.explanation
    assert core.counters()["network_asked"] >= 1
    alone = bench.core(replace(model, hybrid=None)).on_batch(bench.batch(rows))
    [without] = [a for a in alone if a.classification == "SynScan"]
    assert "network" not in without.explanation
    assert abs(alert.confidence - without.confidence) <= WEIGHT + 1e-9
