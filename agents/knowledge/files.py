"""The files that make up one version of the rules, by name, and the one digest over all of them.

Ontology, rules, attack models and reaction rules change together (``scenarios.owl`` is made from
``attacks.owl``), so they travel, are checked and come into force as one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.settings.honeynet import Policy
from ontology.knowledge_base import ONTOLOGY_FILE, ontology_path
from rules.reactions.policy_tables import TABLES
from rules.reactions.reaction_rules import REACTIONS_FILE
from rules.shipped_files import (
    MODELS_FILE,
    PAPER_FILE,
    RULE_FILES,
    SCENARIOS_FILE,
    models_path,
    rule_paths,
)

COMPILED_FILES = (SCENARIOS_FILE, REACTIONS_FILE)
"""Made from the attack models and the policy tables; nobody edits them."""
REQUIRED_FILES = (ONTOLOGY_FILE, *RULE_FILES, MODELS_FILE, *TABLES, REACTIONS_FILE)
KNOWN_FILES = frozenset((*REQUIRED_FILES, PAPER_FILE))
MAX_FILE_BYTES = 16 * 1024 * 1024
"""Of one file; ten times the largest shipped one."""
MAX_TOTAL_BYTES = 48 * 1024 * 1024
FILE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\.(owl|ttl|tsv)")
"""What a file may be called: no path, no hidden file."""


class FileSetError(ValueError):
    """Files that don't make up a version; the message is one line naming the file."""


@dataclass(frozen=True)
class FileSet:
    """All files of one version, whole.

    Raises: FileSetError if one is missing, unknown or too large.
    """

    contents: Mapping[str, bytes]
    """File name to content."""
    digest: str = field(init=False)
    """SHA-256 over names and contents, in hex: the identity of the version."""

    def __post_init__(self) -> None:
        check_names(self.contents)
        for name, data in self.contents.items():
            if len(data) > MAX_FILE_BYTES:
                raise FileSetError(f"{name}: larger than {MAX_FILE_BYTES} bytes")
        object.__setattr__(self, "digest", digest_of(self.contents))


def check_names(names: Mapping[str, object]) -> None:
    """Raises: FileSetError if a file is missing, or is none that agents know."""
    for name in sorted(names):
        if name not in KNOWN_FILES:
            raise FileSetError(f"{name[:80]!r} is no file of ontology and rules")
    for name in REQUIRED_FILES:
        if name not in names:
            raise FileSetError(f"{name}: missing")


def digest_of(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over a list in the form of ``sha256sum``, sorted by name: a person can check it."""
    lines = (
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(contents.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def reasoner_files(folder: Path) -> tuple[Path, ...]:
    """The ontology and the rule files of a folder that holds a version."""
    paper = folder / PAPER_FILE
    paths = tuple(folder / name for name in (ONTOLOGY_FILE, *RULE_FILES))
    return (*paths, paper) if paper.exists() else paths


def knowledge_paths() -> tuple[Path, ...]:
    """The installed ontology and rule files that are always in force."""
    return (ontology_path(), *rule_paths())


def edited_files(policy: Policy) -> dict[str, Path]:
    """The installed files that people edit and that are in force under this policy, by name."""
    rules = models_path().parent
    names = [name for name in REQUIRED_FILES if name not in (ONTOLOGY_FILE, *COMPILED_FILES)]
    if policy.paper_rules:
        names.append(PAPER_FILE)
    return {ONTOLOGY_FILE: ontology_path()} | {name: rules / name for name in names}


def shipped_files(policy: Policy) -> FileSet:
    """The installed files as they are on this host's disk, compiled ones included.

    Raises: OSError; FileSetError.
    """
    paths = edited_files(policy)
    paths |= {name: models_path().with_name(name) for name in COMPILED_FILES}
    return FileSet({name: path.read_bytes() for name, path in paths.items()})
