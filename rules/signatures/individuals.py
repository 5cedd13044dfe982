"""Signatures as individuals of ``idps:Signature``, in a file that imports the ontology."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, serialize

from ontology.vocabulary import IDPS, ONTOLOGY_IRI
from rules.signatures.parse import Signature
from rules.signatures.payload_options import Content

SIGNATURES_IRI = ONTOLOGY_IRI + "/signatures"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_OWL = "http://www.w3.org/2002/07/owl#"
_XSD = "http://www.w3.org/2001/XMLSchema#"
_TYPE = NamedNode(_RDF + "type")
_LABEL = NamedNode(_RDFS + "label")
_INDIVIDUAL = NamedNode(_OWL + "NamedIndividual")
_PREFIXES = {"idps": ONTOLOGY_IRI + "#", "owl": _OWL, "rdfs": _RDFS, "xsd": _XSD}
FORMATS = {".ttl": RdfFormat.TURTLE, ".owl": RdfFormat.RDF_XML, ".nt": RdfFormat.N_TRIPLES}


def printable(pattern: bytes) -> str:
    """``GET |0D 0A|``: as rules write it."""
    out, bar = "", False
    for byte in pattern:
        plain = 0x20 <= byte < 0x7F and byte != ord("|")
        if plain == bar:
            out += "|"
            bar = not bar
        elif bar:
            out += " "
        out += chr(byte) if plain else f"{byte:02X}"
    return out + "|" * bar


def triples(signatures: Iterable[Signature]) -> Iterator[Triple]:
    """The ontology header, then the statements of each signature."""
    ontology = NamedNode(SIGNATURES_IRI)
    yield Triple(ontology, _TYPE, NamedNode(_OWL + "Ontology"))
    yield Triple(ontology, NamedNode(_OWL + "imports"), NamedNode(ONTOLOGY_IRI))
    for signature in signatures:
        yield from _one(signature)


def _one(signature: Signature) -> Iterator[Triple]:
    node = NamedNode(signature.iri)
    yield Triple(node, _TYPE, _INDIVIDUAL)
    yield Triple(node, _TYPE, NamedNode(IDPS.Signature))
    yield Triple(node, _LABEL, Literal(signature.message, language="en"))
    contents = {
        printable(check.pattern)
        for check in signature.checks
        if isinstance(check, Content) and not check.negated
    }
    values: list[tuple[str, str | int | bool]] = [
        (IDPS.dtpname, signature.message),
        (IDPS.signatureId, signature.sid),
        (IDPS.signatureRevision, signature.revision),
        (IDPS.classtype, signature.classtype),
        (IDPS.ruleGroup, signature.group),
        (IDPS.transportName, signature.transport),
        (IDPS.sourcePorts, signature.source_ports),
        (IDPS.destinationPorts, signature.target_ports),
        (IDPS.executable, signature.executable),
        *((IDPS.cve, cve) for cve in signature.cves),
        *((IDPS.affectedService, service) for service in signature.services),
        *((IDPS.affectedSystem, system) for system in signature.systems),
        *((IDPS.reference, f"{scheme}:{value}") for scheme, value in signature.references),
        *((IDPS.contentPattern, content) for content in sorted(contents)),
        *((IDPS.unsupportedOption, option) for option in signature.unsupported),
    ]
    if signature.attack_class is not None:
        values.append((IDPS.attackClass, signature.attack_class))
    for term, value in values:
        if isinstance(value, int) and not isinstance(value, bool):
            literal = Literal(str(value), datatype=NamedNode(_XSD + "integer"))
        else:
            literal = Literal(value)
        yield Triple(node, NamedNode(term), literal)


def write_signatures(signatures: Iterable[Signature], path: Path) -> None:
    """Write the individuals; the file's ending chooses the format (`FORMATS`).

    Raises: ValueError for another ending, OSError.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{str(path)!r}: must end in {', '.join(FORMATS)}")
    serialize(triples(signatures), path, format=FORMATS[path.suffix], prefixes=_PREFIXES)
