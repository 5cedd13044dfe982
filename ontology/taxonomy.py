"""Attack, incident and host classes as the ontology in force has them.

One table a process: the installed ``ontoidps.owl`` until another version is put in force
(`put_in_force`). Who tries out files that are not in force yet does it within `tried`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

from ontology.vocabulary import NAMESPACE

ROOTS: Final = ("Attack", "Incident", "Host")
NORMAL: Final = "Normal"
"""Class of benign traffic."""
MAX_CLASSES: Final = 2000
MAX_CHARACTERS: Final = 150_000
"""Of a table as text: it travels in one message."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
_T = TypeVar("_T")


class TaxonomyError(ValueError):
    """A table that can't be used; the message is one line."""


@dataclass(frozen=True)
class Taxonomy:
    """Local names of classes with those directly above them; of the three `ROOTS` only.

    Raises: TaxonomyError if there are too many, or a root is missing.
    """

    parents: Mapping[str, tuple[str, ...]]
    under: Mapping[str, frozenset[str]] = field(init=False, repr=False)
    """Root → everything below it, without the root."""
    _above: dict[str, tuple[str, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """What `superclasses` found."""

    def __post_init__(self) -> None:
        if len(self.parents) > MAX_CLASSES:
            raise TaxonomyError(f"{len(self.parents)} classes, at most {MAX_CLASSES}")
        for name in {*self.parents, *(p for above in self.parents.values() for p in above)}:
            if not _NAME.fullmatch(name):
                raise TaxonomyError(f"{name[:80]!r} is no name for a class")
        found: dict[str, frozenset[str]] = {}
        for root in ROOTS:
            found[root] = frozenset(n for n in self.parents if root in self.superclasses(n))
            if not found[root]:
                raise TaxonomyError(f"no class is below {root}")
        object.__setattr__(self, "under", found)

    def superclasses(self, name: str) -> tuple[str, ...]:
        """All classes above, nearest first, up to the root; () for a root."""
        known = self._above.get(name)
        if known is not None:
            return known
        found: dict[str, None] = {}
        todo = deque([name])
        while todo:
            one = todo.popleft()
            for above in () if one in ROOTS else self.parents.get(one, ()):
                if above not in found and above != name:
                    found[above] = None
                    todo.append(above)
        above_all = tuple(found)
        if name in self.parents:  # others come from outside: without end
            self._above[name] = above_all
        return above_all

    @property
    def text(self) -> str:
        """As JSON; equal tables are equal texts."""
        return json.dumps(self.parents, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_text(cls, text: str) -> Taxonomy:
        """What `text` gave. Raises: TaxonomyError."""
        if len(text) > MAX_CHARACTERS:
            raise TaxonomyError(f"a table of {len(text)} characters, at most {MAX_CHARACTERS}")
        try:
            read = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise TaxonomyError(f"not JSON: {e}") from e
        if not isinstance(read, dict) or not all(
            isinstance(above, list) and all(isinstance(name, str) for name in above)
            for above in read.values()
        ):
            raise TaxonomyError("not a table of names and lists of names")
        return cls({name: tuple(above) for name, above in read.items()})

    @classmethod
    def from_owl(cls, data: bytes) -> Taxonomy:
        """Of an ontology in RDF/XML. Raises: TaxonomyError, SyntaxError."""
        # Imported late: who only needs a table that was sent does not need it.
        from pyoxigraph import RdfFormat, parse

        return cls.from_triples(parse(data, format=RdfFormat.RDF_XML))

    @classmethod
    def from_triples(cls, triples: Iterable[Any]) -> Taxonomy:
        """Of pyoxigraph's triples or quads. Raises: TaxonomyError."""
        from pyoxigraph import NamedNode

        above: dict[str, set[str]] = {}
        for triple in triples:
            one, other = triple.subject, triple.object
            if triple.predicate.value != _SUBCLASS or not isinstance(one, NamedNode):
                continue
            if isinstance(other, NamedNode) and other.value.startswith(NAMESPACE):
                name = one.value.removeprefix(NAMESPACE)
                if name != one.value:
                    above.setdefault(name, set()).add(other.value.removeprefix(NAMESPACE))
        whole = _below_roots(above)
        return cls({name: tuple(sorted(above[name] & whole)) for name in sorted(whole & set(above))
                    if name not in ROOTS})  # fmt: skip


def _below_roots(above: Mapping[str, set[str]]) -> set[str]:
    found = set(ROOTS)
    while more := {n for n, parents in above.items() if parents & found} - found:
        found |= more
    return found


@cache
def installed() -> Taxonomy:
    """Of the file that comes with the program. Raises: TaxonomyError, SyntaxError, OSError."""
    return Taxonomy.from_owl(files("ontology").joinpath("ontoidps.owl").read_bytes())


_tried: ContextVar[Taxonomy | None] = ContextVar("tried", default=None)
_in_force: list[Taxonomy] = []


def in_force() -> Taxonomy:
    """What this process works with."""
    return _tried.get() or (_in_force[0] if _in_force else installed())


def put_in_force(taxonomy: Taxonomy | None) -> None:
    """For the whole process, from now on; None: the installed one."""
    _in_force[:] = [] if taxonomy is None else [taxonomy]


@contextlib.contextmanager
def tried(taxonomy: Taxonomy) -> Iterator[None]:
    """In force for what is done within, in this thread."""
    before = _tried.set(taxonomy)
    try:
        yield
    finally:
        _tried.reset(before)


def superclasses(name: str) -> tuple[str, ...]:
    """Local names of all superclasses within its taxonomy, nearest first; () for a root.

    ``superclasses("SynScan")`` is ``("PortScan", "Scan", "Attack")``.
    """
    return in_force().superclasses(name)


class _Under(Set[str]):
    """The classes below a root, as they are at the moment."""

    def __init__(self, root: str, *more: str) -> None:
        self._root, self._more = root, frozenset(more)

    def _now(self) -> frozenset[str]:
        under = in_force().under[self._root]
        return under | self._more if self._more else under

    def __contains__(self, name: object) -> bool:
        return name in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    @classmethod
    def _from_iterable(cls, it: Iterable[_T]) -> Any:
        return frozenset(it)


ATTACK_CLASSES: Final[Set[str]] = _Under("Attack")
"""What an alert may be classified as: everything under ``Attack``, parents included."""
INCIDENT_CLASSES: Final[Set[str]] = _Under("Incident")
HOST_CLASSES: Final[Set[str]] = _Under("Host")
"""Roles of hosts."""
TRAFFIC_CLASSES: Final[Set[str]] = _Under("Attack", NORMAL)
"""What traffic, and a cluster of it, may be labelled as."""
