"""What is shipped is what the models and tables give."""

from __future__ import annotations

from pathlib import Path

from rules.scenarios.compiled_files import compile_folder, differing, write_files
from rules.shipped_files import models_path

FIGURES = Path(__file__).parents[3] / "docs" / "figures"


def test_what_is_shipped_is_what_the_models_and_tables_give() -> None:
    """Else: `ontoidps rules compile --figures docs/figures`."""
    folder = models_path().parent
    result = compile_folder(folder)
    files = {folder / name: text for name, text in result.files.items()}
    files |= {FIGURES / name: text for name, text in result.figures.items()}
    assert differing(files) == []


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = models_path().parent
    one, other = compile_folder(folder), compile_folder(folder)
    assert one.files == other.files and one.figures == other.figures
    files = {tmp_path / name: text for name, text in one.files.items()}
    assert len(differing(files)) == len(files)
    write_files(files)
    assert differing(files) == [] and len(list(tmp_path.iterdir())) == len(files)
