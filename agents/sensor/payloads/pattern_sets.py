"""Patterns over strangers' bytes: RE2, whose time is linear in the text whatever it says.

Python's `re` backtracks, so a pattern with two repeats that can match the same bytes takes time
that grows with a power of the text, and who sends the text chooses it. A set is one automaton here:
one pass over a text says which of its patterns are in it. There are no back-references and no
look-around; a question that needs one is asked in Python of what was found.

Repeats are written without an upper bound where it isn't what is meant: each count is a state of
its own, and an automaton with many states is built anew for each text that its sender varies.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import re2

_MEMORY = 2 << 20
"""Bytes of states kept for one set."""


class PatternSet:
    """Expressions that are searched for at once, without case.

    Args:
        expressions: RE2's syntax on bytes.
        lines: ``^`` and ``$`` are the ends of lines, not of the text.
    """

    def __init__(self, *expressions: bytes, lines: bool = False) -> None:
        self._match = _compiled(expressions, lines).Match

    def which(self, text: bytes) -> Sequence[int]:
        """The numbers of the expressions that are in the text, in any order."""
        return self._match(text) or ()

    def found(self, text: bytes) -> int:
        """The same as bits."""
        bits = 0
        for number in self._match(text) or ():
            bits |= 1 << number
        return bits


@cache
def _compiled(expressions: tuple[bytes, ...], lines: bool) -> re2.Set:
    """Sets are shared by all readers of a process, also in several threads, and so is what RE2 has
    built of them so far."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MEMORY
    patterns = re2.Set.SearchSet(options)
    for expression in expressions:
        patterns.Add((b"(?m)" if lines else b"") + expression)
    patterns.Compile()
    return patterns
