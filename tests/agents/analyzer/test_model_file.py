from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.model_file import ModelError, read_model, write_model


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    write_model(path, {"a": np.arange(3)})
    with pytest.raises(ValueError, match="allow_pickle"):
        write_model(path, {"a": np.array([{}], dtype=object)})
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    assert read_model(path, "model", lambda arrays: arrays["a"].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_cut_file_is_refused_in_one_line(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    write_model(path, {"a": np.arange(300), "b": np.random.default_rng(1).random(50)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * cut // 400])
    with pytest.raises(ModelError) as caught:
        read_model(path, "model", lambda arrays: arrays["a"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
