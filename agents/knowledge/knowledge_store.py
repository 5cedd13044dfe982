"""The last good version on an agent's own disk, so that a restart needs nobody.

A folder per version, named by its digest, and one file that says which of them is in force: written
last and whole, so that a crash leaves the version before it or the new one.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from agents.knowledge.files import KNOWN_FILES, FileSet
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

_IN_FORCE = "in-force.json"
_REFUSED = "refused.json"
MAX_REFUSED = 50
"""Versions that failed and are kept in mind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of the version in force."""

    version: str
    digest: str
    origin: str
    """Bare JID of the ontology agent that announced it."""
    changed_us: int
    """As it was announced."""


class KnowledgeStore:
    """One folder. Blocks for file work; for one thread at a time.

    Args:
        folder: made if absent; nobody else writes into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lay_out(self, files: FileSet) -> Path:
        """Write the files side by side, so that they can be tried; returns their folder.

        What is there already is not written again: no room is needed for it.

        Raises: OSError.
        """
        folder = self.folder_of(files.digest)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in files.contents.items():
            path = folder / name
            if not (path.is_file() and path.read_bytes() == data):
                write_whole(path, data)
        for path in folder.iterdir():
            if path.name not in files.contents:
                path.unlink()
        return folder

    def keep(self, kept: Kept) -> None:
        """Say that what was laid out under this digest is in force, and drop all else.

        Raises: OSError; what was in force before then is what a restart finds.
        """
        write_whole(self._folder / _IN_FORCE, json.dumps(asdict(kept), indent=1).encode())
        self.drop_others(kept.digest)

    def refuse(self, marks: Mapping[str, str], reason: str) -> None:
        """Keep in mind what failed: names with SHA-256, all of which a version must have to be it.

        Raises: OSError.
        """
        refused = [*self.refused(), (dict(marks), reason)][-MAX_REFUSED:]
        write_whole(self._folder / _REFUSED, json.dumps(refused, indent=1).encode())

    def refused(self) -> list[tuple[dict[str, str], str]]:
        """What failed, oldest first, each with the reason."""
        try:
            found = json.loads((self._folder / _REFUSED).read_bytes())
            return [({str(k): str(v) for k, v in m.items()}, str(why)) for m, why in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, AttributeError) as e:
            logger.warning("%s is unreadable: %s", self._folder / _REFUSED, e)
            return []

    def why_refused(self, marks: Mapping[str, str]) -> str:
        """The reason if a version with these marks has failed; empty if it has not."""
        for failed, why in reversed(self.refused()):
            if failed.items() <= marks.items():
                return why
        return ""

    def drop_others(self, digest: str) -> None:
        """Remove the folders of all other versions."""
        for path in self._folder.iterdir():
            if path.is_dir() and path != self.folder_of(digest):
                shutil.rmtree(path, ignore_errors=True)

    def read(self) -> tuple[Kept, FileSet] | None:
        """What is in force; None if nothing was kept, or, with a warning, if it is damaged."""
        try:
            kept = _parse((self._folder / _IN_FORCE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as e:
            logger.warning("%s is unreadable: %s", self._folder / _IN_FORCE, e)
            return None
        try:
            paths = [
                path for path in self.folder_of(kept.digest).iterdir() if path.name in KNOWN_FILES
            ]
            files = FileSet({path.name: path.read_bytes() for path in paths})
        except (OSError, ValueError) as e:
            logger.warning("%s is unreadable: %s", self.folder_of(kept.digest), e)
            return None
        if files.digest != kept.digest:
            logger.warning("%s has been changed by somebody", self.folder_of(kept.digest))
            return None
        return kept, files

    def folder_of(self, digest: str) -> Path:
        """Where the files of this version stand, or would."""
        return self._folder / digest[:32]


def _parse(text: bytes) -> Kept:
    try:
        kept = Kept(**json.loads(text))
    except TypeError as e:
        raise ValueError(str(e)) from e
    if not isinstance(kept.changed_us, int) or not all(
        isinstance(value, str) for value in (kept.version, kept.digest, kept.origin)
    ):
        raise ValueError("a value is of the wrong type")
    return kept
