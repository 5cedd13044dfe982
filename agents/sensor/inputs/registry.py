"""Parsers by name: every entry point of the group ``ontoidps.inputs``, ours and other packages'."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from agents.sensor.inputs.events import Options, Parser

GROUP = "ontoidps.inputs"


class InputError(ValueError):
    """An input can't be used; the message is one line."""


def known_inputs() -> tuple[str, ...]:
    """Names of all installed kinds of log, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


def make_parser(kind: str, options: Options) -> Parser:
    """Raises: InputError if there is no such kind, or its plug-in can't be loaded."""
    found = [entry for entry in entry_points(group=GROUP) if entry.name == kind]
    if not found:
        known = ", ".join(known_inputs()) or "none"
        raise InputError(f"no input is called {kind!r} (known: {known})")
    if len({entry.value for entry in found}) > 1:
        raise InputError(f"several packages bring an input {kind!r}: choose one")
    try:
        make: Callable[[Options], Parser] = found[0].load()
    except (ImportError, AttributeError) as e:
        raise InputError(f"input {kind!r} can't be loaded: {e}") from e
    return make(options)
