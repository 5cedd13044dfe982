"""Ranges that fields of records have, checked where a record is made."""

from __future__ import annotations

MAX_TIME_US = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z, the last instant that xsd:dateTime and Python both write."""


def check_time(name: str, value: int) -> None:
    """Raises: ValueError if a field is no instant in microseconds since the Unix epoch."""
    if not 0 <= value <= MAX_TIME_US:
        raise ValueError(f"{name} must lie in [0, {MAX_TIME_US}] microseconds, got {value}")


def check_member(name: str, value: str, members: tuple[str, ...]) -> None:
    """Raises: ValueError if a field is none of the words that it may be."""
    if value not in members:
        raise ValueError(f"{name} must be one of {', '.join(members)}, got {value!r}")
