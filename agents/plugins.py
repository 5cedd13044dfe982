"""Plug-ins by name: entry points of ``ontoidps.inputs``, ``.detectors`` and ``.responders``.

Ours stand there beside other packages' (docs/plugins.md). A plug-in is code that the honeynet's
owner installed and named in honeynet.toml: it is trusted not to be hostile, but not to be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from typing import Any

INPUTS, DETECTORS, RESPONDERS = "ontoidps.inputs", "ontoidps.detectors", "ontoidps.responders"
_WORDS = {INPUTS: "input", DETECTORS: "detector", RESPONDERS: "responder"}


class PluginError(ValueError):
    """A plug-in can't be used; the message is one line."""


def known(group: str) -> tuple[str, ...]:
    """Names of all that is installed, sorted."""
    return tuple(sorted(entry_points(group=group).names))


def check_known(group: str, names: Iterable[str]) -> None:
    """Raises: PluginError if one is not installed, or named twice."""
    installed = known(group)
    word, seen = _WORDS[group], set()
    for name in names:
        if name not in installed:
            raise PluginError(
                f"no {word} is called {name!r} (known: {', '.join(installed) or 'none'})"
            )
        if name in seen:
            raise PluginError(f"{word} {name!r} is named twice")
        seen.add(name)


def load(group: str, name: str) -> Callable[..., Any]:
    """What the entry point names: a class or function that makes the thing.

    Raises: PluginError if there is none, there are several, or importing it fails in any way.
    """
    check_known(group, [name])
    word = _WORDS[group]
    found = {entry.value: entry for entry in entry_points(group=group) if entry.name == name}
    if len(found) > 1:
        raise PluginError(f"several packages bring {word} {name!r}: {', '.join(sorted(found))}")
    try:
        make: Callable[..., Any] = next(iter(found.values())).load()
    except (Exception, SystemExit) as e:
        raise PluginError(f"{word} {name!r} can't be loaded: {type(e).__name__}: {e}") from e
    if not callable(make):
        raise PluginError(f"{word} {name!r} is no class or function")
    return make
