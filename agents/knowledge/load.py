"""Ontology and rules made ready for Pellet, attack models and reaction rules for correlation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.knowledge.checks import load_knowledge
from agents.knowledge.files import reasoner_files
from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.chainer.rulebook import RulebookError
from ontology.knowledge_base import ONTOLOGY_FILE, KnowledgeBase, KnowledgeBaseError, ontology_path
from ontology.rule_outcomes import Outcomes
from ontology.taxonomy import Taxonomy, TaxonomyError, in_force, tried
from ontology.theory import Theory
from rules.reactions.reaction_rules import REACTIONS_FILE, Reactions, read_reactions
from rules.scenarios.attack_models import read_models
from rules.scenarios.compile import Compiled, compile_models
from rules.shipped_files import MODELS_FILE, paper_rules_path, rule_paths

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Playbook:
    """What correlation knows beside the rules for Pellet."""

    compiled: Compiled
    """Attack models, and how they follow from each other."""
    reactions: Reactions


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """One version, ready to be reasoned with."""

    version: str
    digest: str
    """Over all its files (`agents.knowledge.files`)."""
    theory: Theory
    playbook: Playbook
    outcomes: Outcomes
    """What becomes of what its rules conclude."""
    taxonomy: Taxonomy
    """Its classes."""
    joins: Joins | None
    """Which alerts can meet in its rules."""


def load_rule_set(folder: Path, digest: str) -> RuleSet:
    """A version from a folder that holds all its files. Blocks for about 0.3 s.

    Raises: ValueError with one line that names file, place and reason; OSError.
    """
    taxonomy = taxonomy_of((folder / ONTOLOGY_FILE).read_bytes(), Path(ONTOLOGY_FILE))
    try:
        knowledge = load_knowledge(reasoner_files(folder), digest=digest)
        theory = Theory.from_ntriples(knowledge.ntriples)
        with tried(taxonomy):
            playbook = Playbook(
                compile_models(read_models(folder / MODELS_FILE)),
                read_reactions(folder / REACTIONS_FILE),
            )
    except ValueError as e:
        # A folder of ours means nothing to those who read the line.
        raise ValueError(one_line(e).replace(f"{folder}/", "")) from e
    return RuleSet(
        version=knowledge.version,
        digest=digest,
        theory=theory,
        playbook=playbook,
        outcomes=knowledge.outcomes,
        taxonomy=taxonomy,
        joins=find_joins(theory),
    )


def taxonomy_of(ontology: bytes, path: Path) -> Taxonomy:
    """The classes of an ontology; those in force if it is no RDF/XML, which others say in words.

    Raises: KnowledgeBaseError with one line that names the file.
    """
    try:
        return Taxonomy.from_owl(ontology)
    except SyntaxError:
        return in_force()
    except TaxonomyError as e:
        raise KnowledgeBaseError(f"{path}: {e}") from e


def load_theory(paths: Sequence[Path] | None = None, *, more: Sequence[Path] = ()) -> Theory:
    """Ontology and rules; the shipped files by default, and ``more`` with them.

    Raises: KnowledgeBaseError, TheoryError (both ValueError) with one line that names the file.
    """
    with KnowledgeBase([*(paths or (ontology_path(), *rule_paths())), *more]) as knowledge:
        return Theory.from_ntriples(knowledge.ntriples())


def paper_rules(policy: Policy) -> tuple[Path, ...]:
    """The rules that are in force only if this policy says so."""
    return (paper_rules_path(),) if policy.paper_rules else ()


def find_joins(theory: Theory) -> Joins | None:
    """Which alerts can meet in these rules; None, with a warning, if that can't be worked out."""
    try:
        return Joins(theory.ntriples)
    except RulebookError as e:
        logger.warning("correlation: every alert goes along with all that share a host: %s", e)
        return None


def one_line(error: ValueError) -> str:
    """The first of several slips, and how many more there are."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    return f"{first}; and {len(more)} more" if more else first
