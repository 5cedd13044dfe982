"""What was reported and decided, kept as RDF on disk: bounded, replaceable record by record.

Records and the hosts they name are in the default graph, as the triples that they travel in (a
named graph each would double the indices, and the time). The ontology in force is a named graph, so
that a question can ask for all kinds of `Scan`, and so are the clusters with their cases, asserted
facts and the descriptions of ontologies. Who asks sees the union of all graphs.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from traceback import clear_frames
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

from agents.base.disk_faults import Faults, NotNow, Untold
from agents.ontology.archive_folder import damage_name, fault_in, folder_bytes, open_folder
from agents.ontology.archive_shares import Shares
from ontology.clusters_file import CLUSTERS_IRI
from ontology.fragments import decode, to_triples
from ontology.records import Alert, Block, Decision, HostEvent, Incident, ObservedData, Record
from ontology.vocabulary import HOST_PREFIX, IDPS, ONTOLOGY_IRI

Archived = Alert | Incident | Decision | Block | HostEvent | ObservedData
"""The kinds of record that are kept."""

CAPACITY: Final = 50_000
"""Records kept by default."""
SIZE_BYTES: Final = 512 << 20
"""Of the folder. A record takes 3 kB once it is compacted, and 9 kB more before that."""
COMPACT_AFTER: Final = 5_000
"""Records written or removed until the store is compacted: what is removed is only marked as such
before, and the log of what was written grows."""
_LOOK_AGAIN_S: Final = 5.0
_TOLD_S: Final = 3600.0
"""So long a damaged folder that was set aside is shown."""
STORE_ERRORS: Final = (OSError, RuntimeError)
"""What the store raises; the second for damage."""

_ARCHIVE = "urn:ontoidps:archive"
_META = NamedNode(_ARCHIVE)
_SEQUENCE = NamedNode(_ARCHIVE + ":sequence")
_REMOVED = NamedNode(_ARCHIVE + ":removed")
_VERSION = NamedNode(_ARCHIVE + ":ontologyVersion")
_ONTOLOGY = NamedNode(ONTOLOGY_IRI)
_COUNT = NamedNode(IDPS.count)
_FLUSH_FROM = 1_000
"""Triples written at once, from which on the store is made to put them on disk."""


class ArchiveError(NotNow):
    """The archive can't be written just now; the message is one line with the path."""


