"""Refuses ontology and rule files that agents could not work with, with one line saying why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontology.checking.check_files import check_read
from ontology.checking.logic import LogicUnavailable, check_logic
from ontology.knowledge_base import (
    KnowledgeBase,
    KnowledgeBaseError,
    RuleInfo,
    in_import_order,
    read_owl_file,
)
from ontology.theory import Theory
from ontology.vocabulary import TERMS

Check = Callable[[Sequence[Path], bytes], None]
"""The last and dearest check, `check_with_java`: is given the files, imported ones first, and the
N-Triples for Pellet; raises ValueError."""
MAX_REASON = 1000
"""Characters of what Java said against an edit."""
_JAVA_TIMEOUT_S = 60.0
"""A rule that feeds itself is caught by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """A set of files that passed every check."""

    version: str
    """``owl:versionInfo``, a plus, and the first 12 digits of the digest over all files."""
    owl_digest: str
    """SHA-256 over the files that are reasoned with."""
    ntriples: bytes
    rules: tuple[RuleInfo, ...]
    warnings: tuple[str, ...]
    """One line for each thing that is not as it seems, and no ground to refuse."""


def load_knowledge(
    paths: Sequence[Path], *, digest: str = "", check: Check | None = None, checked: str = ""
) -> Knowledge:
    """Read ontology and rule files and refuse what agents could not work with. Blocks.

    Args:
        digest: over all files of the version (`agents.knowledge.files`); over these by default.
        check: `check_with_java`, or None.
        checked: `Knowledge.owl_digest` of files that have passed ``check`` already.

    Raises:
        KnowledgeBaseError: one line saying what is wrong where.
    """
    read = in_import_order([read_owl_file(path, number) for number, path in enumerate(paths)])
    problems = check_read(read, required=TERMS)
    errors = [str(problem) for problem in problems if problem.level == "error"]
    if errors:
        more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise KnowledgeBaseError(errors[0] + more)
    with KnowledgeBase(paths) as knowledge:
        found = Knowledge(
            version=f"{knowledge.version}+{(digest or knowledge.digest)[:12]}",
            owl_digest=knowledge.digest,
            ntriples=knowledge.ntriples(),
            rules=knowledge.rules(),
            warnings=tuple(str(problem) for problem in problems),
        )
    if check is not None and found.owl_digest != checked:
        try:
            check([file.path for file in read], found.ntriples)
        except ValueError as e:
            raise KnowledgeBaseError(" ".join(str(e).split())[:MAX_REASON]) from e
    return found


def check_with_java(paths: Sequence[Path], ntriples: bytes) -> None:
    """Profile, consistency, and whether Pellet obeys the rules. Blocks for 1 to 10 s.

    Args:
        paths: The files, imported ones first.
        ntriples: What `KnowledgeBase.ntriples` makes of them.

    Raises: ValueError, with the axioms that clash or the rule that Pellet would not obey.
    """
    try:
        problems = list(
            check_logic(paths, Theory.from_ntriples(ntriples), timeout_s=_JAVA_TIMEOUT_S)
        )
    except LogicUnavailable as e:
        raise ValueError(f"{paths[0]}: {e}") from e
    if problems:
        more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ValueError(f"{problems[0]}{more}")
