"""A copy of a record with other values, for where the values are known to be good.

`dataclasses.replace` calls the constructor, which checks all fields anew: with 50,000 alerts that
are read back at a start that is most of the work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

R = TypeVar("R")

_Member = tuple[str, Callable[[Any], Any], Callable[[Any, Any], None]]


@cache
def _members(kind: type) -> tuple[_Member, ...]:
    slots = (getattr(kind, name) for name in kind.__slots__)  # type: ignore[attr-defined]
    return tuple((slot.__name__, slot.__get__, slot.__set__) for slot in slots)


def unchecked_copy(record: R, **values: object) -> R:
    """The record (of a dataclass with slots) with these fields changed; nothing is checked.

    Raises: AttributeError if it has no such field.
    """
    kind: type = type(record)
    copy: R = object.__new__(kind)
    for name, read, write in _members(kind):
        write(copy, values.pop(name) if name in values else read(record))
    if values:
        raise AttributeError(f"{kind.__name__} has no field {next(iter(values))!r}")
    return copy
