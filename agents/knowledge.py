"""The shipped knowledge made ready for Pellet: ``ontology/*.owl`` and ``rules/*.owl``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.theory import Theory
from rules.files import rule_paths


def load_theory(paths: Sequence[Path] | None = None) -> Theory:
    """Ontology and rules; the shipped files by default.

    Raises: KnowledgeBaseError, TheoryError (both ValueError) with one line that names the file.
    """
    with KnowledgeBase(paths or [ontology_path(), *rule_paths()]) as knowledge:
        return Theory.from_ntriples(knowledge.ntriples())
