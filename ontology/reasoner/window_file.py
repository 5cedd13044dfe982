"""A window with ontology and rules in force as one OWL file: out for Protégé, and in again.

The file needs nothing else: it imports nothing, and any reasoner that runs SWRL draws from it what
agents drew. What it tells is minimal, as windows are: no text that an attacker wrote is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.parsers.expat import ExpatError

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology.reasoner.window import Window
from ontology.safe_xml import check_xml, other_syntax
from ontology.swrl import RDF, RDFS
from ontology.vocabulary import IDPS

MAX_FILE_BYTES: Final = 32 * 1024 * 1024
MAX_ALERTS: Final = 1000
"""In one file: stock Pellet takes minutes for more, and gigabytes."""
_OWL = "http://www.w3.org/2002/07/owl#"
_TYPE = NamedNode(RDF + "type")
_ONTOLOGY, _INDIVIDUAL = NamedNode(_OWL + "Ontology"), NamedNode(_OWL + "NamedIndividual")
_OF_WINDOWS = frozenset(map(NamedNode, (IDPS.Alert, IDPS.Host, IDPS.Signature)))
_STRING = "http://www.w3.org/2001/XMLSchema#string"
_LABEL = RDFS + "label"
_PREFIX = "urn:ontoidps:window:"


class WindowFileError(ValueError):
    """No window file, or one that is too much; the message says why."""


@dataclass(frozen=True, slots=True)
class WindowFile:
    """What was read from a file."""

    knowledge: bytes
    """Ontology and rules as N-Triples, as `ontology.knowledge_base.KnowledgeBase.ntriples`."""
    window: Window


def write_window(knowledge: bytes, window: Window, *, title: str) -> bytes:
    """RDF/XML; the same bytes for the same window, knowledge and title.

    Args:
        knowledge: `KnowledgeBase.ntriples`: with names and comments, so that people can read it.
        title: says where the window is from.

    Raises: WindowFileError if there are too many alerts.
    """
    if window.alerts > MAX_ALERTS:
        raise WindowFileError(f"{window.alerts} alerts, at most {MAX_ALERTS} go into a file")
    iri = NamedNode(_PREFIX + hashlib.sha256(knowledge + window.ntriples).hexdigest()[:32])
    facts = _triples(window.ntriples)
    named = dict.fromkeys(fact.subject for fact in facts)
    whole = [
        Triple(iri, _TYPE, _ONTOLOGY),
        Triple(iri, NamedNode(RDFS + "label"), Literal(title)),
        # The headers of the files that it is made of: one file is one ontology.
        *_without_headers(_triples(knowledge)),
        *(Triple(name, _TYPE, _INDIVIDUAL) for name in named),
        *facts,
    ]
    prefixes = {"owl": _OWL, "rdfs": RDFS, "swrl": "http://www.w3.org/2003/11/swrl#"}
    return bytes(serialize(whole, format=RdfFormat.RDF_XML, prefixes=prefixes) or b"")


def read_window(data: bytes) -> WindowFile:
    """The window and the knowledge of a file, also after Protégé has saved it as RDF/XML.

    Raises: WindowFileError.
    """
    if len(data) > MAX_FILE_BYTES:
        raise WindowFileError(f"larger than {MAX_FILE_BYTES} bytes")
    try:
        check_xml(data)
        triples = [quad.triple for quad in parse(data, format=RdfFormat.RDF_XML)]
    except (SyntaxError, ValueError, ExpatError) as e:
        reason = other_syntax(data) or " ".join(str(e).split())
        raise WindowFileError(f"not RDF/XML: {reason}") from e
    individuals = {t.subject for t in triples if t.predicate == _TYPE and t.object in _OF_WINDOWS}
    alerts = sum(t.predicate == _TYPE and t.object == NamedNode(IDPS.Alert) for t in triples)
    if not alerts:
        raise WindowFileError("no individual of class Alert in it")
    if alerts > MAX_ALERTS:
        raise WindowFileError(f"{alerts} alerts, at most {MAX_ALERTS} are taken")
    facts = [
        t
        for t in triples
        if t.subject in individuals and t.object != _INDIVIDUAL and t.predicate.value != _LABEL
    ]
    rest = [t for t in triples if t.subject not in individuals]
    return WindowFile(_ntriples(_without_headers(rest)), Window(_sorted(facts), alerts))


def _without_headers(triples: list[Triple]) -> list[Triple]:
    headers = {t.subject for t in triples if t.predicate == _TYPE and t.object == _ONTOLOGY}
    return [triple for triple in triples if triple.subject not in headers]


def _triples(data: bytes) -> list[Triple]:
    return [quad.triple for quad in parse(data, format=RdfFormat.N_TRIPLES)]


def _ntriples(triples: Iterable[Triple]) -> bytes:
    return bytes(serialize(triples, format=RdfFormat.N_TRIPLES) or b"")


def _sorted(facts: list[Triple]) -> bytes:
    """As `build_window` writes them. Raises: WindowFileError for a fact about nothing named."""
    if any(isinstance(node, BlankNode) for t in facts for node in (t.subject, t.object)):
        raise WindowFileError("an alert or host says something of an individual without a name")
    lines = sorted(f"{t.subject} {t.predicate} {_typed(t.object)} .\n" for t in facts)
    return "".join(lines).encode("utf-8")


def _typed(node: object) -> str:
    """Pellet's Jena is older than RDF 1.1: a string without a type is something else to it."""
    if isinstance(node, Literal) and not node.language and node.datatype.value == _STRING:
        return f"{node}^^<{_STRING}>"
    return str(node)
