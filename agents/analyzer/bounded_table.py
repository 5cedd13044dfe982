"""Bounded memory for detectors: strangers choose the keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, KeysView
from typing import Any, Generic, TypeVar

CONTENTS = 400_000
"""Items that all entries of one table hold together, about 100 bytes each."""
ENTRY = 16
"""What an entry weighs that holds nothing yet, in items: its key, its finding, empty sets."""

PROVEN = 0.75
"""Share of the room that entries have which could not be forged."""

Value = TypeVar("Value")


class Table(Generic[Value]):
    """A dictionary that forgets the least recently used, counted, when it grows too large.

    Bounded in entries and in what they hold together (ports, addresses, times): each entry's cap
    alone would let a patient attacker fill every entry to its cap. Entries of sources that proved
    something (`prove`) have three quarters of the room, from which no others push them out.
    """

    def __init__(
        self,
        make: Callable[[], Value],
        maximum: int,
        contents: int = CONTENTS,
        *,
        entry: int = ENTRY,
        shed: Callable[[Value], int] | None = None,
    ) -> None:
        """``maximum`` entries with ``contents`` items, each entry counted as ``entry`` more.

        ``shed`` takes from an entry what it can do without and returns the items left: tried on
        all of them before one is forgotten for its contents. It must leave less than half of
        ``contents`` to ``maximum`` entries, or is called all the time.
        """
        self._make = make
        self._maximum = maximum
        self._contents = contents
        self._entry = entry
        self._shed = shed
        self._entries: dict[Any, Value] = {}
        # Keys, the least recently used first: of entries that proved nothing, and of the others.
        self._plain: OrderedDict[Any, None] = OrderedDict()
        self._proven: OrderedDict[Any, None] = OrderedDict()
        self._weights: dict[Any, int] = {}
        self._total = self._proven_total = 0
        self.evicted = 0
        self.lightened = 0
        """How often all entries had to shed."""

    def get(self, key: Any) -> Value:
        """The entry of ``key``, made if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._make()
            self.put(key, entry)
        else:
            self._order(key).move_to_end(key)
        return entry

    def put(self, key: Any, value: Value) -> None:
        """Take in an entry that was made elsewhere."""
        self.drop(key)
        self._entries[key] = value
        self._plain[key] = None
        if len(self._entries) > self._maximum:
            self._evict()
        self.weigh(key, 0)

    def prove(self, key: Any) -> None:
        """What the entry of ``key`` tells of could not be forged."""
        if key in self._plain:
            del self._plain[key]
            self._proven[key] = None
            self._proven_total += self._weights[key]

    def weigh(self, key: Any, weight: int) -> None:
        """Note how many items the entry of ``key`` holds now."""
        self._set(key, weight)
        if self._total > self._contents and self._shed is not None:
            self.lightened += 1
            for each, value in self._entries.items():
                self._set(each, self._shed(value))
        while self._total > self._contents and len(self._entries) > 1:
            self._evict()

    def drop(self, key: Any) -> None:
        """Forget ``key``."""
        if key not in self._entries:
            return
        weight = self._weights.pop(key, 0)
        self._total -= weight
        if key in self._proven:
            self._proven_total -= weight
        del self._entries[key], self._order(key)[key]

    def _order(self, key: Any) -> OrderedDict[Any, None]:
        return self._proven if key in self._proven else self._plain

    def _set(self, key: Any, weight: int) -> None:
        weight += self._entry
        more = weight - self._weights.get(key, 0)
        self._total += more
        if key in self._proven:
            self._proven_total += more
        self._weights[key] = weight

    def _evict(self) -> None:
        most, heaviest = self._maximum * PROVEN, self._contents * PROVEN
        beyond = len(self._proven) > most or self._proven_total > heaviest
        order = self._proven if beyond or not self._plain else self._plain
        self.drop(next(iter(order)))
        self.evicted += 1

    def keys(self) -> KeysView[Any]:
        """A live view, quicker to ask than the table for many keys."""
        return self._entries.keys()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Any) -> bool:
        return key in self._entries