class Archive:
    """Records by id, newest kept. Safe for use by several threads; one process at a time.

    A damaged folder is set aside. While the disk is full or read-only records are refused, so that
    their senders keep them; ontology, clusters and facts are known from memory then. `look` goes on
    with the disk when that works again.

    Args:
        path: Folder of the store; made if absent.
        capacity: Beyond so many records the oldest are removed, and counted in `removed`.
        size_bytes: Of the folder; a tenth of the records goes when that does not suffice.
        faults: Told of what is wrong with the disk, and when it is over.

    Raises:
        ArchiveError: another process has it open.
    """

    def __init__(
        self,
        path: Path,
        *,
        capacity: int = CAPACITY,
        size_bytes: int = SIZE_BYTES,
        faults: Faults | None = None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._path = path
        self._capacity = capacity
        self._size_bytes = size_bytes
        self._faults = Untold() if faults is None else faults
        self._lock = threading.Lock()
        self._failed = ""
        """Why the disk can't be used; empty as long as it can."""
        self._closed = False
        self._again_s = 0.0
        self._told_until_s = time.monotonic() + _TOLD_S
        self._changed = 0
        """Records written or removed since the store was compacted."""
        self._store = self._open()
        self._learn()

    def _open(self) -> Store:
        """The folder; in memory if that can't be written to."""
        try:
            return open_folder(self._path, self._faults)
        except OSError as e:
            if "lock" in str(e).lower():
                raise ArchiveError(f"{self._path}: {_line(e)}") from e
            self._fail(e)
            return Store()

    def _learn(self) -> None:
        # Id to sequence number, oldest first.
        self._order: OrderedDict[str, int] = OrderedDict(sorted(self._sequences(), key=_second))
        self._shares = Shares(self._order, self._store)
        self._next = next(reversed(self._order.values()), 0) + 1
        self._removed = int(self._note(_REMOVED) or 0)
        self._make_room()

    def _fail(self, error: Exception) -> None:
        self._failed = _line(error)
        self._again_s = time.monotonic() + _LOOK_AGAIN_S
        reason = f"{self._path}: {fault_in(error)}; nothing is archived, senders keep their records"
        self._faults.fault(str(self._path), reason)

    def _error(self, error: Exception) -> ArchiveError:
        self._fail(error)
        clear_frames(error.__traceback__)
        return ArchiveError(f"{self._path}: {_line(error)}")

    def look(self) -> None:
        """Call it every few seconds, from a thread: goes on with the disk when that works again,
        and keeps the folder within its size."""
        with self._lock:
            if self._closed:
                return
            if not self._failed:
                if time.monotonic() >= self._told_until_s:
                    self._faults.clear(damage_name(self._path))
                if self._changed and folder_bytes(self._path) > self._size_bytes:
                    self._compact()
                return
            if time.monotonic() < self._again_s:
                return
            known = [
                quad
                for graph in self._store.named_graphs()
                if graph != _META
                for quad in self._store.quads_for_pattern(None, None, None, graph)
            ]
            version = self._note(_VERSION)
            # What failed once refuses every write until it is opened anew. An iterator that the
            # traceback of an old error still holds would keep the folder locked.
            self._store = Store()
            gc.collect()
            try:
                fresh = open_folder(self._path, self._faults)
            except OSError as e:
                self._store.extend(known)
                self._set_note(_VERSION, version)
                self._fail(e)
                return
            self._store = fresh
            try:
                self._store.extend(known)
                self._set_note(_VERSION, version)
                self._store.flush()
            except STORE_ERRORS as e:
                self._fail(e)
                return
            self._failed = ""
            self._learn()
            self._faults.clear(str(self._path))

    def _compact(self) -> None:
        """Write what is left of the records anew; fewer, should they still take too much."""
        self._changed = 0
        try:
            self._store.flush()
            self._store.optimize()
            if folder_bytes(self._path) > self._size_bytes:
                tenth = max(1, len(self._order) // 10)
                self._drop(islice(self._order, tenth))
                self._changed = tenth
        except STORE_ERRORS as e:
            self._fail(e)

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
            if not self._closed:
                self._closed = True
                if not self._failed:
                    self._store.flush()
                del self._store

    def add(self, records: Sequence[Archived]) -> int:
        """Keep the records, each in place of the one with its id; returns how many old ones went.

        An alert that grew is never replaced by its earlier self, which may come late.

        Raises: ArchiveError, FragmentError.
        """
        latest = {record.id: record for record in records}
        with self._lock:
            if self._failed:
                raise ArchiveError(f"{self._path}: {self._failed}")
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
                for name, record in latest.items():
                    self._shares.add(name, record)
                self._next += len(numbers)
                removed = self._make_room()
                self._changed += len(numbers) + removed
                if self._changed >= COMPACT_AFTER:
                    self._compact()
                return removed
            except STORE_ERRORS as e:
                raise self._error(e) from e

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
        """Put another ontology (with its rules) in the place of the one that is stored."""
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
            except STORE_ERRORS as e:
                self._fail(e)

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
            except STORE_ERRORS as e:
                self._fail(e)

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
            except STORE_ERRORS as e:
                raise ArchiveError(f"{directory}: {_line(e)}") from e

    def _outgrown(self, record: Archived) -> bool:
        if not isinstance(record, Alert) or record.id not in self._order:
            return False
        kept = (q.object for q in self._about(NamedNode(record.id)) if q.predicate == _COUNT)
        return any(isinstance(n, Literal) and int(n.value) > record.count for n in kept)

    def _make_room(self) -> int:
        before = self._removed
        self._drop(self._shares.surplus(self._capacity))
        self._drop(islice(self._order, max(0, len(self._order) - self._capacity)))
        return self._removed - before

    def _drop(self, names: Iterator[str]) -> None:
        dropped = list(names)
        for name in dropped:
            self._forget(name)
        if dropped:
            self._removed += len(dropped)
            self._set_note(_REMOVED, str(self._removed))

    def _forget(self, name: str) -> None:
        number = self._order.pop(name, None)
        self._shares.forget(name)
        if number is None:
            return
        node = NamedNode(name)
        hosts: dict[NamedNode, None] = {}
        for quad in self._about(node):
            self._store.remove(quad)
            if isinstance(quad.object, NamedNode) and quad.object.value.startswith(HOST_PREFIX):
                hosts[quad.object] = None
        for host in hosts:
            if not self._is_mentioned(host):
                for quad in self._about(host):
                    self._store.remove(quad)
        # Last: after a crash in between, the record is still known and will go for good.
        self._store.remove(Quad(node, _SEQUENCE, Literal(number), _META))

    def _is_mentioned(self, host: NamedNode) -> bool:
        others = self._store.quads_for_pattern(None, None, host, DefaultGraph())
        return next(iter(others), None) is not None

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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _second(pair: tuple[str, int]) -> int:
    return pair[1]
