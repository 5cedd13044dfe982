"""What every RDF/XML file must pass before anything else reads it; and strangers' XML as a tree."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Element:
    """An element of a document that `read_tree` has read."""

    name: str
    """``{namespace}local``, or the local name alone if there is no namespace."""
    attributes: dict[str, str]
    line: int
    """From 1."""
    text: str = ""
    """Directly in it, without that of its children; white space at both ends is left out."""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        """Children of this name."""
        return [child for child in self.children if child.name == name]

    def first(self, *path: str) -> Element | None:
        """The first child of the first name, its first child of the second …"""
        here: Element | None = self
        for name in path:
            here = next((c for c in here.children if c.name == name), None) if here else None
        return here


def read_tree(
    data: bytes, *, max_elements: int, max_depth: int, own: Collection[str] = ()
) -> Element:
    """A stranger's document as a tree: no document types and so no entities, and bounded.

    Args:
        own: namespaces that are left out of names.

    Raises: ValueError with one line, with the line of the document where there is one.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    root = Element("", {}, 0)
    open_elements, count = [root], 0

    def named(name: str) -> str:
        namespace, space, local = name.rpartition(" ")
        return local if not space or namespace in own else f"{{{namespace}}}{local}"

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        line = parser.CurrentLineNumber
        if count > max_elements:
            raise ValueError(f"line {line}: more than {max_elements} elements")
        if len(open_elements) > max_depth:
            raise ValueError(f"line {line}: elements lie more than {max_depth} deep")
        made = Element(named(name), {named(k): v for k, v in attributes.items()}, line)
        open_elements[-1].children.append(made)
        open_elements.append(made)

    def end(_: str) -> None:
        done = open_elements.pop()
        done.text = done.text.strip()

    def said(text: str) -> None:
        open_elements[-1].text += text

    def refuse(*_: object) -> None:
        # Entities can name files and grow without bound.
        line = parser.CurrentLineNumber
        raise ValueError(f"line {line}: document type declarations (DOCTYPE) are refused")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = said
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        raise ValueError(
            f"line {e.lineno}: not well-formed XML: {expat.ErrorString(e.code)}"
        ) from e
    except (LookupError, UnicodeError) as e:
        raise ValueError("line 1: its encoding is not known here") from e
    return root.children[0]
