from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.analyzer import features
from agents.analyzer.features import FEATURES, FeatureExtractor
from ontology.records import CONNECTION, CONNECTION_STATES

HOSTS = 3
rows_strategy = st.lists(
    st.tuples(
        st.integers(0, 6_000_000),  # start
        st.integers(0, HOSTS - 1),  # destination
        st.sampled_from([22, 80]),  # port
        st.sampled_from([4000, 4001]),  # source port
        st.sampled_from(["S0", "SF", "REJ"]),
    ),
    min_size=1,
    max_size=150,
)


def table(rows: list[tuple[int, int, int, int, str]]) -> Any:
    out = np.zeros(len(rows), CONNECTION)
    for row, (start, host, port, source_port, state) in zip(out, sorted(rows), strict=True):
        row["start_us"], row["dst_port"], row["src_port"] = start, port, source_port
        row["dst"][15], row["protocol"] = host, 6
        row["state"] = CONNECTION_STATES.index(state)
    return out


def column(matrix: Any, name: str) -> Any:
    return matrix[:, FEATURES.index(name)]


def counts(matrix: Any, name: str, cap: int) -> Any:
    """Undo the logarithm."""
    return np.round(np.expm1(column(matrix, name) * np.log1p(cap)))


@settings(deadline=None, max_examples=60)
@given(rows_strategy)
def test_windows_are_what_kdd_describes(rows: list[tuple[int, int, int, int, str]]) -> None:
    """Against a loop that looks at every earlier connection."""
    made = table(rows)
    matrix = FeatureExtractor().extract(made)
    assert matrix.shape == (len(rows), len(FEATURES))
    assert (matrix >= 0).all() and (matrix <= 1).all()
    for i, own in enumerate(made):
        recent = made[: i + 1][made["start_us"][: i + 1] >= own["start_us"] - features.WINDOW_US]
        last = made[max(i - features.HOST_WINDOW + 1, 0) : i + 1]
        for prefix, window, cap in (("", recent, 511), ("dst_host_", last, 100)):
            same = window[(window["dst"] == own["dst"]).all(axis=1)]
            service = window[window["dst_port"] == own["dst_port"]]
            both = same[same["dst_port"] == own["dst_port"]]
            refused = np.mean(same["state"] == CONNECTION_STATES.index("REJ"))
            unanswered = np.mean(service["state"] == CONNECTION_STATES.index("S0"))
            assert counts(matrix, prefix + "count", cap)[i] == len(same)
            assert counts(matrix, prefix + "srv_count", cap)[i] == len(service)
            assert column(matrix, prefix + "rerror_rate")[i] == pytest.approx(refused)
            assert column(matrix, prefix + "srv_serror_rate")[i] == pytest.approx(unanswered)
            assert column(matrix, prefix + "same_srv_rate")[i] == pytest.approx(
                len(both) / len(same)
            )
            assert column(matrix, prefix + "srv_diff_host_rate")[i] == pytest.approx(
                1 - len(both) / len(service)
            )
        port = both[both["src_port"] == own["src_port"]]
        assert column(matrix, "dst_host_same_src_port_rate")[i] == pytest.approx(
            len(port) / len(same)
        )


