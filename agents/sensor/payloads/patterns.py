"""Patterns over strangers' bytes: Hyperscan, whose time is linear in the text whatever it says.

Python's `re` backtracks, so a pattern with two repeats that can match the same bytes takes time
that grows with a power of the text, and who sends the text chooses it. A set of patterns is one
automaton here: one pass over the text says which of them are in it. There are no back-references,
no look-around and no groups; a question that needs one is asked in Python of what was found.
"""

from __future__ import annotations

from functools import cache

import hyperscan


class PatternSet:
    """Up to 64 expressions, searched for at once. Not thread-safe: one reader, one set.

    Args:
        expressions: Perl's syntax on bytes, without case; ``\\z`` is the end of the text.
        lines: ``^`` and ``$`` are the ends of lines, not of the text.
    """

    def __init__(self, *expressions: bytes, lines: bool = False) -> None:
        self._scan = _compile(expressions, lines, True).scan
        self._scan_all = _compile(expressions, lines, False).scan
        self._scratch = hyperscan.Scratch(_compile(expressions, lines, True))
        self._scratch_all = hyperscan.Scratch(_compile(expressions, lines, False))
        self._bits = 0
        self._ends: list[int] = []
        self._most = 0

    def found(self, text: bytes) -> int:
        """Which expressions are in the text: bit n stands for the n-th."""
        self._bits = 0
        self._scan(text, match_event_handler=self._on_match, scratch=self._scratch)
        return self._bits

    def ends(self, text: bytes, most: int) -> list[int]:
        """Where matches of any of the expressions end, the first ``most`` of them.

        An expression that can end at several places behind one beginning is told each.
        """
        self._ends, self._most = [], most
        try:
            self._scan_all(text, match_event_handler=self._on_end, scratch=self._scratch_all)
        except hyperscan.ScanTerminated:
            pass
        return self._ends

    def lines(self, text: bytes, most: int) -> int:
        """In how many lines a match ends, of the first ``most`` matches."""
        return len({text.rfind(b"\n", 0, end) for end in self.ends(text, most)})

    def _on_match(self, number: int, _begin: int, _end: int, _flags: int, _context: object) -> None:
        self._bits |= 1 << number

    def _on_end(self, _number: int, _begin: int, end: int, _flags: int, _context: object) -> bool:
        self._ends.append(end)
        return len(self._ends) >= self._most


@cache
def _compile(expressions: tuple[bytes, ...], lines: bool, once: bool) -> hyperscan.Database:
    """Databases are read only, and shared by all sets of a process; what they write is scratch."""
    flags = hyperscan.HS_FLAG_CASELESS
    flags |= hyperscan.HS_FLAG_MULTILINE * lines | hyperscan.HS_FLAG_SINGLEMATCH * once
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=list(expressions),
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[flags] * len(expressions),
    )
    return database
