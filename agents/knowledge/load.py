"""The shipped knowledge made ready: ontology and rules for Pellet, models and reaction rules.

What was good last is kept, for a start while a file is not.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.chainer.rulebook import RulebookError
from ontology.knowledge_base import KnowledgeBase, KnowledgeBaseError, ontology_path
from ontology.theory import Theory, TheoryError
from rules.reactions.reaction_rules import REACTIONS_FILE, Reactions, read_reactions
from rules.scenarios.attack_models import read_models
from rules.scenarios.compile import Compiled, compile_models
from rules.scenarios.compiled_files import MODELS_FILE, source_paths
from rules.shipped_files import models_path, paper_rules_path, rule_paths

logger = logging.getLogger(__name__)


def paper_rules(policy: Policy) -> tuple[Path, ...]:
    """The rules that are in force only if this policy says so."""
    return (paper_rules_path(),) if policy.paper_rules else ()


def load_theory(paths: Sequence[Path] | None = None, *, more: Sequence[Path] = ()) -> Theory:
    """Ontology and rules; the shipped files by default, and ``more`` beside them.

    Raises: KnowledgeBaseError, TheoryError (both ValueError) with one line that names the file.
    """
    return Theory.from_ntriples(_ntriples(paths, more))


def keep_theory(
    kept: Path, paths: Sequence[Path] | None = None, *, more: Sequence[Path] = ()
) -> Theory:
    """As `load_theory`, and keep what was loaded in ``kept``, for `start_theory`.

    Raises: KnowledgeBaseError, TheoryError.
    """
    ntriples = _ntriples(paths, more)
    theory = Theory.from_ntriples(ntriples)
    _keep(kept, ntriples)
    return theory


def start_theory(
    kept: Path, paths: Sequence[Path] | None = None, *, more: Sequence[Path] = ()
) -> Theory:
    """As `keep_theory`; while the files are no good, what was kept last.

    A rule file that is being edited, or was saved with a mistake, must not keep an agent that is
    started just then from working with the rules that were in force before.

    Raises: KnowledgeBaseError, TheoryError if the files are no good and nothing was kept.
    """
    try:
        return keep_theory(kept, paths, more=more)
    except (KnowledgeBaseError, TheoryError) as e:
        try:
            theory = Theory.from_ntriples(kept.read_bytes())
        except (OSError, SyntaxError, TheoryError):
            raise e from None
        logger.error("%s; the last good version %.12s is in force", e, theory.version)
        return theory


@dataclass(frozen=True, slots=True)
class Playbook:
    """What correlation knows beside the rules for Pellet."""

    compiled: Compiled
    """Attack models, and how they follow from each other."""
    reactions: Reactions


def keep_playbook(kept: Path) -> Playbook:
    """Attack models and reaction rules as they are in force; kept in ``kept``.

    Raises: ValueError with one line that names file, place and reason; OSError.
    """
    folder = models_path().parent
    found = _read_playbook(folder)
    paths = (*source_paths(folder), folder / REACTIONS_FILE)
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    _keep(kept, json.dumps(texts).encode())
    return found


def start_playbook(kept: Path) -> Playbook:
    """As `keep_playbook`; while the files are no good, what was kept last.

    Raises: ValueError, OSError if the files are no good and nothing was kept.
    """
    try:
        return keep_playbook(kept)
    except (ValueError, OSError) as e:
        try:
            with tempfile.TemporaryDirectory(prefix="ontoidps-playbook-") as scratch:
                for name, text in json.loads(kept.read_bytes()).items():
                    (Path(scratch) / Path(name).name).write_text(text, encoding="utf-8")
                found = _read_playbook(Path(scratch))
        except (OSError, ValueError, AttributeError, TypeError):
            raise e from None
        logger.error("%s; the last good models and reaction rules are in force", e)
        return found


def one_line(error: ValueError) -> str:
    """The first of several slips, and how many more there are."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first}; and {len(more)} more" if more else first


def _read_playbook(folder: Path) -> Playbook:
    try:
        return Playbook(
            compile_models(read_models(folder / MODELS_FILE)),
            read_reactions(folder / REACTIONS_FILE),
        )
    except ValueError as e:
        raise ValueError(one_line(e)) from e


def _keep(kept: Path, data: bytes) -> None:
    partial = kept.with_suffix(".new")
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(kept)
    except OSError as e:
        # Without it we are no worse off, as long as the files themselves stay good.
        logger.warning("%s: %s", kept, e.strerror)


def find_joins(theory: Theory) -> Joins | None:
    """Which alerts can meet in these rules; None, with a warning, if that can't be worked out."""
    try:
        return Joins(theory.ntriples)
    except RulebookError as e:
        logger.warning("correlation: every alert goes along with all that share a host: %s", e)
        return None


def _ntriples(paths: Sequence[Path] | None, more: Sequence[Path]) -> bytes:
    with KnowledgeBase([*(paths or (ontology_path(), *rule_paths())), *more]) as knowledge:
        return knowledge.ntriples()
