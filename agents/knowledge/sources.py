"""The files that people edit, made into the version that is in force. The ontology agent's side.

An edit is read once, compiled (``scenarios.owl`` from the attack models, ``reactions.ttl`` from the
policy tables), laid out in the agent's own state and checked there: what was checked is what agents
get, whatever happens to the installed files meanwhile. Nothing is written where people edit. Of the
installed ``scenarios.owl`` one thing counts: which of its rules are switched off. What an operator
has switched by hand (`agents.knowledge.switches`) is laid over all of them.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.parsers.expat import ExpatError

from agents.knowledge.checks import Check, Knowledge, check_with_java, load_knowledge
from agents.knowledge.class_uses import places_of
from agents.knowledge.files import (
    COMPILED_FILES,
    FileSet,
    edited_files,
    reasoner_files,
)
from agents.knowledge.knowledge_store import Kept, KnowledgeStore
from agents.knowledge.load import one_line, taxonomy_of
from agents.knowledge.switches import Switch, Switches
from agents.settings.honeynet import Policy
from ontology.knowledge_base import ONTOLOGY_FILE, KnowledgeBaseError, read_owl_file
from ontology.rule_switches import switch_rules
from ontology.swrl import read_rules
from ontology.taxonomy import Taxonomy, in_force, installed, tried
from rules.scenarios.compiled_files import compile_folder, source_paths
from rules.shipped_files import (
    MODELS_FILE,
    PAPER_FILE,
    RULE_FILES,
    SCENARIOS_FILE,
    models_path,
)

logger = logging.getLogger(__name__)

MAX_PLACES = 40
"""Places that a refusal names; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """A version that passed every check, and is in the store."""

    kept: Kept
    files: FileSet
    knowledge: Knowledge
    paths: tuple[Path, ...]
    """Ontology and rule files in the store."""
    taxonomy: Taxonomy


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
        self._switches = Switches(folder)
        self._clusters = folder.parent / "knowledge" / "clusters.owl"
        self._policy = policy
        self._origin = origin
        self._check = check
        self._checked = ""
        """`Knowledge.owl_digest` of what passed the check with Java."""
        self._made_from: tuple[Mapping[str, bytes], frozenset[str]] = ({}, frozenset())
        self._made: Mapping[str, bytes] = {}
        self.in_force: Edition | None = None
        self._before: Edition | None = None
        """What was in force before, to go back to."""

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
        before = self.in_force
        files, taxonomy = self._collect()
        if before is not None and before.files.digest == files.digest:
            return False
        if why := self._store.why_refused(_marks(files)):
            raise KnowledgeBaseError(f"{why}; refused until it is changed")
        try:
            folder = self._store.lay_out(files)
            paths = reasoner_files(folder)
            knowledge = load_knowledge(
                paths,
                digest=files.digest,
                check=None if trusted else self._check,
                checked=self._checked,
                before=before.paths if before is not None else (),
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
        if before is not None and before.knowledge.owl_digest != knowledge.owl_digest:
            self._before = before
        self.in_force = Edition(
            kept=kept, files=files, knowledge=knowledge, paths=paths, taxonomy=taxonomy
        )
        return True

    @property
    def switched(self) -> Mapping[str, Switch]:
        """What operators have switched by hand, by the label of the rule."""
        return self._switches.by_label

    def switch(self, label: str, on: bool, why: str, now_us: int) -> bool:
        """Switch a rule by hand, for good, and put that in force; False if it was so already.

        Args:
            why: ``user:NAME: reason``.

        Raises: KnowledgeBaseError with one line; nothing has changed.
        """
        edition = self.in_force
        rules = edition.knowledge.rules if edition is not None else ()
        if label not in {rule.label for rule in rules}:
            raise KnowledgeBaseError(f"there is no rule {label[:80]!r} in force")
        before = self._switches.by_label
        try:
            self._switches.keep(self._switches.after(label, Switch(on, why, now_us)))
            try:
                return self.take_over(now_us)
            except KnowledgeBaseError:
                self._switches.keep(before)
                raise
        except OSError as e:
            raise KnowledgeBaseError(f"{e.filename}: {e.strerror}") from e
        except ValueError as e:
            raise KnowledgeBaseError(one_line(e)) from e

    def take_back(self, digest: str, why: str, now_us: int) -> str:
        """Put in force what was before, and refuse what failed until its files are changed.

        Args:
            digest: of the version that failed those who reason with it.

        Returns one line that names the files; empty if that version is not in force, or nothing
        is known of what was before.
        """
        failed, before = self.in_force, self._before
        if failed is None or before is None or failed.files.digest != digest:
            return ""
        new = _marks(failed.files).items() - _marks(before.files).items()
        paths = edited_files(self._policy)
        names = ", ".join(str(paths.get(name, name)) for name in sorted(dict(new)))
        reason = f"{names}: {one_line(ValueError(why))}"
        changed_us = max(now_us, failed.kept.changed_us + 1)
        kept = replace(before.kept, changed_us=changed_us)
        try:
            self._store.refuse(dict(new), reason)
            self._store.lay_out(before.files)
            self._store.keep(kept)
        except OSError as e:
            logger.warning("that %s is back can't be kept: %s", kept.version, e)
        self._checked = before.knowledge.owl_digest
        self._before, self.in_force = None, replace(before, kept=kept)
        return reason

    def _edition(self, kept: Kept, files: FileSet) -> Edition:
        paths = reasoner_files(self._store.lay_out(files))
        knowledge = load_knowledge(paths, digest=files.digest)
        self._checked = knowledge.owl_digest
        taxonomy = taxonomy_of(files.contents[ONTOLOGY_FILE], Path(ONTOLOGY_FILE))
        return Edition(kept=kept, files=files, knowledge=knowledge, paths=paths, taxonomy=taxonomy)

    def _collect(self) -> tuple[FileSet, Taxonomy]:
        """The files as they are now, with what is made from them, and the classes that they have.

        Raises: KnowledgeBaseError.
        """
        try:
            contents = {
                name: path.read_bytes() for name, path in edited_files(self._policy).items()
            }
            taxonomy = taxonomy_of(
                contents[ONTOLOGY_FILE], edited_files(self._policy)[ONTOLOGY_FILE]
            )
            self._check_gone(taxonomy)
            contents |= self._with_switches(contents)
            with tried(taxonomy):
                return FileSet({**contents, **self._compiled(contents)}), taxonomy
        except OSError as e:
            raise KnowledgeBaseError(f"{e.filename}: {e.strerror}") from e
        except ValueError as e:
            raise KnowledgeBaseError(one_line(e)) from e

    def _with_switches(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """The rule files in which an operator has switched something."""
        wanted = self._switches.wanted()
        if not wanted:
            return {}
        names = [name for name in (*RULE_FILES, PAPER_FILE) if name in contents]
        try:
            return {name: switch_rules(contents[name], wanted) for name in names}
        except (ExpatError, SyntaxError, ValueError):
            # The file is broken: the checks say so, with its place.
            return {}

    def _check_gone(self, taxonomy: Taxonomy) -> None:
        """Raises: KnowledgeBaseError if a class that was in force is no more, and is used."""
        before = installed() if self.in_force is None else self.in_force.taxonomy
        paths = edited_files(self._policy)
        told = []
        for name in sorted(set(before.parents) - set(taxonomy.parents)):
            places = places_of(name, (*paths.values(), self._clusters))
            if len(places) > MAX_PLACES:
                places[MAX_PLACES:] = [f"{len(places) - MAX_PLACES} more"]
            if places:
                told.append(f"class {name} is gone, but used by {', '.join(places)}")
        if told:
            raise KnowledgeBaseError(f"{paths[ONTOLOGY_FILE]}: {'; '.join(told[:MAX_PLACES])}")

    def _compiled(self, contents: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """What is made from models and tables; rules that somebody has switched off stay off."""
        names = [path.name for path in source_paths(Path())]
        sources = {name: contents[name] for name in names}
        scenarios = models_path().with_name(SCENARIOS_FILE)
        sources[SCENARIOS_FILE] = scenarios.read_bytes()
        sources["classes"] = in_force().text.encode()
        by_hand = self._switches.wanted()
        off = frozenset(label for label, on in by_hand.items() if not on)
        off |= {
            rule.label
            for rule in read_rules(read_owl_file(scenarios).triples)
            if not rule.enabled and rule.label not in by_hand
        }
        if (sources, off) == self._made_from:
            return self._made
        with tempfile.TemporaryDirectory(prefix="ontoidps-rules-") as scratch:
            for name in names:
                (Path(scratch) / name).write_bytes(sources[name])
            try:
                texts = compile_folder(Path(scratch), switched_off=off).files
            except ValueError as e:
                raise ValueError(self._where_edited(str(e), Path(scratch))) from e
        made = {name: texts[name].encode("utf-8") for name in COMPILED_FILES}
        self._made_from, self._made = (sources, off), made
        return made

    def _where_edited(self, text: str, folder: Path) -> str:
        """The text with the names of files that a person can edit, instead of our copies."""
        paths = edited_files(self._policy)
        for name, path in paths.items():
            text = text.replace(str(folder / name), str(path))
        made = f"{SCENARIOS_FILE} (made from {paths[MODELS_FILE]})"
        return text.replace(str(folder / SCENARIOS_FILE), made)


def _marks(files: FileSet) -> dict[str, str]:
    """SHA-256 of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.contents.items()}
