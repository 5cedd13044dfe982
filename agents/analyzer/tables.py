"""Bounded memory for detectors: strangers choose the keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

CONTENTS = 500_000
"""Items that all entries of one table hold together, about 100 bytes each."""

Value = TypeVar("Value")


class Table(Generic[Value]):
    """A dictionary that forgets the least recently used, counted, when it grows too large.

    Bounded in entries and in what they hold together (ports, addresses, times): each entry's cap
    alone would let a patient attacker fill every entry to its cap.
    """

    def __init__(self, make: Callable[[], Value], maximum: int, contents: int = CONTENTS) -> None:
        self._make = make
        self._maximum = maximum
        self._contents = contents
        self._entries: OrderedDict[Any, Value] = OrderedDict()
        self._weights: dict[Any, int] = {}
        self._total = 0
        self.evicted = 0

    def get(self, key: Any) -> Value:
        """The entry of ``key``, made if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._make()
            if len(self._entries) > self._maximum:
                self._evict()
        else:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: Any, value: Value) -> None:
        """Take in an entry that was made elsewhere."""
        self.drop(key)
        self._entries[key] = value
        if len(self._entries) > self._maximum:
            self._evict()

    def weigh(self, key: Any, weight: int) -> None:
        """Note how many items the entry of ``key`` holds now."""
        self._total += weight - self._weights.get(key, 0)
        self._weights[key] = weight
        while self._total > self._contents and len(self._entries) > 1:
            self._evict()

    def drop(self, key: Any) -> None:
        """Forget ``key``."""
        self._entries.pop(key, None)
        self._total -= self._weights.pop(key, 0)

    def _evict(self) -> None:
        self.drop(next(iter(self._entries)))
        self.evicted += 1

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Any) -> bool:
        return key in self._entries
