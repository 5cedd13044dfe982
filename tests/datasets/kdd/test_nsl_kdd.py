from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from datasets.kdd.kdd99 import KddError
from datasets.kdd.nsl_kdd import read_nsl_kdd

LINE = (
    "0,udp,other,SF,146,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,13,1,0.00,0.00,0.00,0.00,0.08,0.15,"
    "0.00,255,1,0.00,0.60,0.88,0.00,0.00,0.00,0.00,0.00,normal"
)
DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "nsl-kdd"


def test_difficulty_may_follow_and_is_no_feature(tmp_path: Path) -> None:
    path = tmp_path / "nsl"
    path.write_text(f"{LINE},15\n{LINE}\n")
    records = read_nsl_kdd(path)
    assert list(records.labels) == ["normal", "normal"]
    assert (records.numbers[0] == records.numbers[1]).all()


@pytest.mark.parametrize(
    ("line", "said"),
    [(f"{LINE},easy", "invalid literal"), (f"{LINE},1,2", "44 columns, expected 42 or 43")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "nsl"
    path.write_text(line)
    with pytest.raises(KddError, match=said) as caught:
        read_nsl_kdd(path)
    assert str(caught.value).startswith(f"{path}:1: ")


@pytest.mark.data
def test_the_published_counts() -> None:
    if not DATA.is_dir():
        pytest.skip("ONTOIDPS_DATA names no folder with nsl-kdd")
    test = read_nsl_kdd(DATA / "KDDTest+.txt.gz")
    assert len(test) == 22_544
    assert len(np.unique(test.labels)) == 38
    assert int((test.classes == "normal").sum()) == 9_711
