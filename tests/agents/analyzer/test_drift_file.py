from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.analyzer.drift import GuardedDrift
from agents.analyzer.drift_file import load_drift, save_drift


def test_a_drift_survives_a_restart(bench: Any, tmp_path: Path) -> None:
    path, model = tmp_path / "drift.npz", bench.blank_model(radius=4.0)
    assert load_drift(path, model).revision == 0
    drift = GuardedDrift(model)
    drift.offsets[0, 3] = 0.9
    drift.revision = 7
    save_drift(path, drift)
    assert [p.name for p in tmp_path.iterdir()] == ["drift.npz"]
    back = load_drift(path, model)
    assert back.revision == 7
    assert (back.moved(model).centers == model.centers + drift.offsets).all()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no", b"pickle"])
def test_a_damaged_file_means_the_trained_centres(
    content: bytes, bench: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, model = tmp_path / "drift.npz", bench.blank_model()
    if content == b"pickle":
        np.savez(path, version=np.array([{}], dtype=object))
    else:
        path.write_bytes(content)
    drift = load_drift(path, model)
    assert drift.revision == 0
    assert not drift.offsets.any()
    assert "clusters start where training put them" in caplog.text


def test_a_full_disk_does_not_stop_detection(
    bench: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_drift(tmp_path / "gone" / "drift.npz", GuardedDrift(bench.blank_model()))
    assert "is not kept" in caplog.text
