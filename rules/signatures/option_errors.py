"""The error of an option that is not carried out, and how its words are shown."""

from __future__ import annotations


class OptionError(ValueError):
    """An option that is not carried out; the message is its name and, in brackets, why."""


def printable(raw: str) -> str:
    """Latin-1 back to the UTF-8 that it mostly was; control characters become spaces."""
    text = raw.encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)
