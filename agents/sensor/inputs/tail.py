"""Follows a growing file through rotation, truncation and restarts, without loss or repeats.

A place in a file is its inode, an offset and a hash of the file's first bytes: an inode number is
used again after a file is deleted, and a file that was copied and truncated keeps its inode, but
neither keeps the first bytes. What was rotated away while nobody looked is found next to the file
(``name.1``, ``name-20261121``) by the same hash.

A stretch is first promised on disk (`Tail.promise`), then handed out, then settled (`Tail.settle`).
After a crash between the two, exactly the promised stretch is read again, so that whoever got it
already knows it by its `Stretch.mark`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import re2

from ontology.whole_files import write_whole

HEAD = 1024
"""First bytes that are hashed."""
MAX_LINE = 262_144
"""A longer line is skipped to its end, counted; Suricata's with payloads stay below."""
STRETCH = 1 << 20
"""Bytes read at once."""
MAX_SIBLINGS = 64
_ROTATED = re2.compile(rb"[.-][0-9][0-9._:T-]{0,30}")
"""What rotation adds to a name; ``.bak`` or ``~`` are somebody's copies, ``.gz`` is not text."""


class TailError(OSError):
    """The file can't be read just now; the message is one line."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file has been read."""

    inode: int
    offset: int
    head: str
    """SHA-256 of the first ``head_size`` bytes."""
    head_size: int
    skipping: bool = False
    """Inside a line that is too long."""

    @classmethod
    def from_json(cls, data: Any) -> Place:
        """Raises: ValueError."""
        try:
            place = cls(**data)
        except TypeError as e:
            raise ValueError(str(e)) from e
        numbers = (place.inode, place.offset, place.head_size)
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError("not a place")
        if type(place.head) is not str or type(place.skipping) is not bool:
            raise ValueError("not a place")
        return place


_NOWHERE = Place(0, 0, hashlib.sha256(b"").hexdigest(), 0)
"""The place in a file that doesn't exist yet."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some whole lines of one file."""

    lines: tuple[bytes, ...]
    """Without their newlines."""
    mark: str
    """Names this stretch of this file; the same lines read again have the same mark."""
    end: Place


