"""Attack models and policy tables: compiled into rule files when somebody has edited them.

What ``ontoidps rules compile`` does, done by the ontology agent once all checks have passed. A file
that was made from them is written only after an edit of theirs, so that the other files may stand
as they are.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agents.knowledge.load import one_line
from agents.knowledge.watch import Knowledge, load_knowledge
from agents.ontology.clusters import write_whole
from ontology.knowledge_base import KnowledgeBaseError
from rules.reactions.reaction_rules import REACTIONS_FILE
from rules.scenarios.compiled_files import compile_folder, differing, source_paths, write_files
from rules.shipped_files import models_path

logger = logging.getLogger(__name__)

Check = Callable[[Sequence[Path], bytes], None]


class PolicySources:
    """The models and tables, and what they were when rule files were last made from them.

    Args:
        state: folder of ours for a note of that.
    """

    def __init__(self, state: Path) -> None:
        self._note = state / "compiled.sha256"
        try:
            self.digest = self._note.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            self.digest = ""

    def paths(self) -> tuple[Path, ...]:
        """The files that people edit."""
        return source_paths(models_path().parent)

    def watched(self) -> tuple[Path, ...]:
        """These, and what a person who had to compile them wrote beside the rule files."""
        return (*self.paths(), models_path().with_name(REACTIONS_FILE))

    def load(
        self, paths: Sequence[Path], *, check: Check, checked: str, starting: bool = False
    ) -> Knowledge:
        """Check models and tables, and ontology and rules with what would be made of them; if all
        is well, write that. Blocks, for seconds if something is to be checked.

        Args:
            paths: ontology and rule files.
            check: `check_with_java`.
            checked: digest of ontology and rule files that have passed it.
            starting: only what is made new needs ``check``; and what is wrong with models and
                tables is told, no more: the rest must come up.

        Raises:
            KnowledgeBaseError: one line saying what is wrong where; nothing has changed.
        """
        try:
            digest, made = self._edited()
        except KnowledgeBaseError as e:
            if not starting:
                raise
            logger.error("attack models and policy tables stay as they were: %s", e)
            return load_knowledge(paths, beside=self.digest)
        with tempfile.TemporaryDirectory(prefix="ontoidps-rules-") as scratch:
            tried = [_in_place(path, made, Path(scratch)) for path in paths]
            found = load_knowledge(
                tried,
                check=None if starting and not made else check,
                checked=checked,
                beside=digest,
            )
        if digest == self.digest:
            return found
        try:
            write_files(made)
            self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._note, digest.encode() + b"\n")
        except OSError as e:
            raise KnowledgeBaseError(
                f"{e.filename or self._note}: {e.strerror}, so rules can't be made from models and "
                "tables"
            ) from e
        self.digest = digest
        if made:
            names = ", ".join(sorted(path.name for path in made))
            logger.info("made from attack models and policy tables: %s", names)
        return found

    def _edited(self) -> tuple[str, Mapping[Path, str]]:
        """Digest of the files, and what has to be written (whole texts); nothing without an edit.

        Raises: KnowledgeBaseError
        """
        folder = models_path().parent
        total = hashlib.sha256()
        try:
            for path in self.paths():
                total.update(hashlib.sha256(path.read_bytes()).digest())
            digest = total.hexdigest()
            if digest == self.digest:
                return digest, {}
            result = compile_folder(folder)
        except OSError as e:
            raise KnowledgeBaseError(f"{e.filename}: {e.strerror}") from e
        except ValueError as e:
            raise KnowledgeBaseError(one_line(e)) from e
        if not self.digest:
            return digest, {}  # as installed: nothing says that anybody edited them
        texts = {folder / name: text for name, text in result.files.items()}
        return digest, {path: texts[path] for path in differing(texts)}


def _in_place(path: Path, made: Mapping[Path, str], scratch: Path) -> Path:
    """The file as it would be after writing."""
    if path not in made:
        return path
    trial = scratch / path.name
    trial.write_text(made[path], encoding="utf-8")
    return trial
