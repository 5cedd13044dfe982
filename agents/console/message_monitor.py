"""What agents of this host said to each other, for the console: bounded work for each look."""

from __future__ import annotations

import heapq
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from agents.base.message_filter import Wish, records_of, wanted
from agents.base.message_log import (
    NAMES,
    Logged,
    Place,
    log_folder,
    read_at,
    read_places,
)
from agents.messages.acl import AclMessage, MessageError
from agents.settings.honeynet import Settings

MAX_LOOKED = 5_000
"""Messages read for one page."""
BUDGET_S = 0.5
"""CPU time for one page; the next one goes on where it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A message with the agent that kept it."""

    keeper: str
    place: Place
    entry: Logged
    message: AclMessage
    records: dict[str, int]


class MessageMonitor:
    """Reads the logs of the agents of this host. Blocks; for threads."""

    def __init__(self, settings: Settings) -> None:
        jids = [settings.jid(role, node) for role, node in settings.agents()]
        self._folders = {jid: log_folder(settings.state_dir, jid) for jid in jids}
        self._kept = settings.message_log_mib > 0
        # One at a time: many viewers must not take all threads from the rest of the console.
        self._one = threading.Lock()

    def keepers(self) -> tuple[str, ...]:
        """Agents that keep messages on this host."""
        return tuple(
            jid
            for jid, folder in self._folders.items()
            if any((folder / name).exists() for name in NAMES)
        )

    def page(
        self, wish: Wish, *, before_us: int | None = None, limit: int = 100
    ) -> tuple[list[Found], int | None]:
        """Newest first, older than ``before_us``; and where to go on, None at the end."""
        with self._one:
            begin = time.thread_time()
            way = "sent" if wish.sent else "received"
            lists = [
                [
                    (place.time_us, jid, place)
                    for place in read_places(folder)
                    if place.way == way and (before_us is None or place.time_us < before_us)
                ]
                for jid, folder in self._folders.items()
            ]
            for entries in lists:
                entries.sort(key=_time)
                entries.reverse()
            found: list[Found] = []
            last_us: int | None = None
            for looked, (time_us, jid, place) in enumerate(
                heapq.merge(*lists, key=_time, reverse=True)
            ):
                over = looked >= MAX_LOOKED or time.thread_time() - begin > BUDGET_S
                # Never between two of one instant, or the second would be on no page.
                if time_us != last_us and looked and (len(found) >= limit or over):
                    return found, last_us
                last_us = time_us
                seen = self._read(jid, place, wish)
                if seen is not None:
                    found.append(seen)
            return found, None

    def one(self, keeper: str, time_us: int, offset: int) -> Logged | None:
        """A whole message, if it is still kept."""
        folder = self._folders.get(keeper)
        if folder is None:
            return None
        for name in NAMES:
            entry = read_at(folder / name, offset, time_us)
            if entry is not None:
                return entry
        return None

    def _read(self, jid: str, place: Place, wish: Wish) -> Found | None:
        entry = _entry(place)
        message = None if entry is None else wanted(entry, wish)
        if entry is None or message is None:
            return None
        return Found(
            keeper=jid, place=place, entry=entry, message=message, records=records_of(message)
        )


def _entry(place: Place) -> Logged | None:
    other = place.path.with_name(NAMES[1] if place.path.name == NAMES[0] else NAMES[0])
    # The files may have changed names since they were listed.
    paths: tuple[Path, ...] = (place.path, other)
    try:
        return next(e for p in paths if (e := read_at(p, place.offset, place.time_us)) is not None)
    except (StopIteration, MessageError):
        return None


def _time(entry: tuple[int, str, Place]) -> int:
    return entry[0]
