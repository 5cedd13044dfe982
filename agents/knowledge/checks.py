"""Refuses ontology and rule files that agents could not work with, with one line saying why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ontology.checking.check_files import check_read, check_trial, together
from ontology.checking.logic import LogicUnavailable, check_logic
from ontology.knowledge_base import (
    KnowledgeBase,
    KnowledgeBaseError,
    RuleInfo,
    in_import_order,
    read_owl_file,
)
from ontology.rule_outcomes import Outcomes, read_outcomes
from ontology.theory import Theory
from ontology.vocabulary import TERMS

Check = Callable[[Sequence[Path], bytes, Sequence[Path]], Sequence[str]]
"""The last and dearest check, `check_with_java`: is given the files, imported ones first, the
N-Triples for Pellet, and the files in force; answers with warnings; raises ValueError."""
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
    outcomes: Outcomes
    """What becomes of what the rules conclude."""
    warnings: tuple[str, ...]
    """One line for each thing that is not as it seems, and no ground to refuse."""


def load_knowledge(
    paths: Sequence[Path],
    *,
    digest: str = "",
    check: Check | None = None,
    checked: str = "",
    before: Sequence[Path] = (),
) -> Knowledge:
    """Read ontology and rule files and refuse what agents could not work with. Blocks.

    Args:
        digest: over all files of the version (`agents.knowledge.files`); over these by default.
        check: `check_with_java`, or None.
        checked: `Knowledge.owl_digest` of files that have passed ``check`` already.
        before: the files in force; rules that are new since then are tried by ``check``.

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
            outcomes=read_outcomes([triple for file in read for triple in file.triples]),
            warnings=tuple(str(problem) for problem in problems),
        )
    if check is not None and found.owl_digest != checked:
        try:
            told = check([file.path for file in read], found.ntriples, before)
        except ValueError as e:
            raise KnowledgeBaseError(" ".join(str(e).split())[:MAX_REASON]) from e
        found = replace(found, warnings=(*found.warnings, *told))
    return found


def check_with_java(
    paths: Sequence[Path], ntriples: bytes, before: Sequence[Path] = ()
) -> Sequence[str]:
    """Profile, consistency, and whether Pellet obeys the rules and has room for new ones. Blocks
    for 1 to 10 s, longer for bad ones.

    Args:
        paths: The files, imported ones first.
        ntriples: What `KnowledgeBase.ntriples` makes of them.
        before: The files in force. Rules that are new since then are tried at window size, beside
            the rest; none is if there are no such files.

    Returns warnings.

    Raises: ValueError, with the axioms that clash or the rule that Pellet would not obey.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rule trial") as beside:
        tried = beside.submit(check_trial, paths, before) if before else None
        try:
            theory = Theory.from_ntriples(ntriples)
            found = list(check_logic(paths, theory, before=before, timeout_s=_JAVA_TIMEOUT_S))
            problems = together(found, tried.result() if tried is not None else [])
        except LogicUnavailable as e:
            raise ValueError(f"{paths[0]}: {e}") from e
    errors = [str(problem) for problem in problems if problem.level == "error"]
    if errors:
        more = f"; and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{more}")
    return [str(problem) for problem in problems]
