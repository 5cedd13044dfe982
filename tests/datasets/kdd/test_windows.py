"""Both windows against a loop that looks at every earlier connection. Exact equality."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.kdd import windows as windows_module
from datasets.kdd.kdd99 import FEATURES
from datasets.kdd.windows import FLAGS, SEEN, TRAFFIC, TrafficWindows

Row = tuple[int, int, int, int, int]
"""(microseconds since the row before, host, service, source port, flag)."""

rows_strategy = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1000, 30_000, 499_999, 500_000, 1_000_000, 2_000_000, 2_000_001]),
        st.sampled_from([0, 0, 0, 1, 2, 1 << 64, 1 << 127]),
        st.integers(0, 3),
        st.sampled_from([0, 4000, 4001]),
        st.integers(0, len(FLAGS) - 1),
    ),
    min_size=1,
    max_size=300,
)


def table(rows: list[Row]) -> Any:
    out = np.zeros(len(rows), SEEN)
    now = 0
    for row, (gap, host, service, port, flag) in zip(out, rows, strict=True):
        now += gap
        row["start_us"], row["service"], row["src_port"], row["flag"] = now, service, port, flag
        row["dst"] = (host >> 64, host & (1 << 64) - 1)
    return out


def plain(rows: list[Row], host_window: int) -> list[dict[str, float]]:
    """The task description, word for word; shares as fractions, then two decimals."""
    out = []
    starts = np.cumsum([row[0] for row in rows]).tolist()
    for i, (_, host, service, port, _) in enumerate(rows):
        recent = [rows[j] for j in range(i + 1) if starts[j] >= starts[i] - 2_000_000]
        last = rows[max(i + 1 - host_window, 0) : i + 1]
        record: dict[str, float] = {}

        def share(part: list[Row], whole: list[Row]) -> float:
            return float(Fraction(round(Fraction(100 * len(part), len(whole))), 100))

        for prefix, window, cap in (("", recent, 511), ("dst_host_", last, host_window)):
            hosts = [row for row in window if row[1] == host]
            services = [row for row in window if row[2] == service]
            record[prefix + "count"] = min(len(hosts), cap)
            record[prefix + "srv_count"] = min(len(services), cap)
            for name, kinds in (
                ("serror_rate", ("S0", "S1", "S2", "S3", "SH")),
                ("rerror_rate", ("REJ", "RSTO", "RSTOS0", "RSTR")),
            ):
                record[prefix + name] = share([r for r in hosts if FLAGS[r[4]] in kinds], hosts)
                record[f"{prefix}srv_{name}"] = share(
                    [r for r in services if FLAGS[r[4]] in kinds], services
                )
            record[prefix + "same_srv_rate"] = share([r for r in hosts if r[2] == service], hosts)
            record[prefix + "diff_srv_rate"] = share([r for r in hosts if r[2] != service], hosts)
            record[prefix + "srv_diff_host_rate"] = share(
                [r for r in services if r[1] != host], services
            )
            if prefix:
                record[prefix + "same_src_port_rate"] = share(
                    [r for r in hosts if r[3] == port], hosts
                )
        out.append(record)
    return out


@settings(deadline=None, max_examples=60)
@given(rows_strategy, st.sampled_from([1, 7, 100, 255]), st.lists(st.integers(0, 300), max_size=4))
def test_windows_are_what_the_task_describes(
    rows: list[Row], host_window: int, cuts: list[int]
) -> None:
    """However the stream is cut into calls."""
    expected = plain(rows, host_window)
    made = table(rows)
    windows = TrafficWindows(host_window=host_window)
    inner = sorted(min(c, len(rows)) for c in cuts)
    parts = [
        windows.add(made[begin:end])
        for begin, end in zip([0, *inner], [*inner, len(rows)], strict=True)
        if begin < end
    ]
    for name in TRAFFIC:
        got = np.concatenate([part[name] for part in parts])
        assert got.tolist() == [record[name] for record in expected], name


def test_names_are_those_of_the_files() -> None:
    assert TRAFFIC == tuple(n for n in FEATURES[22:])


def test_counts_stop_where_the_files_do_but_shares_are_of_all() -> None:
    made = table([(0, 1, 1, 0, FLAGS.index("S0"))] * 300 + [(0, 1, 1, 0, FLAGS.index("SF"))] * 600)
    out = TrafficWindows(host_window=255).add(made)
    assert out["count"][-1] == out["srv_count"][-1] == 511
    assert out["dst_host_count"][-1] == 255
    assert out["serror_rate"][-1] == 0.33


def test_late_connection_is_taken_to_start_with_the_newest() -> None:
    windows = TrafficWindows()
    made = table([(10_000_000, 1, 1, 0, 0), (0, 1, 1, 0, 0)])
    made["start_us"][1] = 5
    assert windows.add(made)["count"].tolist() == [1, 2]


def test_memory_is_bounded_and_the_cut_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "MAX_CARRIED", 500)
    windows = TrafficWindows()
    for _ in range(3):
        windows.add(table([(0, 1, 1, 0, 0)] * 400))
    assert len(windows._carried) == 500
    assert windows.cut > 0


@pytest.mark.parametrize("size", [0, 256, -1])
def test_impossible_windows_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"\[1, 255\], got {size}"):
        TrafficWindows(host_window=size)


def test_nothing_in_nothing_out() -> None:
    out = TrafficWindows().add(np.zeros(0, SEEN))
    assert [len(out[name]) for name in TRAFFIC] == [0] * len(TRAFFIC)
