"""How far a growing capture has been read, kept on disk between two runs of its reader.

A place is a number of packets, not an offset: pcapng describes its interfaces on the way, so a
reader begins at the file's start in any case and passes over what it knows.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ontology.whole_files import write_whole

HEAD = 1024
"""First bytes that are hashed: the file's header and the times of its first packets."""
MAX_SIBLINGS = 4096
"""Files looked at next to the capture, to find what it was renamed to."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file and how much of it is done."""

    inode: int = 0
    packets: int = 0
    size: int = 0
    """The file had so many bytes at least."""
    head: str = ""
    """SHA-256 of the first ``head_size`` bytes."""
    head_size: int = 0

    @classmethod
    def of(cls, fd: int, packets: int, size: int) -> Place:
        """The place in an open file after ``packets``, of which ``size`` bytes were read."""
        head = os.pread(fd, min(HEAD, size), 0)
        return cls(os.fstat(fd).st_ino, packets, size, _hash(head), len(head))

    @classmethod
    def load(cls, path: Path) -> Place | None:
        """What `save` kept; None if there is nothing. Raises: ValueError if it is damaged."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as e:
            raise ValueError(f"{path}: {e.strerror}") from e
        names = {field.name for field in fields(cls)}
        if not isinstance(kept, dict) or set(kept) != names:
            raise ValueError(f"{path}: not the place in a capture")
        for name, value in kept.items():
            wanted = str if name == "head" else int
            if type(value) is not wanted or (type(value) is int and value < 0):
                raise ValueError(f"{path}: {name} must be {wanted.__name__}, got {value!r:.40}")
        return cls(**kept)

    def save(self, path: Path) -> None:
        """Replace what is kept at ``path``. Raises: OSError."""
        write_whole(path, json.dumps(asdict(self)).encode())

    def is_in(self, fd: int) -> bool:
        """Whether the open file is the one that this place is in, or a copy with all of it."""
        found = os.fstat(fd)
        if not self.head_size or found.st_size < self.size:
            return False
        # Headers alone are the same in all captures; an inode number is used again.
        if self.head_size < HEAD and found.st_ino != self.inode:
            return False
        return _hash(os.pread(fd, self.head_size, 0)) == self.head


def siblings(path: Path) -> Iterator[Path]:
    """Other regular files in the folder of ``path``: one of them may be what it was renamed to."""
    try:
        with os.scandir(path.parent) as entries:
            for _, entry in zip(range(MAX_SIBLINGS), entries, strict=False):
                if entry.name != path.name and stat.S_ISREG(
                    entry.stat(follow_symlinks=False).st_mode
                ):
                    yield Path(entry.path)
    except OSError:
        return


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
