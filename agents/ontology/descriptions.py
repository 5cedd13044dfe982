"""Which ontologies the service supports and how they relate, as RDF that a query can ask for.

The relations are those of FIPA's Ontology Service (XC00086): each is ``svc:…`` between two
``owl:Ontology``. One that implies another (Identical, Equivalent, Strongly-, Weakly-,
Approx-Translatable) is stated together with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from agents.knowledge.switches import Switch
from ontology.authoring.translation import ONTOIDPSMA_IRI
from ontology.checking.terms import OWL, local_root
from ontology.clusters_file import CLUSTERS_IRI
from ontology.knowledge_base import OwlFile, RuleInfo, ontology_path, read_owl_file
from ontology.swrl import RDF, RDFS
from ontology.theory import rule_iri
from ontology.vocabulary import ONTOLOGY_IRI

SERVICE_IRI: Final = "https://w3id.org/ontoidps/ontologies"
"""The graph that holds the descriptions; with ``#`` the prefix ``svc:``. Its name must not hold the
word that `agents.ontology.query` refuses."""
SERVICES: Final = (
    "fipa-oa",
    f"supported-ontology {ONTOLOGY_IRI}",
    f"supported-ontology {ONTOIDPSMA_IRI}",
)
"""What the directory entry says (XC00086: a service of type ``fipa-oa``)."""

EXTENSION, IDENTICAL, EQUIVALENT = "extension", "identical", "equivalent"
STRONG, WEAK, APPROX = "stronglyTranslatable", "weaklyTranslatable", "approxTranslatable"
IMPLIED: Final = {IDENTICAL: EQUIVALENT, EQUIVALENT: STRONG, STRONG: WEAK, WEAK: APPROX}
"""XC00086: from one level follows the next."""

_ALIGNMENTS = "alignments.ttl"
_MATCHES = ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch")
_SKOS = "http://www.w3.org/2004/02/skos/core#"


def describe(
    paths: Sequence[Path],
    version: str,
    rules: Sequence[RuleInfo] = (),
    switched: Mapping[str, Switch] | None = None,
) -> list[Triple]:
    """All descriptions.

    Args:
        paths: Ontology and rule files in force.
        version: As it is announced.
        rules: Of those files, the ones that are switched off, too.
        switched: What operators have switched by hand, by the label of the rule.

    Raises: KnowledgeBaseError, OSError, SyntaxError for a file that can't be read.
    """
    files = [read_owl_file(path, number) for number, path in enumerate(paths)]
    found = [*_ontology(ONTOIDPSMA_IRI, "OntoIDPSMA (Isaza et al.): published names", "", "file")]
    for file in files:
        own = version if file.iri == ONTOLOGY_IRI else file.version
        found += _ontology(file.iri, _label(file), own, "reasoner")
        found += [_relation(file.iri, EXTENSION, other) for other in file.imports]
    found += _ontology(CLUSTERS_IRI, "Clusters of the model, with their cases", "", "query")
    found.append(_relation(CLUSTERS_IRI, EXTENSION, ONTOLOGY_IRI))
    # Both lose something: see `ontology.authoring.translation`, which says what at each
    # translation.
    for one, other in ((ONTOLOGY_IRI, ONTOIDPSMA_IRI), (ONTOIDPSMA_IRI, ONTOLOGY_IRI)):
        found += _with_implied(one, WEAK, other)
        found.append(_triple(one, "translatesTo", NamedNode(other)))
    found += _aligned(ontology_path().with_name(_ALIGNMENTS))
    for rule in rules:
        found += _rule(rule, (switched or {}).get(rule.label))
    return found


def _rule(rule: RuleInfo, switch: Switch | None) -> Iterator[Triple]:
    iri = rule_iri(rule.label)
    yield Triple(NamedNode(iri), NamedNode(RDF + "type"), NamedNode(f"{SERVICE_IRI}#Rule"))
    yield Triple(NamedNode(iri), NamedNode(RDFS + "label"), Literal(rule.label))
    yield Triple(NamedNode(iri), NamedNode(RDFS + "comment"), Literal(rule.comment))
    yield _triple(iri, "inFile", Literal(rule.path.name))
    yield _triple(iri, "enabled", Literal(rule.enabled))
    if switch is not None:
        yield _triple(iri, "switchedBy", Literal(switch.why))


def _aligned(path: Path) -> Iterator[Triple]:
    """Vocabularies that some of our terms are matched with; nobody translates into them."""
    counts: Counter[str] = Counter()
    for triple in parse(path=path, format=RdfFormat.TURTLE):
        name = triple.predicate.value.removeprefix(_SKOS)
        if name in _MATCHES and isinstance(triple.object, NamedNode):
            counts[local_root(triple.object.value)] += 1
    for root, count in sorted(counts.items()):
        iri = root.rstrip("#/")
        yield from _ontology(iri, "aligned term by term (ontology/alignments.ttl)", "", "alignment")
        yield _triple(iri, "alignedTerms", Literal(count))
        yield _relation(ONTOLOGY_IRI, APPROX, iri)


def _ontology(iri: str, label: str, version: str, use: str) -> Iterator[Triple]:
    subject = NamedNode(iri)
    yield Triple(subject, NamedNode(RDF + "type"), NamedNode(OWL + "Ontology"))
    yield Triple(subject, NamedNode(RDFS + "label"), Literal(label))
    yield _triple(iri, "usedFor", Literal(use))
    if version:
        yield Triple(subject, NamedNode(OWL + "versionInfo"), Literal(version))


def _with_implied(one: str, level: str, other: str) -> Iterator[Triple]:
    at: str | None = level
    while at is not None:
        yield _relation(one, at, other)
        at = IMPLIED.get(at)


def _relation(one: str, name: str, other: str) -> Triple:
    return _triple(one, name, NamedNode(other))


def _triple(subject: str, name: str, value: NamedNode | Literal) -> Triple:
    return Triple(NamedNode(subject), NamedNode(f"{SERVICE_IRI}#{name}"), value)


def _label(file: OwlFile) -> str:
    labels: Iterable[Literal] = (
        t.object
        for t in file.triples
        if t.subject == NamedNode(file.iri)
        and t.predicate.value == RDFS + "label"
        and isinstance(t.object, Literal)
    )
    found = sorted(labels, key=lambda label: (label.language != "en", label.value))
    return found[0].value if found else file.path.name
