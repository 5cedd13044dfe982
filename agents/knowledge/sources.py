"""The files that people edit, made into the version that is in force. The ontology agent's side.

An edit is read once, compiled (``scenarios.owl`` from the attack models, ``reactions.ttl`` from the
policy tables), laid out in the agent's own state and checked there: what was checked is what agents
get, whatever happens to the installed files meanwhile. Nothing is written where people edit. Of the
installed ``scenarios.owl`` one thing counts: which of its rules are switched off.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.knowledge.checks import Check, Knowledge, check_with_java, load_knowledge
from agents.knowledge.files import (
    COMPILED_FILES,
    FileSet,
    edited_files,
    reasoner_files,
)
from agents.knowledge.knowledge_store import Kept, KnowledgeStore
from agents.knowledge.load import one_line
from agents.settings.honeynet import Policy
from ontology.knowledge_base import KnowledgeBaseError, read_owl_file
from ontology.swrl import read_rules
from rules.scenarios.compiled_files import compile_folder, source_paths
from rules.shipped_files import MODELS_FILE, SCENARIOS_FILE, models_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A version that passed every check, and is in the store."""

    kept: Kept
    files: FileSet
    knowledge: Knowledge
    paths: tuple[Path, ...]
    """Ontology and rule files in the store."""


class Sources:
    """What people edit, and what is in force of it. Blocks; for one thread at a time.

    Args:
        folder: of the store of what is in force.
        origin: who announces it: bare JID of the ontology agent.
    """

    def __init__(
        self, folder: Path, policy: Policy, *, origin: str, check: Check = check_with_java
    ) -> None:
        self._store = KnowledgeStore(folder)
        self._policy = policy
        self._origin = origin
        self._check = check
        self._checked = ""
        """`Knowledge.owl_digest` of what passed the check with Java."""
        self._made_from: Mapping[str, bytes] = {}
        self._made: Mapping[str, bytes] = {}
        self.in_force: Edition | None = None

    def watched(self) -> tuple[Path, ...]:
        """The files that people edit; of the compiled rules they may switch some off."""
        scenarios = models_path().with_name(SCENARIOS_FILE)
        return (*edited_files(self._policy).values(), scenarios)

    def last_version(self) -> str:
        """What was in force when we stopped; empty if nothing was."""
        before = self._store.read()
        return before[0].version if before is not None else ""

    def start(self, now_us: int) -> str:
        """Put in force what is on disk; what was in force last while that is no good.

        What is shipped needs no Java: it was checked when it was made. An edit made while nobody
        looked does.

        Returns one line saying what is wrong with the files on disk; empty if they are good.
        """
        before = self._store.read()
        if before is not None:
            try:
                self.in_force = self._edition(*before)
            except KnowledgeBaseError as e:
                logger.warning("the version that was in force is of no use any more: %s", e)
        try:
            self.take_over(now_us, trusted=before is None)
        except KnowledgeBaseError as e:
            return str(e)
        return ""

    def take_over(self, now_us: int, *, trusted: bool = False) -> bool:
        """Compile and check the files on disk, and put them in force; False if they are.

        Args:
            trusted: they need not pass the check with Java.

        Raises: KnowledgeBaseError with one line saying what is wrong where; nothing has changed.
        """
        files = self._collect()
        before = self.in_force
        if before is not None and before.files.digest == files.digest:
            return False
        try:
            folder = self._store.lay_out(files)
            paths = reasoner_files(folder)
            knowledge = load_knowledge(
                paths,
                digest=files.digest,
                check=None if trusted else self._check,
                checked=self._checked,
            )
            kept = Kept(
                version=knowledge.version,
                digest=files.digest,
                origin=self._origin,
                # Receivers go by it, also after somebody has put the clock back.
                changed_us=max(now_us, before.kept.changed_us + 1 if before else 0),
            )
            self._store.keep(kept)
        except OSError as e:
            raise KnowledgeBaseError(f"{e.filename}: {e.strerror}") from e
        except KnowledgeBaseError as e:
            if before is not None:
                self._store.drop_others(before.files.digest)
            raise KnowledgeBaseError(self._where_edited(str(e), folder)) from e
        self._checked = knowledge.owl_digest
        self.in_force = Edition(kept=kept, files=files, knowledge=knowledge, paths=paths)
        return True

    def _edition(self, kept: Kept, files: FileSet) -> Edition:
        paths = reasoner_files(self._store.lay_out(files))
        knowledge = load_knowledge(paths, digest=files.digest)
        self._checked = knowledge.owl_digest
        return Edition(kept=kept, files=files, knowledge=knowledge, paths=paths)

    def _collect(self) -> FileSet:
        """The files as they are now, with what is made from them.

        Raises: KnowledgeBaseError.
        """
        try:
            contents = {
                name: path.read_bytes() for name, path in edited_files(self._policy).items()
            }
            return FileSet({**contents, **self._compiled(contents)})
        except OSError as e:
            raise KnowledgeBaseError(f"{e.filename}: {e.strerror}") from e
        except ValueError as e:
            raise KnowledgeBaseError(one_line(e)) from e

    def _compiled(self, contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What is made from models and tables; rules that a person has switched off stay off."""
        names = [path.name for path in source_paths(Path())]
        sources = {name: contents[name] for name in names}
        scenarios = models_path().with_name(SCENARIOS_FILE)
        sources[SCENARIOS_FILE] = scenarios.read_bytes()
        if sources == self._made_from:
            return self._made
        rules = read_rules(read_owl_file(scenarios).triples)
        with tempfile.TemporaryDirectory(prefix="ontoidps-rules-") as scratch:
            for name in names:
                (Path(scratch) / name).write_bytes(sources[name])
            try:
                texts = compile_folder(
                    Path(scratch), switched_off={rule.label for rule in rules if not rule.enabled}
                ).files
            except ValueError as e:
                raise ValueError(self._where_edited(str(e), Path(scratch))) from e
        made = {name: texts[name].encode("utf-8") for name in COMPILED_FILES}
        self._made_from, self._made = sources, made
        return made

    def _where_edited(self, text: str, folder: Path) -> str:
        """The text with the names of files that a person can edit, instead of our copies."""
        paths = edited_files(self._policy)
        for name, path in paths.items():
            text = text.replace(str(folder / name), str(path))
        made = f"{SCENARIOS_FILE} (made from {paths[MODELS_FILE]})"
        return text.replace(str(folder / SCENARIOS_FILE), made)
