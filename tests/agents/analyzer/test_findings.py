"""Few rows and many are dealt with by different code: the outcome is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.analyzer import findings, floods
from agents.analyzer.clustering import Assignment
from agents.analyzer.findings import Finding, View
from agents.analyzer.floods import Flow
from ontology.records import CONNECTION

CLUSTERS = 5


def view(seed: int, count: int) -> View:
    rng = np.random.default_rng(seed)
    rows = np.zeros(count, CONNECTION)
    rows["start_us"] = 1_700_000_000_000_000 + rng.integers(0, 30_000_000, count)
    rows["duration_us"] = rng.choice([0, 700_000, 20_000_000], count)
    rows["src"][:, 15] = rng.integers(0, 3, count)
    rows["dst"][:, 15] = rng.integers(0, 2, count)
    rows["dst_port"] = rng.integers(1, 4, count)
    rows["protocol"] = 6
    rows["orig_flags"], rows["resp_flags"] = 2 | 16, rng.choice([0, 2 | 16 | 8], count)
    rows["state"] = rng.integers(0, 4, count)
    rows["orig_packets"] = rng.integers(1, 2000, count)
    rows["resp_bytes"] = rng.integers(0, 2, count)
    rows["conversation"] = seed % 3 > 0
    rows["resp_bytes"] |= seed % 3 == 2  # all of them are verified then
    assignment = Assignment(
        cluster=rng.integers(0, CLUSTERS, count),
        distance=rng.random(count),
        novel=np.zeros(count, bool),
    )
    return View(rows, assignment)


def taken(seed: int, counts: list[int]) -> dict[str, Any]:
    flow, finding = Flow(), Finding()
    for number, count in enumerate(counts):
        batch = view(seed + number, count)
        finding.add(batch, np.arange(count), CLUSTERS)
        flow.take(batch, np.arange(count), CLUSTERS)
    plain = {name: getattr(finding, name) for name in Finding.__slots__}
    plain |= {name: getattr(flow, name) for name in ("packets", "payload", "ports", "per_source")}
    plain["histogram"] = None if finding.histogram is None else finding.histogram.tolist()
    plain["rate"] = [pytest.approx(value) for value in flow.rate()]
    return plain


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_few_rows_count_as_many_do(seed: int, counts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (findings, floods):
            patch.setattr(module, "FEW", 0)
        many = taken(seed, counts)
        for module in (findings, floods):
            patch.setattr(module, "FEW", 1000)
        assert taken(seed, counts) == many
