"""Where in a TOML file a value stands, and what a parser's complaint means to who wrote the file.

``tomllib`` gives values without places. `find_lines` goes over a text that it has parsed, so it may
trust the syntax (TOML 1.0) and only counts lines. No package on PyPI gives places of values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from tomllib import TOMLDecodeError, loads

Place = tuple[str | int, ...]
"""Keys and positions in lists, from 0: ``("node", 1, "addresses", 0)``."""

_STRINGS = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WORD = re.compile(r"[^\s,\]}#]+(?:[ ]\d\d:[^\s,\]}#]+)?")
"""Numbers, booleans, times; a date and a time may have a blank between them."""
_WHERE = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")
_TABLES = ("node", "honeypot")
"""Tables of which there may be several."""


def find_lines(text: str) -> Mapping[Place, int]:
    """Line, from 1, of each table, key and list item. ``text`` must be TOML."""
    return _Finder(text).lines


class _Finder:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self.lines: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}
        table: Place = ()
        self._skip()
        while self._at < len(text):
            if text.startswith("[[", self._at):
                self._at += 2
                table = self._header("]]", several=True)
            elif text[self._at] == "[":
                self._at += 1
                table = self._header("]", several=False)
            else:
                self._pair(table)
            self._skip()

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _header(self, end: str, *, several: bool) -> Place:
        line, place = self._here(), self._key(())
        self._at += len(end)
        if several:
            number = self._counts.get(place, -1) + 1
            self._counts[place] = number
            place = (*place, number)
        self.lines[place] = line
        return place

    def _key(self, table: Place) -> Place:
        """A dotted key; of a list of tables it means the last one."""
        while True:
            self._skip()
            string = _STRINGS.match(self._text, self._at)
            bare = _KEY.match(self._text, self._at)
            if string is not None:
                name = next(iter(loads(f"{string[0]}=0")))
                self._at = string.end()
            elif bare is not None:
                name, self._at = bare[0], bare.end()
            else:
                raise ValueError("not TOML")
            if table in self._counts:
                table = (*table, self._counts[table])
            table = (*table, name)
            self._skip()
            if not self._text.startswith(".", self._at):
                return table
            self._at += 1

    def _pair(self, table: Place) -> None:
        line, place = self._here(), self._key(table)
        for depth in range(len(table) + 1, len(place) + 1):
            self.lines.setdefault(place[:depth], line)
        self._at += 1  # the equals sign
        self._value(place)

    def _value(self, place: Place) -> None:
        self._skip()
        self.lines.setdefault(place, self._here())
        mark = self._text[self._at]
        if mark not in "[{":
            found = _STRINGS.match(self._text, self._at) or _WORD.match(self._text, self._at)
            if found is None:
                raise ValueError("not TOML")
            self._at = found.end()
            return
        self._at += 1
        number = 0
        while True:
            self._skip()
            mark_here = self._text[self._at]
            if mark_here in "]}":
                self._at += 1
                return
            if mark_here == ",":
                self._at += 1
            elif mark == "{":
                self._pair(place)
            else:
                self._value((*place, number))
                number += 1


def explain(error: TOMLDecodeError, text: str) -> tuple[int, str]:
    """(line, from 1, what to do) of a text that is not TOML."""
    said = str(error)
    where = _WHERE.search(said)
    reason = said[: where.start()] if where else said
    lines = text.split("\n")
    number = int(where[1]) if where and where[1] else len(lines)
    column = int(where[2]) if where and where[2] else 0
    if column == 0:  # the end of the document: the last line with something in it
        while number > 1 and not lines[number - 1].strip():
            number -= 1
    line = lines[number - 1] if number <= len(lines) else ""
    return _meaning(reason, line.strip(), number, column, text)


def _meaning(reason: str, line: str, number: int, column: int, text: str) -> tuple[int, str]:
    shown = repr(line[:60])
    header = re.match(r"\[+\s*([^\]\s]*)\s*\]*", line)
    name = header[1] if header else ""
    if text.startswith("\ufeff"):
        return 1, "begins with a byte-order mark: save it as UTF-8 without one"
    if header and name in _TABLES and not line.startswith("[["):
        return number, f"[{name}] wants two brackets: [[{name}]]"
    if reason.startswith("Unterminated string") or (
        reason.startswith(("Expected", "Unclosed")) and _open_quotes(text)
    ):
        return _open_quotes(text) or number, "a text that begins here has no end: three quotes miss"
    if reason.startswith(('Expected "\'"', "Expected '\"'")):
        return number, f"a quote is missing: {shown}"
    if reason.startswith("Illegal character"):
        quotes = sum(line.split("#")[0].count(mark) for mark in "\"'")
        if "'\\n'" in reason or quotes % 2:
            return number, f"a quote is missing: {shown}"
        return number, f"a character is not allowed there (at column {column}): {shown}"
    if reason.startswith("Cannot declare"):
        return number, f"table {shown} is there twice"
    if reason.startswith("Cannot overwrite") and line.startswith("[["):
        single = re.search(rf"^[ \t]*\[[ \t]*{re.escape(name)}[ \t]*\]", text, re.MULTILINE)
        number = text.count("\n", 0, single.start()) + 1 if single else number
        return number, f"[{name}] wants two brackets: [[{name}]]"
    if reason.startswith("Cannot overwrite"):
        # The parser is behind the value already: the key is the last before it.
        number, line = _last_key(text, number, column)
        return number, f"key {line.split('=')[0].strip()!r} is there twice"
    if reason.startswith(("Cannot mutate", "Cannot replace")):
        return number, f"what {shown} adds to was given whole before"
    if reason.startswith(("Unclosed array", "Unclosed inline")):
        return number, f"a closing bracket is missing: {shown}"
    if reason.startswith("Expected '=' after a key"):
        return number, f"neither KEY = VALUE nor [TABLE]: {shown}"
    if reason.startswith(("Expected ']'", "Expected ']]'")):
        return number, f"a closing bracket is missing: {shown}"
    if reason.startswith("Duplicate inline"):
        return number, f"a key is there twice: {shown}"
    if reason.startswith("Invalid value") and column == 1:
        return number, f"a list that began before this line has no closing bracket: {shown}"
    if reason.startswith("Invalid value"):
        return number, f"not a value: texts want quotes, lists brackets: {shown}"
    if reason.startswith("Expected newline"):
        return number, f"more than one value in a line (is a quote or bracket missing?): {shown}"
    if reason.startswith(("Unescaped", "Invalid hex")):
        return number, f"a backslash in double quotes means more; use single quotes: {shown}"
    return number, f"not understood at column {column}: {shown}"


def _last_key(text: str, number: int, column: int) -> tuple[int, str]:
    lines = text.split("\n")[:number]
    lines[-1] = lines[-1][: max(column - 1, 0)]
    while len(lines) > 1 and "=" not in lines[-1]:
        lines.pop()
    return len(lines), lines[-1]


def _open_quotes(text: str) -> int:
    """Line of three quotes that nothing closes; 0 if there are none."""
    at = 0
    while (found := re.compile(r'#[^\n]*|"""|\'\'\'|"|\'').search(text, at)) is not None:
        if found[0].startswith("#"):
            at = found.end()
            continue
        whole = _STRINGS.match(text, found.start())
        if whole is None or (len(found[0]) == 3 and len(whole[0]) == 2):
            return text.count("\n", 0, found.start()) + 1 if len(found[0]) == 3 else 0
        at = whole.end()
    return 0
