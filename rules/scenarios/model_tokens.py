"""The words of attack models in text: tokens with their lines, and names as they are quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|#[^\n]*)|(?P<line>\n)|(?P<word>[A-Za-z][A-Za-z0-9_.-]*)"
    r'|(?P<text>"(?:[^"\\\n]|\\[^\n])*")|(?P<constant>\'(?:[^\'\\\n]|\\[^\n])*\')|(?P<sign>[(),:=])'
)
_NOT_OF_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What no XML 1.0 file can hold (section 2.2 of it), and so no ``attacks.owl``."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the text."""

    kind: str
    """``word``, ``text``, ``constant``, ``sign`` or ``end``."""
    value: str
    line: int
    first: bool
    """It begins a line."""

    def is_sign(self, sign: str) -> bool:
        """A name in quotes may look like one."""
        return self.kind == "sign" and self.value == sign


@dataclass(slots=True)
class Slip(Exception):
    """What is wrong in a line."""

    line: int
    reason: str


def bare_or_quoted(text: str) -> str:
    """A name as it is written."""
    return text if _WORD.fullmatch(text) and text not in ("not", "knows") else quoted(text)


def quoted(text: str) -> str:
    """In double quotes, with JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def unquoted(kind: str, value: str) -> str:
    """What a token stands for. Raises: ValueError"""
    if kind == "text":
        return str(json.loads(value))
    if kind == "constant":
        inner = value[1:-1].replace("\\'", "'").replace('"', '\\"')
        return str(json.loads(f'"{inner}"'))
    return value


def scan(text: str, slips: list[Slip]) -> Iterator[Token]:
    """The tokens, with one of kind ``end`` behind them; what is none is added to ``slips``."""
    line, first, at = 1, True, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            slips.append(Slip(line, f"{text[at : at + 20].splitlines()[0]!r}: no word"))
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
            continue
        at, kind, value = match.end(), match.lastgroup or "", match[0]
        if kind == "line":
            line, first = line + 1, True
        elif kind == "blank":
            first = first and value.startswith("#")
        else:
            try:
                said = unquoted(kind, value)
            except ValueError:
                slips.append(Slip(line, f"{value[:40]}: unknown escape"))
            else:
                if strange := _NOT_OF_XML.search(said):
                    code = f"U+{ord(strange[0]):04X}"
                    slips.append(Slip(line, f"{value[:40]}: no OWL file can hold {code}"))
                yield Token(kind, said, line, first)
            first = False
    yield Token("end", "", line, True)
