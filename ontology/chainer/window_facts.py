"""N-Triples of a window, read once: facts for the chainer, each with its line for Pellet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pyoxigraph import RdfFormat, parse

from ontology.chainer.builtins import literal
from ontology.chainer.rulebook import Term, term

# A part of what an IRI may hold: whatever else there is goes through the whole grammar.
_IRI = r"<([A-Za-z][A-Za-z0-9+.-]*:[!$&-;=?-Z_a-z~]*(?:#[!$&-;=?-Z_a-z~]*)?)>"
_LINE = re.compile(
    rf'^{_IRI} {_IRI} (?:{_IRI}|"([^"\\\r\n]*)"\^\^{_IRI}) \.$', re.MULTILINE | re.ASCII
)


class Row(NamedTuple):
    """One fact."""

    subject: str
    predicate: str
    """IRI."""
    value: Term
    line: bytes


class IllTyped(ValueError):
    """A literal that its datatype does not have; the message names the property."""


def read_rows(ntriples: bytes) -> list[Row]:
    """The facts of a window.

    Raises: SyntaxError if the bytes are not N-Triples, IllTyped.
    """
    lines = [line for line in ntriples.split(b"\n") if line]
    # As `build_window` writes them: one pass of the regular expression engine reads them all.
    found = _LINE.findall(ntriples.decode("utf-8", "replace"))
    if len(found) != len(lines):
        return list(_rows(ntriples))
    rows = []
    for (subject, predicate, value, text, datatype), line in zip(found, lines, strict=True):
        rows.append(Row(subject, predicate, value or _literal(predicate, text, datatype), line))
    return rows


def _literal(predicate: str, text: str, datatype: str) -> Term:
    try:
        return literal(text, datatype)
    except ValueError as e:
        raise IllTyped(f"{predicate}: {e}") from e


def _rows(ntriples: bytes) -> Iterator[Row]:
    for quad in parse(ntriples, format=RdfFormat.N_TRIPLES):
        try:
            value = term(quad.object)
        except ValueError as e:
            raise IllTyped(f"{quad.predicate.value}: {e}") from e
        line = f"{quad.subject} {quad.predicate} {quad.object} .".encode()
        yield Row(str(term(quad.subject)), quad.predicate.value, value, line)
