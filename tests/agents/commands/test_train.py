from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.core import load_model
from agents.main import main
from datasets.traffic import SAMPLES


def test_training_again_gives_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.npz"
    assert main(["train", "--out", str(out)]) == 0
    made, shipped = load_model(out), load_model()
    assert made.labels == shipped.labels
    assert np.allclose(made.centers, shipped.centers, atol=1e-9)
    assert np.allclose(made.radius, shipped.radius, atol=1e-9)
    assert np.allclose(made.purity, shipped.purity)
    assert (made.sizes == shipped.sizes).all()
    assert "SynFlood" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "No such file"),
        ("a\tb\n", "columns must be"),
        (
            "file\tlabel\tattacker\tvictim\tcommand\tsha256\n../x\tNormal\t\t\t\t\n",
            "leaves the folder",
        ),
        ("file\tlabel\tattacker\tvictim\tcommand\tsha256\nx\tNormal\n", "not 6 columns"),
        ("file\tlabel\tattacker\tvictim\tcommand\tsha256\n", "can't fill 25 clusters"),
    ],
)
def test_bad_folders_are_one_line(
    manifest: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.tsv").write_text(manifest)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "model.npz")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_capture_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SAMPLES / "manifest.tsv", tmp_path)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "model.npz")]) == 1
    assert "benign-browse.pcap.xz" in capsys.readouterr().err
