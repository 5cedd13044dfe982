"""The publisher's side of fipa-subscribe (SC00035): who wants to hear of what, kept on disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from agents.base.disk_faults import Faults, Untold, fault_of
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

SAVE_AGAIN_S = 5.0
MAX_SUBSCRIBERS = 1000
"""Of one topic: there are never more agents of a honeynet that may ask."""


class Subscribers:
    """Topics and the bare JIDs of their subscribers, in a file: a restarted publisher need not be
    asked again.

    Args:
        path: the JSON file. One that can't be read is started anew, with a warning: subscribers ask
            again now and then, and a publisher that did not start would be worse. One that can't
            be written is tried again (`save_again`).
        faults: told when it can't be written.
    """

    def __init__(self, path: Path, faults: Faults | None = None) -> None:
        self._path = path
        self._faults = Untold() if faults is None else faults
        self._topics: dict[str, list[str]] = {}
        self._unsaved = False
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as e:
            logger.warning("%s is unreadable, starting without subscribers: %s", path, e)
            return
        if isinstance(found, list):
            # Written before there were topics; analyzers, the only ones that had it, offer alerts.
            found = {"Alert": found}
        if isinstance(found, dict):
            self._topics = {
                topic: [name for name in names if isinstance(name, str)]
                for topic, names in found.items()
                if isinstance(names, list)
            }

    def to(self, topic: str) -> tuple[str, ...]:
        """Subscribers of a topic, in the order in which they came."""
        return tuple(self._topics.get(topic, ()))

    def add(self, name: str, topic: str) -> bool:
        """Enter a subscriber; True if it is new. Raises: ValueError (too many)."""
        names = self._topics.get(topic, [])
        if name in names:
            if self._unsaved:
                self._save(self._topics)
            return False
        if len(names) >= MAX_SUBSCRIBERS:
            raise ValueError(f"{topic} has {MAX_SUBSCRIBERS} subscribers already")
        self._save({**self._topics, topic: [*names, name]})
        return True

    def remove(self, name: str, topic: str) -> bool:
        """Strike a subscriber off; True if it was there."""
        names = self._topics.get(topic, [])
        if name not in names:
            return False
        self._save({**self._topics, topic: [known for known in names if known != name]})
        return True

    async def save_again(self) -> None:
        """Call it every `SAVE_AGAIN_S` seconds: writes what could not be written."""
        if self._unsaved:
            self._save(self._topics)

    def _save(self, topics: dict[str, list[str]]) -> None:
        self._topics = topics
        self._unsaved = True
        try:
            write_whole(self._path, json.dumps(topics).encode())
        except OSError as e:
            text = f"{self._path}: {fault_of(e)}; subscribers are known in memory only"
            self._faults.fault(str(self._path), text)
            return
        self._unsaved = False
        self._faults.clear(str(self._path))
