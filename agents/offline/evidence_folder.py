"""The packets that alerts of a replay rest on, a pcap each, in a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from agents.sensor.evidence.citations import Citation
from agents.sensor.evidence.marked import MarkedPackets
from agents.sensor.evidence.matched import MatchedPackets
from agents.sensor.evidence.store import EvidenceStore
from ontology.records import Alert

MAX_FILES: Final = 1_000
"""A capture is a stranger's: it must not fill a disk. Each is of 256 KiB at most."""


class EvidenceFolder:
    """Cites, keeps and bounds as a sensor does. Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Raises: ValueError if it holds something already, OSError."""
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"{folder}: not empty; evidence goes into a new folder")
        self._folder = folder
        self._close: Callable[[], None] | None = None
        self.marked = MarkedPackets()
        self.matched = MatchedPackets()
        self.left_out = 0
        """Alerts whose packets were not written, since there were too many files."""
        self._files = 0
        self.begin()

    def begin(self) -> None:
        """Another traffic: what was seen so far is none of its."""
        self.close()
        self.marked, self.matched = MarkedPackets(), MatchedPackets()
        place = tempfile.TemporaryDirectory(prefix="ontoidps-evidence-")
        self._store = EvidenceStore(Path(place.name) / "evidence.sqlite3")

        def close() -> None:
            self._store.close()
            place.cleanup()

        self._close = close

    def keep(self, logged: Sequence[Citation] = ()) -> None:
        """Put away what was cited since the last call: call it at every block of packets.

        ``logged``: what a log's alerts rest on.
        """
        found = [*self.marked.take(), *self.matched.take(), *logged]
        if found:
            self._store.add(found)

    def write(self, alert: Alert) -> str:
        """What was written for an alert, in words; empty: nothing is kept. Raises: OSError."""
        self.keep()
        kept = self._store.find(alert)
        if kept is None:
            return ""
        if self._files >= MAX_FILES:
            self.left_out += 1
            return ""
        self._files += 1
        path = self._folder / f"{alert.classification}-{alert.id.rpartition(':')[2]}.pcap"
        path.write_bytes(kept.capture)
        return f"{path}: packet {kept.cited} of {kept.packets}"

    def close(self) -> None:
        """Safe to call twice."""
        if self._close is not None:
            self._close()
            self._close = None

    def __enter__(self) -> EvidenceFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
