"""Every ACL message that an agent sends and receives: what the message monitor shows.

Two files of bounded size take turns, so that a flood forgets the oldest half and never fills a
disk. An entry is a line ``TIME_US sent|received VERDICT LENGTH`` and the message in FIPA's string
representation (SC00070) with its whole fragment. Nothing depends on this log: while it can't be
written, what is left out is counted and told.
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from agents.base.disk_faults import Faults, fault_of
from agents.messages.acl import AclMessage
from agents.messages.fipa_text import MAX_MESSAGE_BYTES, from_fipa, to_fipa

Way = Literal["sent", "received"]
NAMES = ("messages.fipa", "messages.1.fipa")
"""The file written to, and the one before it."""
ACCEPTED = "-"
"""Verdict on a message that was taken; else why not, in one word."""
_FOLDER = "messages"
_GOOD_AGAIN = 10
"""So many entries written one after the other, and a fault is over."""
_HEAD = re.compile(rb"(\d{1,18}) (sent|received) ([a-z-]{1,40}) (\d{1,7})\n")
_MAX_HEAD = 80


def log_folder(state_dir: Path, jid: str) -> Path:
    """Where an agent of this host keeps its log: beside its state, not in it, so that who may read
    the logs (the console) needs to read nothing else."""
    return state_dir / _FOLDER / jid


def logs_folder(state_dir: Path) -> Path:
    """What holds the logs of all agents of this host."""
    return state_dir / _FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One message as an agent saw it."""

    time_us: int
    way: Way
    verdict: str
    fipa: bytes

    def message(self) -> AclMessage:
        """Raises: MessageError if the entry was damaged."""
        return from_fipa(self.fipa)


class MessageLog:
    """Writes the log of one agent into ``folder``; keeps at most ``limit_bytes`` on disk."""

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        counters: Counter[str],
        faults: Faults | None = None,
    ) -> None:
        self._path, self._older = (folder / name for name in NAMES)
        self._half = limit_bytes // 2
        self._counters = counters
        self._file: BinaryIO | None = None
        self._size = 0
        self._faults = faults
        self._good = _GOOD_AGAIN
        """Entries written since one could not be."""

    def add(self, message: AclMessage, way: Way, time_us: int, verdict: str = ACCEPTED) -> None:
        """Append one message. Never raises for a full or missing disk."""
        if self._half <= 0:
            return
        try:
            text = to_fipa(message)
            entry = b"%d %s %s %d\n%s\n" % (
                time_us,
                way.encode(),
                verdict.encode(),
                len(text),
                text,
            )
            file = self._room(len(entry))
            if file.write(entry) != len(entry):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += len(entry)
        except OSError as e:
            self._counters["message_log_errors"] += 1
            self._take_back()
            self._tell(e)
        else:
            self._tell(None)

    def _take_back(self) -> None:
        """A part of an entry would hide what comes after it."""
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), self._size)
        self.close()

    def _tell(self, error: OSError | None) -> None:
        """A small entry may fit where the one before did not: that alone is not the end of it."""
        if self._faults is None:
            return
        if error is not None:
            self._good = 0
            text = f"{self._path}: {fault_of(error)}; messages are not logged, all else goes on"
            self._faults.fault(str(self._path), text)
        elif self._good < _GOOD_AGAIN:
            self._good += 1
            if self._good == _GOOD_AGAIN:
                self._faults.clear(str(self._path))

    def close(self) -> None:
        """Safe to call twice; the next `add` opens the file again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _room(self, wanted: int) -> BinaryIO:
        if self._file is not None and self._size and self._size + wanted > self._half:
            self.close()
            self._path.replace(self._older)
        if self._file is None:
            # The folder is private; its group is the console's where that is a user of its own.
            # Unbuffered: the entry is whole for whoever reads beside us, and after a crash.
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._file = open(descriptor, "ab", buffering=0)
            self._size = self._path.stat().st_size
        return self._file


def read_log(folder: Path) -> Iterator[Logged]:
    """What is kept of one agent's messages, oldest first. A damaged end is left out."""
    for name in reversed(NAMES):
        try:
            with (folder / name).open("rb") as file:
                yield from read_entries(file)
        except FileNotFoundError:
            continue


def read_entries(file: BinaryIO) -> Iterator[Logged]:
    """From where ``file`` stands to the last whole entry, after which it then stands; what is
    damaged in between is left out."""
    while (head := _next_head(file)) is not None:
        text = file.read(int(head[4]) + 1)
        way: Way = "sent" if head[2] == b"sent" else "received"
        verdict = head[3].decode()
        yield Logged(time_us=int(head[1]), way=way, verdict=verdict, fipa=text[:-1])


def _next_head(file: BinaryIO) -> re.Match[bytes] | None:
    """The head of the next whole entry, with ``file`` behind it; None if there is none, with
    ``file`` where it was."""
    begin = file.tell()
    size = os.fstat(file.fileno()).st_size
    skipped = False
    while line := file.readline(_MAX_HEAD):
        head = _HEAD.fullmatch(line)
        if head is not None and 0 < int(head[4]) <= MAX_MESSAGE_BYTES:
            end = file.tell() + int(head[4])
            if end < size and _ends_with_newline(file, end):
                return head
        elif not skipped and not line.endswith(b"\n") and len(line) < _MAX_HEAD:
            break
        skipped = True
    file.seek(begin)
    return None


def _ends_with_newline(file: BinaryIO, end: int) -> bool:
    here = file.tell()
    file.seek(end)
    found = file.read(1) == b"\n"
    file.seek(here)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an entry stands; a change of files renames the file, the rest stays true."""

    time_us: int
    way: Way
    path: Path
    offset: int


def read_places(folder: Path) -> Iterator[Place]:
    """Where one agent's entries stand, oldest first, without reading the messages."""
    for name in reversed(NAMES):
        try:
            file = (folder / name).open("rb")
        except FileNotFoundError:
            continue
        with file:
            while head := _next_head(file):
                offset = file.tell() - len(head[0])
                way: Way = "sent" if head[2] == b"sent" else "received"
                yield Place(time_us=int(head[1]), way=way, path=folder / name, offset=offset)
                file.seek(int(head[4]) + 1, os.SEEK_CUR)


def read_at(path: Path, offset: int, time_us: int) -> Logged | None:
    """The entry of that time at that place; None if there is another one, or none, by now."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            entry = next(read_entries(file), None)
    except FileNotFoundError:
        return None
    return entry if entry is not None and entry.time_us == time_us else None