@settings(deadline=None, max_examples=40)
@given(rows_strategy, st.integers(1, 160))
def test_every_window_column_equals_a_slow_loop_exactly(
    rows: list[tuple[int, int, int, int, str]], step: int
) -> None:
    """All 17 columns of both windows, bit for bit, however the stream is cut."""
    made = table(rows)
    extractor = FeatureExtractor()
    parts = [extractor.extract(made[i : i + step]) for i in range(0, len(made), step)]
    matrix = np.concatenate(parts)
    plain = [
        (
            int(r["start_us"]), int(r["dst"][15]), int(r["dst_port"]), int(r["src_port"]),
            CONNECTION_STATES[r["state"]],
        )
        for r in made
    ]  # fmt: skip
    for i, (start, host, port, source_port, _) in enumerate(plain):
        recent = [r for r in plain[: i + 1] if r[0] >= start - features.WINDOW_US]
        last = plain[max(i - features.HOST_WINDOW + 1, 0) : i + 1]
        for prefix, window, cap in (("", recent, 511), ("dst_host_", last, 100)):
            hosts = [r for r in window if r[1] == host]
            services = [r for r in window if r[2] == port]
            both = [r for r in hosts if r[2] == port]
            expected = {
                "count": min(np.log1p(float(len(hosts))) / np.log1p(cap), 1.0),
                "srv_count": min(np.log1p(float(len(services))) / np.log1p(cap), 1.0),
                "same_srv_rate": len(both) / len(hosts),
                "srv_diff_host_rate": 1.0 - len(both) / len(services),
            }
            for name, kinds in (("serror_rate", ("S0", "SH")), ("rerror_rate", ("REJ",))):
                expected[name] = sum(r[4] in kinds for r in hosts) / len(hosts)
                expected["srv_" + name] = sum(r[4] in kinds for r in services) / len(services)
            if prefix:
                same = [r for r in both if r[3] == source_port]
                expected["same_src_port_rate"] = len(same) / len(hosts)
            for name, value in expected.items():
                assert column(matrix, prefix + name)[i] == value, prefix + name


@settings(deadline=None, max_examples=60)
@given(rows_strategy, st.integers(1, 40))
def test_cutting_an_ordered_stream_changes_nothing(
    rows: list[tuple[int, int, int, int, str]], step: int
) -> None:
    made = table(rows)
    whole = FeatureExtractor().extract(made)
    extractor = FeatureExtractor()
    parts = [extractor.extract(made[i : i + step]) for i in range(0, len(made), step)]
    assert np.allclose(np.concatenate(parts), whole)


def test_basic_columns_and_order(bench: Any) -> None:
    """Rows come back in the order given, not in order of time."""
    rows = np.concatenate(
        [
            bench.session(at=5.0, dst_port=21, failed_logins=3, orig_bytes=10_000_000),
            bench.connection(at=1.0, protocol=17, dst_port=53, orig_flags="", src="2001:db8::1",
                             dst="2001:db8::1", src_port=53),
        ]
    )  # fmt: skip
    matrix = FeatureExtractor().extract(rows)
    assert column(matrix, "protocol_tcp").tolist() == [1, 0]
    assert column(matrix, "protocol_udp").tolist() == [0, 1]
    assert column(matrix, "service_ftp").tolist() == [1, 0]
    assert column(matrix, "service_dns").tolist() == [0, 1]
    assert column(matrix, "land").tolist() == [0, 1]
    assert column(matrix, "src_bytes").tolist() == [1, 0]
    assert column(matrix, "flag_SF").tolist() == [1, 0]
    assert 0 < column(matrix, "num_failed_logins")[0] < 1


def test_stragglers_and_bad_clocks_are_taken(bench: Any) -> None:
    """A long connection arrives after younger ones; a wrong clock reports the year 1970."""
    extractor = FeatureExtractor()
    extractor.extract(bench.connection(at=100.0))
    late = np.concatenate([bench.connection(at=1.0), bench.connection(at=100.5)])
    late["start_us"][0] = 0
    matrix = extractor.extract(late)
    assert np.isfinite(matrix).all()
    assert counts(matrix, "count", 511)[1] == 3


def test_memory_is_bounded_and_the_cut_counted() -> None:
    rows = np.zeros(features.MAX_CARRIED, CONNECTION)
    rows["protocol"] = 6
    extractor = FeatureExtractor()
    for _ in range(3):
        extractor.extract(rows)
    assert len(extractor._carried) == features.MAX_CARRIED
    assert extractor.cut > 0


def test_nothing_in_nothing_out() -> None:
    assert FeatureExtractor().extract(np.zeros(0, CONNECTION)).shape == (0, len(FEATURES))
