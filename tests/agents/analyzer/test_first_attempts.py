"""First attempts: what is kept of them, and that they push out no one but themselves."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.analyzer import scans
from agents.analyzer.first_attempts import ATTEMPT, FirstAttempts


def rows(numbers: list[int]) -> Any:
    out = np.zeros(len(numbers), ATTEMPT)
    out["end_us"] = numbers
    return out


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), max_size=12))
def test_they_are_the_last_so_many_without_those_taken(batches: list[list[int]]) -> None:
    """Against the plainest of rings; what is put is popped first, as the detectors do."""
    attempts, plain, evicted = FirstAttempts(8), deque[int | None](maxlen=8), 0
    for batch in batches:
        for number in batch:
            attempt = attempts.pop(b"%d" % number)
            assert (attempt is not None) == (number in plain)
            if attempt is not None:
                assert attempt.end_us == number
                plain[plain.index(number)] = None
        attempts.put([b"%d" % number for number in batch], rows(batch))
        for number in batch:
            evicted += len(plain) == 8 and plain[0] is not None
            plain.append(number)
        assert {int(key) for key in attempts._slots} == {n for n in plain if n is not None}
    assert attempts.evicted == evicted


def test_a_full_ring_forgets_in_order() -> None:
    attempts = FirstAttempts(3)
    attempts.put([b"a", b"b"], rows([1, 2]))
    attempts.put([b"c", b"d"], rows([3, 4]))
    assert b"a" not in attempts
    assert (len(attempts), attempts.evicted) == (3, 1)
    found = attempts.pop(b"d")
    assert found is not None
    assert found.end_us == 4
    assert attempts.pop(b"d") is None
    attempts.put([b"e", b"f", b"g", b"h"], rows([5, 6, 7, 8]))
    assert [key in attempts for key in (b"b", b"c", b"e", b"f", b"g", b"h")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
    assert attempts.evicted == 4  # a, b, c, e: d was taken


def test_who_has_come_back_is_not_pushed_out_by_who_comes_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "MAX_PAIRS", 4)
    monkeypatch.setattr(scans, "MAX_FIRST_ATTEMPTS", 16)
    core = bench.core()
    found: list[Any] = []
    for port in range(1, 21):
        batch = [bench.connection(at=port, dst_port=port, state="REJ", resp_flags="RA")]
        if port > 2:
            batch += [
                bench.connection(at=port, src=f"10.{port}.{i}.9", dst_port=3000 + i)
                for i in range(40)
            ]
        found += core.on_batch(bench.batch(batch))
    assert "SynScan" in {alert.classification for alert in found}
    assert core.counters()["port_scan_evicted"] >= 18 * 40 - 16
