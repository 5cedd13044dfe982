"""A pcap or pcapng file that another program is still writing, such as ``tcpdump -w``.

What it lacks at its end is waited for: a record is delivered when it is whole. The file may be
replaced by another (rotation) or cut to nothing and written again; both are followed and counted.
With a file to keep its place in, a reader goes on where the last one stopped.
"""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datasets.captures.capture_files import CaptureError, CaptureStats, RawPackets
from datasets.captures.growing_place import Place, siblings
from datasets.captures.pcap import read_source

logger = logging.getLogger(__name__)

_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 24
"""A pcap file's header; the shortest pcapng section is longer."""


class _Open:
    """One file, by its descriptor: a name may mean another file a moment later."""

    growing = True

    def __init__(self, path: Path) -> None:
        # Without O_NONBLOCK, opening a named pipe would wait for its writer.
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.place = 0
        try:
            status = os.fstat(self.fd)
            if not stat.S_ISREG(status.st_mode):
                raise CaptureError(f"{path}: not a regular file")
        except BaseException:
            self.close()
            raise
        self.identity = (status.st_dev, status.st_ino)

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read(self, size: int) -> bytes:
        data = os.pread(self.fd, size, self.place)
        self.place += len(data)
        return data

    def readinto(self, target: memoryview) -> int:
        size = os.preadv(self.fd, [target], self.place)
        self.place += size
        return size

    def close(self) -> None:
        os.close(self.fd)


class GrowingCapture:
    """Follow a capture file by its name; it need not exist yet. Not for several threads at once.

    ``from_start``: what it holds when it is first seen counts as well. Files that take its place
    later are always read from their start.

    ``state``: where the place is kept. With it, `settle` each block once it is in safe hands: the
    next `GrowingCapture` begins behind the last one settled, also in a file that was renamed.
    """

    def __init__(self, path: Path, *, from_start: bool = False, state: Path | None = None) -> None:
        self._path = path
        self._passing_over = not from_start
        self._state = state
        self._file: _Open | None = None
        self._blocks: Iterator[RawPackets] = iter(())
        self._broken = False
        self._said = ""
        self._done = 0
        """Packets of the open file that were read, passed over or not."""
        self._skip = 0
        """Packets at its start that were settled in an earlier run."""
        self.counters: Counter[str] = Counter()
        """packets, files, rotations, truncations, errors (files that are no captures), gaps (the
        rest of a file is gone, unknown how much), and place_unreadable."""
        self._kept: Place | None = None
        """What is on disk."""
        if state is not None:
            try:
                self._kept = Place.load(state)
            except ValueError as e:
                self.counters["place_unreadable"] += 1
                logger.warning("%s; beginning anew", e)
        self._resume = self._kept
        """Where the last run stopped, until its file is found or given up."""

    def trouble(self) -> str:
        """Why nothing comes from it, in words; empty if there is a capture to read."""
        if self._said:
            return self._said
        return f"no file {self._path}" if self._file is None else ""

    def close(self) -> None:
        """May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def settle(self) -> None:
        """What `read` has given so far has been dealt with. Raises: OSError."""
        if self._state is None or self._resume is not None:
            return
        if self._file is not None:
            place = Place.of(self._file.fd, self._done, self._file.place)
        elif self._kept is None:
            place = Place()  # nothing there yet: whatever comes to be is new
        else:
            return
        if place != self._kept:
            place.save(self._state)
            self._kept = place

    def read(self) -> RawPackets | None:
        """The next packets, None if there are none just now. Never waits."""
        seen_moved = False
        while True:
            if self._file is None and not self._begin():
                return None
            raw = None if self._broken else self._next()
            if raw is not None and len(raw):
                known = len(raw) if self._passing_over else min(self._skip - self._done, len(raw))
                self._done += len(raw)
                if known >= len(raw):
                    continue
                if known > 0:
                    raw = raw.after(known)
                self.counters["packets"] += len(raw)
                return raw
            self._passing_over = False
            if not self._moved():
                return None
            # The writer may have added to the old file just before the new one was there.
            if seen_moved and self._file is not None:
                self.counters["rotations"] += 1
                self.close()
            seen_moved = True

    def _next(self) -> RawPackets | None:
        try:
            return next(self._blocks)
        except (CaptureError, OSError) as e:
            self._complain(str(e))
            self._broken = True
            return None

    def _begin(self) -> bool:
        file = self._open()
        resume = self._resume
        self._done = self._skip = 0
        if resume is not None:
            self._passing_over = False  # what the last run has not seen is new
            found = file if file is not None and resume.is_in(file.fd) else self._renamed(resume)
            if found is None and file is None:
                return False
            if found is None:
                self.counters["gaps"] += resume.packets > 0
            else:
                if file is not None and found is not file:
                    file.close()
                file, self._skip = found, resume.packets
            self._resume = None
        if file is None:
            return False
        self._file = file
        self._broken = False
        self._said = ""
        self._blocks = read_source(file, str(self._path), _BLOCK_BYTES, CaptureStats())
        self.counters["files"] += 1
        return True

    def _open(self) -> _Open | None:
        """What the name stands for, if it is long enough to be a capture."""
        try:
            file = _Open(self._path)
        except FileNotFoundError:
            self._passing_over = False  # whatever comes to be is new
            return None
        except (OSError, CaptureError) as e:
            self._complain(str(e))
            return None
        if file.size() < _HEAD_BYTES:
            file.close()
            return None
        return file

    def _renamed(self, place: Place) -> _Open | None:
        """The file of ``place`` under another name: it was rotated while nobody looked."""
        for path in siblings(self._path) if place.packets else ():
            try:
                file = _Open(path)
            except (OSError, CaptureError):
                continue
            if place.is_in(file.fd):
                return file
            file.close()
        return None

    def _moved(self) -> bool:
        """Whether the name stands for another file now, or for less of this one."""
        file = self._file
        if file is None:
            return False
        if file.size() < file.place:
            self.counters["truncations"] += 1
            self.close()
            return True
        try:
            status = os.stat(self._path)
        except OSError:
            return False  # gone: its writer may still hold it
        same = (status.st_dev, status.st_ino) == file.identity
        return not same and status.st_size >= _HEAD_BYTES

    def _complain(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            self.counters["errors"] += 1
            logger.warning("%s; waiting for another file", problem)