class Tail:
    """One followed file. Not thread-safe; use as a context manager or call `close`."""

    def __init__(
        self, path: Path, state: Path, *, from_start: bool = False, record_bytes: int = 0
    ) -> None:
        """``state``: where the place is kept. ``from_start``: a new file is read whole, else from
        its end (no block for yesterday's attacks). ``record_bytes``: records, not lines."""
        self._path = path
        self._state = state
        self._from_start = from_start
        self._record_bytes = record_bytes
        self._fd = -1
        self._place: Place | None = None
        self._promised: int | None = None
        self._loaded = False
        self._queue: list[Path] = []
        """Rotated files that are newer than the one being read, oldest first."""
        self.memory = ""
        """What the parser wants kept with the place."""
        self.counters: Counter[str] = Counter()
        """bytes, rotated, truncated, overlong, gap (lines were lost, unknown how many)."""

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """Of the file by its name of today."""
        return self._path

    @property
    def is_open(self) -> bool:
        """Whether there was a file to read at the last look."""
        return self._fd >= 0

    def close(self) -> None:
        """Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def load(self) -> None:
        """Take up the place of the last run, and `memory`. A damaged one is a new start."""
        self._loaded = True
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            place = Place.from_json(state["place"])
            promised, memory = state["promised"], state["memory"]
            if type(memory) is not str or not (promised is None or type(promised) is int):
                raise ValueError("not a place")
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            self.counters["place_unreadable"] += 1
            return
        self._place, self._promised, self.memory = place, promised, memory

    def read(self) -> Stretch | None:
        """The next whole lines, or None if there are none now. Nothing moves before `settle`.

        Raises: TailError.
        """
        if not self._loaded:
            self.load()
        if self._fd < 0 and not self._open():
            return None
        self._check_truncation()
        stretch = self._stretch()
        while stretch is None and self._advance():
            stretch = self._stretch()
        return stretch

    def promise(self, stretch: Stretch) -> None:
        """Keep on disk that ``stretch`` is about to be handed out. Raises: OSError."""
        self._promised = stretch.end.offset
        self._save()

    def settle(self, stretch: Stretch, memory: str = "") -> None:
        """``stretch`` has been dealt with: go on behind it. Raises: OSError."""
        self._place, self._promised, self.memory = stretch.end, None, memory
        self._save()

    def _save(self) -> None:
        if self._place is None:
            return
        text = json.dumps(
            {"place": asdict(self._place), "promised": self._promised, "memory": self.memory}
        )
        write_whole(self._state, text.encode())

    def _open(self) -> bool:
        place = self._place
        if place is None:
            fd = self._open_file(self._path)
            if fd is None:
                self._place = _NOWHERE  # whatever appears here later is new
                self._save()
                return False
            end = 0 if self._from_start else _last_end(fd, self._record_bytes)
            self._begin(fd, end)
            self._save()
            return True
        # The file itself first, then what rotation left of it.
        for path in (self._path, *self._siblings()):
            fd = self._open_file(path)
            if fd is None:
                continue
            if _matches(fd, place):
                if path != self._path:
                    self.counters["rotated"] += 1
                    self._queue = self._newer(os.fstat(fd))
                self._fd = fd
                self._place = replace(place, inode=os.fstat(fd).st_ino)
                return True
            os.close(fd)
        # Rotated out of sight (or compressed): what it held after our place is lost.
        fd = self._open_file(self._path)
        if fd is None:
            return False
        self.counters["gap"] += place != _NOWHERE
        self._promised = None
        self._begin(fd, 0)
        return True

    def _open_file(self, path: Path) -> int | None:
        """None if there is no such file. Raises: TailError."""
        try:
            # A named pipe in its place must not hold us up.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as e:
            raise TailError(f"{path}: {e.strerror}") from e
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise TailError(f"{path}: not a regular file")
        return fd

    def _begin(self, fd: int, offset: int) -> None:
        self.close()
        self._fd = fd
        self._place = _place_at(fd, offset, skipping=False)

    def _check_truncation(self) -> None:
        place = self._here()
        if _matches(self._fd, place):
            return
        self.counters["truncated"] += 1
        # "copytruncate" made a copy first: the rest of the old contents is there.
        for path in self._siblings():
            fd = self._open_file(path)
            if fd is None:
                continue
            if os.fstat(fd).st_ino != place.inode and _matches(fd, place):
                self.close()
                self._fd = fd
                self._place = replace(place, inode=os.fstat(fd).st_ino)
                self._queue = self._newer(os.fstat(fd))
                return
            os.close(fd)
        self.counters["gap"] += 1
        self._promised = None
        self._begin(os.dup(self._fd), 0)

    def _advance(self) -> bool:
        """Go on to the next file when this one was rotated away and is read to its end."""
        here = os.fstat(self._fd)
        while self._queue:
            fd = self._open_file(self._queue.pop(0))
            if fd is not None:
                self._begin(fd, 0)
                return True
        fd = self._open_file(self._path)
        if fd is None:
            return False
        there = os.fstat(fd)
        # The writer goes on in the old file until it opens the new one: an empty one says nothing.
        if (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev) or not there.st_size:
            os.close(fd)
            return False
        if os.fstat(self._fd).st_size > self._here().offset:
            os.close(fd)
            return True  # more came meanwhile: read that first
        self.counters["rotated"] += 1
        self._queue = self._newer(here)
        if self._queue:
            os.close(fd)
            return self._advance()
        self._begin(fd, 0)
        return True

    def _here(self) -> Place:
        if self._place is None:
            raise TailError(f"{self._path}: not opened")
        return self._place

    def _siblings(self) -> list[Path]:
        """Rotated files, newest first."""
        name = self._path.name
        found = []
        try:
            with os.scandir(self._path.parent) as entries:
                for entry in entries:
                    rest = entry.name.removeprefix(name)
                    if (
                        rest != entry.name
                        and _ROTATED.fullmatch(os.fsencode(rest))
                        and entry.is_file()
                    ):
                        found.append((entry.stat().st_mtime_ns, entry.path))
        except OSError:
            return []
        return [Path(path) for _, path in sorted(found, reverse=True)[:MAX_SIBLINGS]]

    def _newer(self, than: os.stat_result) -> list[Path]:
        """Rotated files written after ``than`` was, oldest first."""
        newer = []
        for path in reversed(self._siblings()):
            try:
                found = path.stat()
            except OSError:
                continue
            if found.st_ino != than.st_ino and found.st_mtime_ns > than.st_mtime_ns:
                newer.append(path)
        return newer

    def _stretch(self) -> Stretch | None:
        place = self._here()
        size = STRETCH
        if self._promised is not None:
            size = self._promised - place.offset
        data = os.pread(self._fd, min(max(size, 0), STRETCH + MAX_LINE), place.offset)
        if not data:
            self._promised = None
            return None
        if self._record_bytes:
            return self._records(place, data)
        skipping = place.skipping
        used = data.rfind(b"\n") + 1
        if not used:
            if len(data) <= MAX_LINE and not skipping:
                if not self._left_behind():
                    return None  # the line is still being written
                data += b"\n"
                used = len(data)
                return self._made(place, [data[:-1]], used - 1, skipping=False)
            # Too long: forget it up to its end, wherever that will be.
            if not skipping:
                self.counters["overlong"] += 1
            return self._made(place, [], len(data), skipping=True)
        lines = data[: used - 1].split(b"\n")
        if skipping:
            lines = lines[1:]
        kept = [line for line in lines if len(line) <= MAX_LINE]
        self.counters["overlong"] += len(lines) - len(kept)
        return self._made(place, kept, used, skipping=False)

    def _records(self, place: Place, data: bytes) -> Stretch | None:
        size = self._record_bytes
        used = len(data) // size * size
        if not used and not self._left_behind():
            return None  # a record is still being written
        lines = [data[at : at + size] for at in range(0, used, size)]
        return self._made(place, lines, used or len(data), skipping=False)

    def _left_behind(self) -> bool:
        """True if nobody writes to this file any more: a newer one has contents."""
        if self._queue:
            return True
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        return bool(there.st_size) and there.st_ino != os.fstat(self._fd).st_ino

    def _made(self, place: Place, lines: list[bytes], used: int, *, skipping: bool) -> Stretch:
        end = _place_at(self._fd, place.offset + used, skipping=skipping)
        self.counters["bytes"] += used
        whole = tuple(line.removesuffix(b"" if self._record_bytes else b"\r") for line in lines)
        begin = _head(self._fd, min(HEAD, end.offset))
        return Stretch(whole, f"{begin}/{place.offset}-{end.offset}", end)


def _head(fd: int, size: int) -> str:
    return hashlib.sha256(os.pread(fd, size, 0)).hexdigest()


def _place_at(fd: int, offset: int, *, skipping: bool) -> Place:
    size = min(HEAD, offset)
    return Place(os.fstat(fd).st_ino, offset, _head(fd, size), size, skipping)


def _matches(fd: int, place: Place) -> bool:
    """True if the file is (a copy of) the one that ``place`` is in."""
    found = os.fstat(fd)
    if found.st_size < place.offset:
        return False
    if place.head_size < HEAD and found.st_ino != place.inode:
        # Hardly anything to know it by; an empty hash fits every file.
        if not place.head_size:
            return False
    return _head(fd, place.head_size) == place.head


def _last_end(fd: int, record_bytes: int) -> int:
    """Offset behind the last record, or the last newline, looking back over one line at most."""
    size = os.fstat(fd).st_size
    if record_bytes:
        return size // record_bytes * record_bytes
    begin = max(size - MAX_LINE, 0)
    tail = os.pread(fd, size - begin, begin)
    return begin + tail.rfind(b"\n") + 1 if b"\n" in tail else begin
