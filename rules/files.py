"""Where the shipped rule files stand (we are always installed as real files)."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

RULE_FILES = ("correlation.owl", "reaction.owl")


def rule_paths() -> tuple[Path, ...]:
    """Paths of the shipped rule files, as `KnowledgeBase` wants them."""
    paths = []
    for name in RULE_FILES:
        with as_file(files("rules").joinpath(name)) as path:
            paths.append(path)
    return tuple(paths)


def sample_paths() -> tuple[Path, ...]:
    """Paths of the sample of every rule."""
    with as_file(files("rules").joinpath("samples")) as folder:
        return tuple(sorted(folder.glob("*.json")))
