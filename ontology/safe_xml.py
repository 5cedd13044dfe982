"""What every RDF/XML file must pass before anything else reads it."""

from __future__ import annotations

import re
from xml.parsers import expat

# What Protégé's other formats begin with. OWL/XML would load, without a single rule.
_OTHER_SYNTAXES = (
    (b"<Ontology", "this is OWL/XML, from which owlready2 loses every rule"),
    (b"@prefix", "this is Turtle"),
    (b"Prefix(", "this is OWL functional syntax"),
    (b"Ontology(", "this is OWL functional syntax"),
    (b"Prefix:", "this is Manchester syntax"),
    (b"Ontology:", "this is Manchester syntax"),
)


def check_xml(data: bytes) -> None:
    """Well-formed to the end (pyoxigraph takes a file that breaks off), and without entities.

    Raises: ValueError, expat.ExpatError.
    """

    def refuse(*_: object) -> None:
        # Entities can name files and grow without bound.
        raise ValueError("document type declarations are refused: save without XML entities")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)


def other_syntax(data: bytes) -> str:
    """What the file is instead, and what to do; empty if nobody knows."""
    begin = re.sub(
        rb"<\?.{0,200}?\?>|<!--.{0,5000}?-->", b"", data[:8192], flags=re.DOTALL
    ).lstrip()
    for mark, words in _OTHER_SYNTAXES:
        if begin.startswith(mark):
            return f"{words}; save as RDF/XML"
    return ""
