from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.kdd.kdd99 import ATTACK_CLASS, CLASSES, FEATURES, NUMERIC, KddError, read_kdd

LINE = (
    "0,tcp,http,SF,181,5450,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,8,8,0.00,0.00,0.00,0.00,1.00,0.00,"
    "0.00,9,9,1.00,0.00,0.11,0.00,0.00,0.00,0.00,0.00,normal."
)
"""The first record of the 10 % file."""
DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "kddcup99" / "kddcup.data_10_percent.gz"


def changed(column: str, value: str) -> str:
    fields = LINE.split(",")
    fields[FEATURES.index(column)] = value
    return ",".join(fields)


def test_names_are_those_of_the_task() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == 41
    assert len(NUMERIC) == 38
    assert len(ATTACK_CLASS) == 39 + 1
    assert set(ATTACK_CLASS.values()) == set(CLASSES)
    assert Counter(ATTACK_CLASS.values()) == {
        "DoS": 11,
        "Probe": 6,
        "R2L": 15,
        "U2R": 7,
        "normal": 1,
    }


def test_values_land_in_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "kdd"
    path.write_text(f"{LINE}\n{changed('land', '1').replace('normal.', 'land.')}\n{LINE}\n")
    records = read_kdd(path)
    assert len(records) == 3
    assert list(records.labels) == ["normal", "land", "normal"]
    assert list(records.classes) == ["normal", "DoS", "normal"]
    assert list(records.row) == [0, 1, 0]
    assert list(records.lines) == [1, 2, 3]
    first = dict(zip(NUMERIC, records.numbers[0], strict=True))
    assert first["src_bytes"] == 181
    assert first["dst_bytes"] == 5450
    assert first["dst_host_same_src_port_rate"] == 0.11
    assert (records.protocol[0], records.service[0], records.flag[0]) == ("tcp", "http", "SF")
    assert list(records.take(np.array([1])).labels) == ["land"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "kdd"
    path.write_bytes(pack(f"{LINE}\r\n".encode()))
    assert list(read_kdd(path).labels) == ["normal"]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (LINE.rpartition(",")[0], ":2: 41 columns, expected 42"),
        (LINE.replace("normal.", "teapot."), ":2: unknown label 'teapot'"),
        (changed("src_bytes", "many"), ":2: could not convert string to float: 'many'"),
        (changed("src_bytes", "-1"), ":2: src_bytes can't be -1"),
        (changed("src_bytes", "nan"), ":2: src_bytes can't be nan"),
        (changed("count", "inf"), ":2: count can't be inf"),
        (changed("serror_rate", "1.5"), ":2: serror_rate can't be 1.5"),
        (changed("protocol_type", "sctp"), ":2: unknown protocol 'sctp'"),
        ("", ":2: empty line"),
        (LINE + "x" * 2000, ":2: longer than"),
        ("é", ":2: not text"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, second: str, said: str) -> None:
    path = tmp_path / "kdd"
    path.write_text(f"{LINE}\n{second}\n", encoding="utf-8")
    with pytest.raises(KddError) as caught:
        read_kdd(path)
    assert str(caught.value).startswith(f"{path}{said}")
    assert "\n" not in str(caught.value)


def test_empty_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "kdd"
    path.write_text("")
    with pytest.raises(KddError, match="no records"):
        read_kdd(path)
    path.write_bytes(gzip.compress(LINE.encode() * 50)[:-20])
    with pytest.raises(KddError, match=":1: "):
        read_kdd(path)
    with pytest.raises(OSError, match="No such file"):
        read_kdd(tmp_path / "missing")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(lambda tail: b"\x1f\x8b" + tail),
        st.lists(st.sampled_from([*LINE.split(","), "-1", "nan", "1e400", "_1"]), max_size=45).map(
            lambda fields: ",".join(fields).encode()
        ),
    )
)
def test_whatever_is_in_a_file_ends_as_kdd_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kdd"
    path.write_bytes(content)
    try:
        read_kdd(path)
    except KddError as e:
        assert str(e).startswith(f"{path}:")


@pytest.mark.data
def test_the_ten_percent_file() -> None:
    if not DATA.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with kddcup99")
    records = read_kdd(DATA)
    counts = Counter(records.labels.tolist())
    assert len(records) == 494_021
    assert len(counts) == 23
    assert (counts["smurf"], counts["neptune"], counts["normal"]) == (280_790, 107_201, 97_278)
    assert records.row.max() + 1 == 145_586
