"""Notices edits of the ontology and rule files, and takes over only what is valid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontology.knowledge_base import KnowledgeBase, KnowledgeBaseError, RuleInfo, ontology_path
from ontology.vocabulary import NAMESPACE, TERMS
from rules.files import rule_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """A set of files that passed every check."""

    version: str
    """``owl:versionInfo``, a plus, and the first 12 digits of the SHA-256 over all files."""
    ntriples: bytes
    rules: tuple[RuleInfo, ...]


def knowledge_paths() -> tuple[Path, ...]:
    """The ontology and rule files that all agents work with."""
    return (ontology_path(), *rule_paths())


def load_knowledge(
    paths: Sequence[Path], *, check: Callable[[bytes], None] | None = None
) -> Knowledge:
    """Read the files and refuse what agents could not work with. Blocks.

    Args:
        paths: Ontology and rule files.
        check: Last and dearest: is given the N-Triples, raises ValueError if they are inconsistent.

    Raises:
        KnowledgeBaseError: one line saying what is wrong where.
    """
    with KnowledgeBase(paths) as knowledge:
        missing = sorted(TERMS - knowledge.terms())
        if missing:
            names = ", ".join(term.removeprefix(NAMESPACE) for term in missing[:5])
            raise KnowledgeBaseError(f"{paths[0]}: terms that agents use are gone: {names}")
        found = Knowledge(
            version=f"{knowledge.version}+{knowledge.digest[:12]}",
            ntriples=knowledge.ntriples(),
            rules=knowledge.rules(),
        )
    if check is not None:
        try:
            check(found.ntriples)
        except ValueError as e:
            raise KnowledgeBaseError(f"{paths[0]}: {' '.join(str(e).split())[:500]}") from e
    return found


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
