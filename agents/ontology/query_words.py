"""Why a SPARQL question is not answered, in a sentence: grammar, terms that don't exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

_AT = re.compile(r"error at (\d+):(\d+): expected (.*)", re.DOTALL)
_WORDS: Final = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE", "WHERE", "PREFIX", "OPTIONAL", "FILTER")
_UPDATES: Final = ("INSERT", "DELETE", "DROP", "CLEAR", "LOAD", "CREATE", "COPY", "MOVE", "ADD")
_NAME = re.compile(r"([A-Za-z][\w-]*)?:([A-Za-z_]\w*)?")
# Strings, comments and IRIs hold no names (IRIs of ours do, and are looked at before).
_NO_NAMES = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
                       r"|<[^<>\s]*>|#[^\n]*", re.DOTALL)  # fmt: skip
_DECLARED = re.compile(r"PREFIX\s+([A-Za-z][\w-]*)?:\s*<([^>]*)>", re.IGNORECASE)
_TOLD = 40


def syntax(sparql: str, message: str, prefixes: Mapping[str, str]) -> str:
    """A sentence of pyoxigraph's message: where it stopped reading, and what is wrong there."""
    found = _AT.search(message)
    if found is None:
        return " ".join(message.split())[:300]
    line, column, expected = int(found[1]), int(found[2]), found[3]
    lines = sparql.splitlines() or [""]
    text = lines[min(line, len(lines)) - 1]
    first = sparql.split(None, 1)[0].upper() if sparql.strip() else ""
    if not first:
        return "the question is empty"
    if line == 1 and first in _UPDATES:
        return f"{first} would change the archive; it answers SELECT, ASK, CONSTRUCT and DESCRIBE"
    if line == 1 and first.isalpha() and first not in (*_WORDS, "BASE"):
        return (
            f"a question begins with SELECT, ASK, CONSTRUCT or DESCRIBE, not {first[:_TOLD]!r}"
            + (_meant(first, _WORDS))
        )
    known = {**prefixes, **{name or "": iri for name, iri in _DECLARED.findall(sparql)}}
    if "Prefix not found" in expected:
        for name in _NAME.finditer(text[: column + _TOLD]):
            if (name[1] or "") not in known:
                return (
                    f"line {line}: the prefix {name[1] or ''}: is not declared; known without "
                    f"PREFIX: {', '.join(sorted(prefixes))}{_meant(name[1] or '', known)}"
                )
    if "variable that is unbound" in expected:
        return (
            "SELECT names a variable that has no value there: with COUNT and the like, the other "
            "variables belong into GROUP BY"
        )
    plain = _NO_NAMES.sub(" ", sparql)
    for opens, closes in ("{}", "()", "[]"):
        lacking = plain.count(opens) - plain.count(closes)
        if lacking:
            return f"{abs(lacking)} {closes} too {'few' if lacking > 0 else 'many'}"
    rest = text[column - 1 :].strip()
    at = f"before {rest[:_TOLD]!r}" if rest else "at its end"
    wanted = sorted(set(re.findall(r'"([^"\\]+)"|\b([A-Z]{3,})\b', expected)))
    names = [one or other for one, other in wanted]
    some = f"; {' or '.join(names[:6])} can stand there" if 0 < len(names) <= 12 else ""
    return f"line {line}, column {column}: the question can't be read {at}{some}"


def unknown_terms(
    sparql: str,
    namespace: str,
    prefixes: Mapping[str, str],
    known: Callable[[str], bool],
    all_names: Callable[[], Iterable[str]],
) -> str:
    """A sentence if the question names a term of a namespace that there is none of; or nothing.

    Args:
        known: does anything stored name this IRI?
        all_names: local names of all terms, for what may be meant.
    """
    declared = {name or "": iri for name, iri in _DECLARED.findall(sparql)}
    ours = {name for name, iri in {**prefixes, **declared}.items() if iri == namespace}
    plain = _NO_NAMES.sub(" ", sparql)
    names = [n[2] for n in _NAME.finditer(plain) if (n[1] or "") in ours and n[2]]
    names += re.findall(f"<{re.escape(namespace)}([A-Za-z_]\\w*)>", sparql)
    for name in dict.fromkeys(names):
        if not known(namespace + name):
            return f"idps:{name[:80]} is no term of the ontology{_meant(name, all_names())}"
    return ""


def _meant(name: str, known: Iterable[str]) -> str:
    names = {one.casefold(): one for one in known if one}
    near = get_close_matches(name.casefold(), names, 1, 0.6)
    return f": did you mean {names[near[0]]}?" if near else ""
