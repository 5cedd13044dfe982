"""Notices edits of the ontology and rule files, and takes over only what is valid."""

from __future__ import annotations

import hashlib
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
    ontology_path,
    read_owl_file,
)
from ontology.theory import Theory
from ontology.vocabulary import TERMS
from rules.shipped_files import rule_paths

MAX_REASON = 1000
"""Characters of what Java said against an edit."""
_JAVA_TIMEOUT_S = 20.0
"""A rule that feeds itself is caught by this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """A set of files that passed every check."""

    version: str
    """``owl:versionInfo``, a plus, and the first 12 digits of the SHA-256 over all files and
    ``beside``."""
    digest: str
    """SHA-256 over the files alone."""
    ntriples: bytes
    rules: tuple[RuleInfo, ...]
    warnings: tuple[str, ...]
    """One line for each thing that is not as it seems, and no ground to refuse."""


def knowledge_paths() -> tuple[Path, ...]:
    """The ontology and rule files that all agents work with."""
    return (ontology_path(), *rule_paths())


def load_knowledge(
    paths: Sequence[Path],
    *,
    check: Callable[[Sequence[Path], bytes], None] | None = None,
    checked: str = "",
    beside: str = "",
) -> Knowledge:
    """Read the files and refuse what agents could not work with. Blocks.

    Args:
        paths: Ontology and rule files.
        check: Last and dearest, `check_with_java`: is given the files, imported ones first, and the
            N-Triples for Pellet; raises ValueError.
        checked: digest of files that have passed it already.
        beside: digest of what else belongs to a version: attack models, policy tables.

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
        digest = knowledge.digest
        both = hashlib.sha256(f"{digest} {beside}".encode()).hexdigest() if beside else digest
        found = Knowledge(
            version=f"{knowledge.version}+{both[:12]}",
            digest=digest,
            ntriples=knowledge.ntriples(),
            rules=knowledge.rules(),
            warnings=tuple(str(problem) for problem in problems),
        )
    if check is not None and digest != checked:
        try:
            check([file.path for file in read], found.ntriples)
        except ValueError as e:
            raise KnowledgeBaseError(" ".join(str(e).split())[:MAX_REASON]) from e
    return found


def check_with_java(paths: Sequence[Path], ntriples: bytes) -> None:
    """Profile, consistency, and whether Pellet obeys the rules. Blocks for 1 to 5 s.

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


class FileWatch:
    """Says when the files have changed and have settled since; each state only once.

    Args:
        paths: Called at every look, so that a new file is seen, too.
    """

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self._paths = paths
        self._seen = _signature(paths())
        self._reported = self._seen
        self._digest = _digest(paths())

    def stirred(self) -> bool:
        """Whether `poll` has anything to do: a few looks at the file system, no reading."""
        return _signature(self._paths()) != self._seen or self._seen != self._reported

    def poll(self) -> bool:
        """Whether there is content that was not reported before. Blocks for a few file reads.

        An editor may be caught in the middle of a save: a change counts once two looks agree.
        """
        paths = self._paths()
        signature = _signature(paths)
        settled = signature == self._seen
        self._seen = signature
        if not settled or signature == self._reported:
            return False
        self._reported = signature
        digest = _digest(paths)
        changed = digest != self._digest
        self._digest = digest
        return changed


def _signature(paths: Sequence[Path]) -> tuple[tuple[str, int, int, int], ...]:
    found = []
    for path in paths:
        try:
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            found.append((str(path), 0, 0, 0))  # gone: reading it will say so
    return tuple(found)


def _digest(paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        total.update(str(path).encode() + b"\0" + hashlib.sha256(data).digest())
    return total.hexdigest()
