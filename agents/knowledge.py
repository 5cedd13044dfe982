"""The shipped knowledge made ready for Pellet: ``ontology/*.owl`` and ``rules/*.owl``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from agents.settings import Policy
from ontology.knowledge_base import KnowledgeBase, KnowledgeBaseError, ontology_path
from ontology.reasoner.theory import Theory, TheoryError
from rules.files import paper_rules_path, rule_paths

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
    partial = kept.with_suffix(".new")
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(ntriples)
        partial.replace(kept)
    except OSError as e:
        # Without it we are no worse off, as long as the files themselves stay good.
        logger.warning("%s: %s", kept, e.strerror)
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


def _ntriples(paths: Sequence[Path] | None, more: Sequence[Path]) -> bytes:
    with KnowledgeBase([*(paths or (ontology_path(), *rule_paths())), *more]) as knowledge:
        return knowledge.ntriples()
