"""Which kept records are of kinds that may have only a share of the archive.

Strangers decide how many of them there are: who tries many passwords, or runs many programs on a
host that was taken, drives out no alert. Not safe for use by several threads: the archive's lock is
held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from pyoxigraph import DefaultGraph, NamedNode, Store

from ontology.records import HostEvent, ObservedData, Record
from ontology.vocabulary import IDPS

LIMITED: Final[dict[type[Record], str]] = {
    ObservedData: IDPS.ObservedData,
    HostEvent: IDPS.HostEvent,
}
"""Kind of record to its class."""
SHARE: Final = 5
"""One of so many records may be of one of these kinds."""

_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")


class Shares:
    """Ids of such records, by kind, oldest first.

    Args:
        order: Ids of all records of the archive, oldest first.
        store: What is known of them.
    """

    def __init__(self, order: Iterable[str], store: Store) -> None:
        kind_of = {
            quad.subject.value: kind
            for kind, iri in LIMITED.items()
            for quad in store.quads_for_pattern(None, _TYPE, NamedNode(iri), DefaultGraph())
            if isinstance(quad.subject, NamedNode)
        }
        self._kept: dict[type[Record], dict[str, None]] = {kind: {} for kind in LIMITED}
        for name in order:
            if name in kind_of:
                self._kept[kind_of[name]][name] = None

    def add(self, name: str, record: Record) -> None:
        """It is the newest now; forget the one that it replaces before."""
        if type(record) in self._kept:
            self._kept[type(record)][name] = None

    def forget(self, name: str) -> None:
        """It is gone; of any kind, known or not."""
        for names in self._kept.values():
            names.pop(name, None)

    def surplus(self, capacity: int) -> Iterator[str]:
        """Ids beyond their kind's share of so many records, the oldest; each kind may keep one."""
        allowed = max(1, capacity // SHARE)
        for names in self._kept.values():
            yield from islice(names, max(0, len(names) - allowed))
