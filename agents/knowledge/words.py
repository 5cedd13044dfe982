"""The classes of the version in force, at agents that do not reason: which words they may use.

The ontology agent sends them to all who follow it, at its start and at each change; those who
reason have them from the files (`agents.knowledge.receiver`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ontology.records import OntologyChanged, Record
from ontology.taxonomy import Taxonomy, TaxonomyError, put_in_force
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

FILE = "words.json"
READERS = ("sensor", "analyzer", "reaction", "supervisor", "console")
"""Roles that are sent them."""
KIND: Final = "words"


class Words:
    """What one agent has been told. Blocks for a small file.

    Args:
        folder: for the last table.
        follows: bare JID of the ontology agent whose word counts.
    """

    def __init__(self, folder: Path, follows: str) -> None:
        self._path = folder / FILE
        self._follows = follows
        self._changed_us = 0
        self.version = ""
        """In force; empty if nothing but the installed file is."""

    def restore(self) -> None:
        """What was in force before a restart."""
        try:
            kept = json.loads(self._path.read_bytes())
            taxonomy = Taxonomy.from_text(kept["table"])
            version, changed_us = str(kept["version"]), int(kept["changed_us"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as e:
            logger.warning("%s is unreadable, the installed classes are in force: %s",
                           self._path, e)  # fmt: skip
            return
        put_in_force(taxonomy)
        self.version, self._changed_us = version, changed_us

    def concerns(self, records: Sequence[Record]) -> bool:
        """Is it for `take`?"""
        return any(isinstance(r, OntologyChanged) and r.kind == KIND for r in records)

    def take(self, sender: str, records: Sequence[Record]) -> bool:
        """Put what was announced in force; False if that was nothing new, or not for us.

        Raises: TaxonomyError (a ValueError) if it is no table; what was in force stays.
        """
        if sender != self._follows:
            logger.warning("%s announces words, but we follow %s", sender, self._follows)
            return False
        changes = [r for r in records if isinstance(r, OntologyChanged) and r.kind == KIND]
        change = max(changes, key=lambda change: change.changed_us)
        if change.changed_us < self._changed_us or change.version == self.version:
            return False
        taxonomy = Taxonomy.from_text(change.detail)
        if taxonomy.digest != change.digest:
            raise TaxonomyError("the table's SHA-256 is not what was announced")
        put_in_force(taxonomy)
        self.version, self._changed_us = change.version, change.changed_us
        kept = {"version": change.version, "changed_us": change.changed_us, "table": change.detail}
        try:
            write_whole(self._path, json.dumps(kept).encode())
        except OSError as e:
            # In force all the same; the ontology agent sends it again at its next start.
            logger.warning("%s can't be kept: %s", self._path, e)
        logger.info("ontology %.80s in force, %d classes", change.version, len(taxonomy.parents))
        return True
