"""What was reported and decided, kept as RDF on disk: bounded, replaceable record by record.

Records and the hosts they name are in the default graph, as the triples that they travel in (a
named graph each would double the indices, and the time). The ontology in force is a named graph, so
that a question can ask for all kinds of `Scan`, and so are the clusters with their cases, asserted
facts and the descriptions of ontologies. Who asks sees the union of all graphs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from pyoxigraph import (
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    RdfFormat,
    Store,
    Triple,
    parse,
    serialize,
)

from ontology.clusters_file import CLUSTERS_IRI
from ontology.fragments import decode, to_triples
from ontology.records import Alert, Block, Decision, Incident, Record
from ontology.vocabulary import HOST_PREFIX, IDPS, ONTOLOGY_IRI

Archived = Alert | Incident | Decision | Block
"""The kinds of record that are kept."""

CAPACITY: Final = 50_000
"""Records kept by default: about 0.1 GB on disk."""

_ARCHIVE = "urn:ontoidps:archive"
_META = NamedNode(_ARCHIVE)
_SEQUENCE = NamedNode(_ARCHIVE + ":sequence")
_REMOVED = NamedNode(_ARCHIVE + ":removed")
_VERSION = NamedNode(_ARCHIVE + ":ontologyVersion")
_ONTOLOGY = NamedNode(ONTOLOGY_IRI)
_COUNT = NamedNode(IDPS.count)
_FLUSH_FROM = 1_000
"""Triples written at once, from which on the store is made to put them on disk."""


class ArchiveError(RuntimeError):
    """The archive can't be opened or written; the message is one line with the path."""


