"""Rules switched on and off in the text of a file, with all else as a person wrote it.

The annotation ``swrla:isRuleEnabled`` is what says it; Protégé's own check box keeps nothing in the
file. The text is edited, not written anew, so that a person's order, comments and line breaks stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from pyoxigraph import RdfFormat, parse

from ontology.safe_xml import check_xml
from ontology.swrl import ENABLED, RDF, RDFS, SWRL, read_rules

_SWRLA, _NAME = ENABLED.rsplit("#", 1)[0] + "#", ENABLED.rsplit("#", 1)[1]
_BOOLEAN = "http://www.w3.org/2001/XMLSchema#boolean"
_OWL = "http://www.w3.org/2002/07/owl#"
_RDF_XML = RdfFormat.RDF_XML


class SwitchError(ValueError):
    """A rule that can't be switched in this file; the message says why."""


def rule_states(data: bytes) -> dict[str, bool]:
    """Whether each rule of an RDF/XML file is switched on, by label."""
    triples = (quad.triple for quad in parse(data, format=_RDF_XML))
    return {rule.label: rule.enabled for rule in read_rules(triples)}


def switch_rules(data: bytes, wanted: Mapping[str, bool]) -> bytes:
    """The RDF/XML file with these rules on or off, by label; labels it doesn't hold are ignored.

    Raises: SwitchError; ValueError, SyntaxError, ExpatError if it is no RDF/XML.
    """
    check_xml(data)
    before = rule_states(data)
    change = {
        label: on for label, on in wanted.items() if label in before and before[label] is not on
    }
    if not change:
        return data
    found = _Reader(data, change)
    changed = data
    # From the end, so that places before it stay what they are.
    for edit in sorted(found.edits, key=lambda e: e.start, reverse=True):
        changed = changed[: edit.start] + edit.text.encode("ascii") + changed[edit.end :]
    try:
        after = rule_states(changed)
    except (SyntaxError, ValueError):
        after = {}
    if after != before | change:
        names = ", ".join(sorted(change))
        raise SwitchError(f"{names}: can't be switched in this file: save it as RDF/XML in UTF-8")
    return changed


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


@dataclass(slots=True)
class _Element:
    name: str
    start: int
    attributes: Mapping[str, str]
    is_rule: bool
    label: str = ""
    first_child: int = -1
    annotation: tuple[int, int] | None = None


class _Reader:
    """Finds the places in the text by expat's offsets."""

    def __init__(self, data: bytes, wanted: Mapping[str, bool]) -> None:
        self._data, self._wanted = data, wanted
        self._open: list[_Element] = []
        self._text = ""
        self._prefixes: dict[str, str] = {}
        self._declared = False
        self.edits: list[_Edit] = []
        parser: Any = expat.ParserCreate(namespace_separator=" ")
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._parser = parser
        parser.Parse(data, True)

    def _namespace(self, prefix: str | None, iri: str) -> None:
        if not self._open and prefix:
            self._prefixes[prefix] = iri

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        if self._open:
            parent = self._open[-1]
            if parent.first_child < 0:
                parent.first_child = at
            if name == f"{RDF} type" and attributes.get(f"{RDF} resource") == SWRL + "Imp":
                parent.is_rule = True
        if name == f"{_OWL} AnnotationProperty" and attributes.get(f"{RDF} about") == ENABLED:
            self._declared = True
        self._open.append(_Element(name, at, attributes, name == f"{SWRL} Imp"))
        self._text = ""

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, name: str) -> None:
        at = self._parser.CurrentByteIndex
        element = self._open.pop()
        if not self._open:
            if not self._declared:
                self.edits.append(_Edit(at, at, self._declaration()))
            return
        parent = self._open[-1]
        if name == f"{RDFS} label" and not parent.label:
            parent.label = self._text
        elif name == f"{_SWRLA} {_NAME}":
            parent.annotation = (element.start, self._data.index(b">", at) + 1)
        if element.is_rule and element.label in self._wanted:
            self._switch(element, self._wanted[element.label])
        self._text = ""

    def _switch(self, rule: _Element, on: bool) -> None:
        text = self._annotation(on)
        if rule.annotation is not None:
            self.edits.append(_Edit(*rule.annotation, text))
        elif rule.first_child >= 0:
            self.edits.append(_Edit(rule.first_child, rule.first_child, text + "\n        "))

    def _annotation(self, on: bool) -> str:
        names = "".join(
            f' xmlns:{prefix}="{iri}"'
            for prefix, iri in (("swrla", _SWRLA), ("rdf", RDF))
            if self._prefixes.get(prefix) != iri
        )
        said = "true" if on else "false"
        return f'<swrla:{_NAME}{names} rdf:datatype="{_BOOLEAN}">{said}</swrla:{_NAME}>'

    def _declaration(self) -> str:
        return (
            f'    <owl:AnnotationProperty xmlns:owl="{_OWL}" xmlns:rdf="{RDF}"'
            f' rdf:about="{ENABLED}"/>\n'
        )
