"""Everything that ``ontoidps rules compile`` writes, made from one folder of models and tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ontology.rule_switches import rule_states
from ontology.whole_files import write_whole
from rules.reactions.policy_tables import TABLES, expand, read_tables
from rules.reactions.reaction_rules import REACTIONS_FILE, reactions_ttl
from rules.scenarios.attack_graph import scenario_svg
from rules.scenarios.attack_models import read_models
from rules.scenarios.compile import Compiled, anti_table, compile_models
from rules.scenarios.scenario_rules import scenarios_owl
from rules.scenarios.scenario_samples import scenario_samples

MODELS_FILE = "attacks.owl"
SCENARIOS_FILE = "scenarios.owl"


@dataclass(frozen=True, slots=True)
class CompiledFolder:
    """What a folder gives: texts by file name."""

    compiled: Compiled
    reaction_rules: int
    files: Mapping[str, str]
    figures: Mapping[str, str]
    """SVG, one per scenario."""


def source_paths(folder: Path) -> tuple[Path, ...]:
    """What people edit there: the attack models and the policy tables."""
    return tuple(folder / name for name in (MODELS_FILE, *TABLES))


def compile_folder(folder: Path, *, switched_off: Collection[str] = frozenset()) -> CompiledFolder:
    """Read ``attacks.owl`` and ``reaction_*.tsv`` and make all files; writes nothing.

    Args:
        switched_off: labels of the rules that are to be there, but not in force, beside those that
            are switched off in the folder's ``scenarios.owl``.

    Raises: ModelError, TableError (both ValueError), OSError.
    """
    compiled = compile_models(read_models(folder / MODELS_FILE))
    switched_off = {*switched_off, *_switched_off(folder / SCENARIOS_FILE)}
    reactions = expand(read_tables(folder))
    return CompiledFolder(
        compiled=compiled,
        reaction_rules=len(reactions),
        files={
            SCENARIOS_FILE: scenarios_owl(compiled, switched_off=switched_off),
            "scenarios.samples.json": scenario_samples(compiled),
            "anti_correlation.tsv": anti_table(compiled),
            REACTIONS_FILE: reactions_ttl(reactions),
        },
        figures={
            f"attack-graph-{name}.svg": scenario_svg(compiled, name)
            for name in compiled.models.scenarios
        },
    )


def _switched_off(path: Path) -> set[str]:
    """Labels of the generated rules that somebody has switched off; none if there is no file yet,
    or one that can't be read: it is about to be written."""
    try:
        return {label for label, on in rule_states(path.read_bytes()).items() if not on}
    except (FileNotFoundError, SyntaxError, ValueError):
        return set()


def differing(files: Mapping[Path, str]) -> list[Path]:
    """Which of the files are missing or hold something else, sorted."""
    changed = []
    for path, text in files.items():
        try:
            same = path.read_text(encoding="utf-8") == text
        except (FileNotFoundError, UnicodeDecodeError):
            same = False
        if not same:
            changed.append(path)
    return sorted(changed)


def write_files(files: Mapping[Path, str]) -> None:
    """Write what differs, each file whole or not at all: an agent may be watching them."""
    for path in differing(files):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, files[path].encode())
