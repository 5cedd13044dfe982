"""Where the shipped rule files stand (we are always installed as real files)."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from ontology.knowledge_base import ontology_path, read_owl_file
from ontology.rule_outcomes import Outcomes, read_outcomes
from rules.scenarios.attack_models import read_models
from rules.scenarios.compile import Compiled, compile_models

SCENARIOS_FILE = "scenarios.owl"
RULE_FILES = ("correlation.owl", "reaction.owl", SCENARIOS_FILE)
PAPER_FILE = "paper.owl"
"""Rules of the source paper, in force only where ``policy.paper_rules`` is set."""
MODELS_FILE = "attacks.owl"
"""Attack models: what `SCENARIOS_FILE` is made from. Never loaded into the reasoner."""
SCENARIO_SAMPLES_FILE = "scenarios.samples.json"


def rule_paths() -> tuple[Path, ...]:
    """Paths of the shipped rule files, as `KnowledgeBase` wants them."""
    return tuple(_path(name) for name in RULE_FILES)


def paper_rules_path() -> Path:
    """Path of the rules that are in force only with ``policy.paper_rules``."""
    return _path(PAPER_FILE)


def sample_paths() -> tuple[Path, ...]:
    """Paths of the sample of every rule that was written by hand."""
    with as_file(files("rules").joinpath("samples")) as folder:
        return tuple(sorted(folder.glob("*.json")))


def scenario_samples_path() -> Path:
    """Path of the samples of all generated rules."""
    return _path(SCENARIO_SAMPLES_FILE)


def models_path() -> Path:
    """Path of the shipped attack models."""
    return _path(MODELS_FILE)


@cache
def shipped_models() -> Compiled:
    """The shipped attack models and what they say about each other; made once (about 20 ms).

    Raises: ModelError (a ValueError), OSError.
    """
    return compile_models(read_models(models_path()))


@cache
def shipped_outcomes() -> Outcomes:
    """What becomes of the conclusions of the shipped rules; read once (about 0.2 s)."""
    paths = (ontology_path(), *rule_paths(), paper_rules_path())
    files = (read_owl_file(path, number) for number, path in enumerate(paths))
    return read_outcomes([triple for file in files for triple in file.triples])


def _path(name: str) -> Path:
    with as_file(files("rules").joinpath(name)) as path:
        return path