class Archive:
    """Records by id, newest kept. Safe for use by several threads; one process at a time.

    Args:
        path: Folder of the store; made if absent.
        capacity: Beyond so many records the oldest are removed, and counted in `removed`.

    Raises:
        ArchiveError: not a store, or another process has it open.
    """

    def __init__(self, path: Path, *, capacity: int = CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._path = path
        self._capacity = capacity
        self._lock = threading.Lock()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store = Store(path)
        except OSError as e:
            raise ArchiveError(f"{path}: {' '.join(str(e).split())}") from e
        # Id to sequence number, oldest first.
        self._order: OrderedDict[str, int] = OrderedDict(sorted(self._sequences(), key=_second))
        self._next = next(reversed(self._order.values()), 0) + 1
        self._removed = int(self._note(_REMOVED) or 0)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def removed(self) -> int:
        """Records that had to make room since the archive was made."""
        return self._removed

    @property
    def ontology_version(self) -> str:
        """The version that `set_ontology` stored last; empty before that."""
        return self._note(_VERSION)

    def close(self) -> None:
        """Write everything to disk and let go of the files."""
        with self._lock:
            if hasattr(self, "_store"):
                self._store.flush()
                del self._store

    def add(self, records: Sequence[Archived]) -> int:
        """Keep the records, each in place of the one with its id; returns how many old ones went.

        An alert that grew is never replaced by its earlier self, which may come late.

        Raises: ArchiveError, FragmentError.
        """
        latest = {record.id: record for record in records}
        with self._lock:
            latest = {name: r for name, r in latest.items() if not self._outgrown(r)}
            quads: list[Quad] = []
            for record in latest.values():
                for triple in to_triples([record]):
                    quads.append(Quad(triple.subject, triple.predicate, triple.object))
            numbers = dict(zip(latest, count(self._next), strict=False))
            quads += [
                Quad(NamedNode(name), _SEQUENCE, Literal(number), _META)
                for name, number in numbers.items()
            ]
            try:
                for name in latest:
                    self._forget(name)
                self._store.extend(quads)  # one transaction: a crash leaves all of it or nothing
                self._order |= numbers
                self._next += len(numbers)
                return self._make_room()
            except OSError as e:
                raise ArchiveError(f"{self._path}: {' '.join(str(e).split())}") from e

    def get(self, name: str) -> Record | None:
        """The record with this id.

        Raises: FragmentError if what is stored is no longer valid under today's ontology.
        """
        with self._lock:
            if name not in self._order:
                return None
            quads = self._about(NamedNode(name))
        triples = (Triple(q.subject, q.predicate, q.object) for q in quads)
        text = serialize(triples, format=RdfFormat.TURTLE) or b""
        return next(iter(decode(text.decode("utf-8"))), None)

    def set_ontology(self, ntriples: bytes, version: str) -> None:
        """Put another ontology (with its rules) in the place of the one that is stored.

        Raises: ArchiveError.
        """
        quads = [
            Quad(t.subject, t.predicate, t.object, _ONTOLOGY)
            for t in parse(ntriples, format=RdfFormat.N_TRIPLES)
        ]
        with self._lock:
            try:
                self._store.clear_graph(_ONTOLOGY)
                self._store.extend(quads)
                self._set_note(_VERSION, version)
                self._store.flush()
            except OSError as e:
                raise ArchiveError(f"{self._path}: {' '.join(str(e).split())}") from e

    def set_clusters(self, triples: Sequence[Triple]) -> None:
        """Put other clusters and cases in the place of those that are stored.

        Raises: ArchiveError.
        """
        self.set_graph(CLUSTERS_IRI, triples)

    def set_graph(self, iri: str, triples: Sequence[Triple]) -> None:
        """Put other triples in the place of those in a named graph.

        Raises: ArchiveError.
        """
        graph = NamedNode(iri)
        wanted = {Quad(t.subject, t.predicate, t.object, graph) for t in triples}
        with self._lock:
            try:
                # A name is two of 18,000 triples: writing all of them takes ten times as long.
                stored = set(self._store.quads_for_pattern(None, None, None, graph))
                for quad in stored - wanted:
                    self._store.remove(quad)
                self._store.extend(wanted - stored)
                if len(wanted - stored) > _FLUSH_FROM:
                    self._store.flush()  # or the store would keep it all in memory for long
            except OSError as e:
                raise ArchiveError(f"{self._path}: {' '.join(str(e).split())}") from e

    def holds(self, name: str) -> bool:
        """Whether a record of this id is kept."""
        with self._lock:
            return name in self._order

    def snapshot(self, directory: Path) -> None:
        """A read-only copy for one question; hard links where the file system has them.

        ``directory`` must not exist, and be best on the archive's own file system.

        Raises: ArchiveError.
        """
        with self._lock:
            try:
                self._store.backup(directory)
            except OSError as e:
                raise ArchiveError(f"{directory}: {' '.join(str(e).split())}") from e

    def _outgrown(self, record: Archived) -> bool:
        if not isinstance(record, Alert) or record.id not in self._order:
            return False
        kept = (q.object for q in self._about(NamedNode(record.id)) if q.predicate == _COUNT)
        return any(isinstance(n, Literal) and int(n.value) > record.count for n in kept)

    def _make_room(self) -> int:
        surplus = len(self._order) - self._capacity
        for name in list(self._order)[: max(0, surplus)]:
            self._forget(name)
        if surplus > 0:
            self._removed += surplus
            self._set_note(_REMOVED, str(self._removed))
        return max(0, surplus)

    def _forget(self, name: str) -> None:
        number = self._order.pop(name, None)
        if number is None:
            return
        node = NamedNode(name)
        hosts: dict[NamedNode, None] = {}
        for quad in self._about(node):
            self._store.remove(quad)
            if isinstance(quad.object, NamedNode) and quad.object.value.startswith(HOST_PREFIX):
                hosts[quad.object] = None
        for host in hosts:
            others = self._store.quads_for_pattern(None, None, host, DefaultGraph())
            if next(iter(others), None) is None:
                for quad in self._about(host):
                    self._store.remove(quad)
        # Last: after a crash in between, the record is still known and will go for good.
        self._store.remove(Quad(node, _SEQUENCE, Literal(number), _META))

    def _about(self, node: NamedNode) -> list[Quad]:
        return list(self._store.quads_for_pattern(node, None, None, DefaultGraph()))

    def _sequences(self) -> Iterator[tuple[str, int]]:
        for quad in self._store.quads_for_pattern(None, _SEQUENCE, None, _META):
            if isinstance(quad.subject, NamedNode) and isinstance(quad.object, Literal):
                yield quad.subject.value, int(quad.object.value)

    def _note(self, predicate: NamedNode) -> str:
        for quad in self._store.quads_for_pattern(_META, predicate, None, _META):
            if isinstance(quad.object, Literal):
                return quad.object.value
        return ""

    def _set_note(self, predicate: NamedNode, value: str) -> None:
        for quad in list(self._store.quads_for_pattern(_META, predicate, None, _META)):
            self._store.remove(quad)
        self._store.add(Quad(_META, predicate, Literal(value), _META))


def _second(pair: tuple[str, int]) -> int:
    return pair[1]
