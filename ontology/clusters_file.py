"""Clusters and labelled cases of the analyzer's model as OWL individuals, in a file of their own.

The file (``clusters.owl``) imports the ontology and is what an analyst edits: a cluster's
``rdfs:label`` is its displayed name, ``trafficClass`` its class. Neither Pellet nor owlready2 ever
sees it, so that 2,500 cases cost the reasoner nothing. What is no cluster and no case (comments of
an analyst, say) is left alone and survives a change of names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.parsers import expat

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology._values import read_double, read_integer
from ontology.safe_xml import check_xml, other_syntax
from ontology.traffic_cluster import TrafficCase, TrafficCluster
from ontology.vocabulary import IDPS, ONTOLOGY_IRI

CLUSTERS_IRI: Final = ONTOLOGY_IRI + "/clusters"
CLUSTERS_FILE: Final = "clusters.owl"
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_CLUSTERS: Final = 500

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_OWL = "http://www.w3.org/2002/07/owl#"
_XSD = "http://www.w3.org/2001/XMLSchema#"
_PREFIXES = {"idps": ONTOLOGY_IRI + "#", "owl": _OWL, "rdfs": _RDFS, "xsd": _XSD}
_TYPE, _LABEL = NamedNode(_RDF + "type"), NamedNode(_RDFS + "label")
_ONTOLOGY, _INDIVIDUAL = NamedNode(_OWL + "Ontology"), NamedNode(_OWL + "NamedIndividual")
_IMPORTS = NamedNode(_OWL + "imports")
_CLUSTER, _CASE = NamedNode(IDPS.TrafficCluster), NamedNode(IDPS.TrafficCase)
_IN_CLUSTER = NamedNode(IDPS.inCluster)
_CLASS = NamedNode(IDPS.trafficClass)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERS: dict[str, tuple[str, Any]] = {
    "cluster_number": (IDPS.clusterNumber, read_integer),
    "purity": (IDPS.purity, read_double),
    "radius": (IDPS.radius, read_double),
    "member_count": (IDPS.memberCount, read_integer),
}
_ROOT = re.compile(rb"<rdf:RDF [^>]*>")


class ClusterFileError(ValueError):
    """A file of clusters can't be used, or a change can't be made; one line saying why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFile:
    """A file that passed every check."""

    clusters: tuple[TrafficCluster, ...]
    """By number, from 0 without a gap."""
    triples: tuple[Triple, ...]
    """Everything in the file, in its order."""

    @property
    def model_digest(self) -> str:
        """Of the model that all clusters belong to."""
        return self.clusters[0].model_digest

    @property
    def renamed(self) -> int:
        """How many clusters have a name that somebody gave them."""
        return sum(bool(own_name(c)) for c in self.clusters)


def clusters_path() -> Path:
    """Where the shipped ``clusters.owl`` stands (we are always installed as real files)."""
    with as_file(files("ontology").joinpath(CLUSTERS_FILE)) as path:
        return path


def cluster_iri(digest: str, number: int) -> str:
    """The individual of a cluster; that of another model's is another."""
    return f"urn:ontoidps:cluster:{digest[:16]}:{number}"


def default_name(number: int, traffic_class: str) -> str:
    """The name of a cluster that nobody has named yet."""
    return f"{traffic_class} (cluster {number})"


def own_name(cluster: TrafficCluster) -> str:
    """The name that somebody gave the cluster; empty for the one it was made with."""
    made = cluster.cluster_name.endswith(f" (cluster {cluster.cluster_number})")
    return "" if made else cluster.cluster_name


def write_clusters(clusters: Sequence[TrafficCluster], cases: Iterable[TrafficCase]) -> bytes:
    """RDF/XML of a whole file; the same bytes for the same clusters and cases."""
    return _serialize([*_header(), *_cluster_triples(clusters), *_case_triples(clusters, cases)])


def _header() -> Iterator[Triple]:
    ontology = NamedNode(CLUSTERS_IRI)
    yield Triple(ontology, _TYPE, _ONTOLOGY)
    yield Triple(ontology, _IMPORTS, NamedNode(ONTOLOGY_IRI))
    yield Triple(
        ontology,
        NamedNode(_RDFS + "comment"),
        Literal(
            "Clusters of the analyzer's model and the labelled cases behind them, written by "
            "`ontoidps train`. For editing: rdfs:label and trafficClass of the clusters.",
            language="en",
        ),
    )


def _cluster_triples(clusters: Sequence[TrafficCluster]) -> Iterator[Triple]:
    for cluster in clusters:
        node = NamedNode(cluster.id)
        yield Triple(node, _TYPE, _CLUSTER)
        yield Triple(node, _TYPE, _INDIVIDUAL)
        yield Triple(node, _LABEL, Literal(cluster.cluster_name))
        yield Triple(node, _CLASS, Literal(cluster.traffic_class))
        yield Triple(node, NamedNode(IDPS.clusterNumber), _integer(cluster.cluster_number))
        yield Triple(node, NamedNode(IDPS.purity), _double(cluster.purity))
        yield Triple(node, NamedNode(IDPS.radius), _double(cluster.radius))
        yield Triple(node, NamedNode(IDPS.memberCount), _integer(cluster.member_count))
        yield Triple(node, NamedNode(IDPS.modelDigest), Literal(cluster.model_digest))


def _case_triples(
    clusters: Sequence[TrafficCluster], cases: Iterable[TrafficCase]
) -> Iterator[Triple]:
    nodes = {cluster.cluster_number: NamedNode(cluster.id) for cluster in clusters}
    for case in cases:
        node = NamedNode(f"urn:ontoidps:case:{quote(case.sample)}:{case.connection}")
        yield Triple(node, _TYPE, _CASE)
        yield Triple(node, _TYPE, _INDIVIDUAL)
        yield Triple(node, _IN_CLUSTER, nodes[case.cluster])
        yield Triple(node, _CLASS, Literal(case.traffic_class))
        yield Triple(node, NamedNode(IDPS.clusterDistance), _double(case.distance))
        yield Triple(node, NamedNode(IDPS.sampleFile), Literal(case.sample))
        yield Triple(node, NamedNode(IDPS.sampleConnection), _integer(case.connection))
        yield Triple(node, NamedNode(IDPS.featureValues), Literal(case.features))


def _integer(value: int) -> Literal:
    return Literal(str(value), datatype=NamedNode(_XSD + "integer"))


def _double(value: float) -> Literal:
    return Literal(f"{value:.6g}", datatype=NamedNode(_XSD + "double"))


def _serialize(triples: Sequence[Triple]) -> bytes:
    data = serialize(triples, format=RdfFormat.RDF_XML, prefixes=_PREFIXES)
    assert data is not None  # noqa: S101  (it is only when written to a file)
    # The serializer writes the prefixes in an order that changes from call to call.
    prefixes = "".join(
        f'\n     xmlns:{name}="{iri}"' for name, iri in sorted((_PREFIXES | {"rdf": _RDF}).items())
    )
    return _ROOT.sub(f"<rdf:RDF{prefixes}>".encode(), data, count=1) + b"\n"


def read_clusters(path: Path) -> ClusterFile:
    """Read a file and refuse what analyzers could not work with. Blocks for about 0.1 s.

    Raises: ClusterFileError naming the file and the individual.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise ClusterFileError(f"{path}: {e.strerror}") from e
    return parse_clusters(data, str(path))


def parse_clusters(data: bytes, place: str) -> ClusterFile:
    """As `read_clusters`, of a file's content; ``place`` is named in the error."""
    if len(data) > MAX_FILE_BYTES:
        raise ClusterFileError(f"{place}: larger than {MAX_FILE_BYTES} bytes")
    try:
        check_xml(data)
        triples = tuple(
            Triple(quad.subject, quad.predicate, quad.object)
            for quad in parse(data, format=RdfFormat.RDF_XML)
        )
    except (SyntaxError, ValueError, expat.ExpatError) as e:
        why = other_syntax(data) or " ".join(str(e).split())
        raise ClusterFileError(f"{place}: not RDF/XML: {why}") from e
    if Triple(NamedNode(CLUSTERS_IRI), _TYPE, _ONTOLOGY) not in triples:
        raise ClusterFileError(f"{place}: not the ontology {CLUSTERS_IRI}")
    try:
        return ClusterFile(clusters=_clusters(triples), triples=triples)
    except ClusterFileError as e:
        raise ClusterFileError(f"{place}: {e}") from None


def _clusters(triples: Sequence[Triple]) -> tuple[TrafficCluster, ...]:
    nodes = {t.subject for t in triples if t.predicate == _TYPE and t.object == _CLUSTER}
    if not 1 <= len(nodes) <= MAX_CLUSTERS:
        raise ClusterFileError(f"{len(nodes)} clusters, expected 1 to {MAX_CLUSTERS}")
    said: dict[Any, dict[str, list[Any]]] = {node: {} for node in nodes}
    cases: Counter[Any] = Counter()
    for triple in triples:
        if triple.predicate == _IN_CLUSTER:
            if triple.object not in said:
                raise ClusterFileError(f"{_short(triple.subject)} lies in no cluster of the file")
            cases[triple.object] += 1
        about = said.get(triple.subject)
        if about is not None:
            about.setdefault(triple.predicate.value, []).append(triple.object)
    found = sorted(
        (_cluster(node, about, cases[node]) for node, about in said.items()),
        key=lambda cluster: cluster.cluster_number,
    )
    numbers = [cluster.cluster_number for cluster in found]
    if numbers != list(range(len(found))):
        raise ClusterFileError(f"clusterNumber must run from 0 to {len(found) - 1}, got {numbers}")
    if len({cluster.model_digest for cluster in found}) != 1:
        raise ClusterFileError("clusters of several models (modelDigest)")
    return tuple(found)


def _cluster(node: Any, about: dict[str, list[Any]], cases: int) -> TrafficCluster:
    try:
        if isinstance(node, BlankNode):
            raise ValueError("has no IRI")
        numbers = {name: read(_one(about, term)) for name, (term, read) in _NUMBERS.items()}
        digest = _one(about, IDPS.modelDigest).value
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"modelDigest is no SHA-256: {digest[:80]!r}")
        return TrafficCluster(
            id=cluster_iri(digest, numbers["cluster_number"]),
            model_digest=digest,
            cluster_name=_label(about).value,
            traffic_class=_one(about, IDPS.trafficClass).value,
            case_count=cases,
            **numbers,
        )
    except ValueError as e:
        raise ClusterFileError(f"{_short(node)}: {e}") from e


def _one(about: dict[str, list[Any]], term: str) -> Literal:
    values = about.get(term, [])
    name = term.rpartition("#")[2]
    if len(values) != 1:
        raise ValueError(f"{name} {'is missing' if not values else f'has {len(values)} values'}")
    (value,) = values
    if not isinstance(value, Literal):
        raise ValueError(f"{name} must be a literal")
    return value


def _label(about: dict[str, list[Any]]) -> Literal:
    """The label that is displayed: without a language, else English, else the first language."""
    labels = [v for v in about.get(_LABEL.value, []) if isinstance(v, Literal)]
    if not labels:
        raise ValueError("rdfs:label is missing")
    ranks = sorted({_rank(label) for label in labels})
    best = [label for label in labels if _rank(label) == ranks[0]]
    if len(best) > 1:
        raise ValueError(f"has {len(best)} labels: {', '.join(repr(b.value[:40]) for b in best)}")
    return best[0]


def _rank(label: Literal) -> tuple[int, str]:
    language = label.language or ""
    return (0 if not language else 1 if language == "en" else 2, language)


def _short(node: Any) -> str:
    return str(getattr(node, "value", node))[:120]


def renamed(file: ClusterFile, wanted: TrafficCluster) -> bytes:
    """The file's content after ``wanted`` got its name and class; the rest of it stays.

    Raises: ClusterFileError: another model's cluster, or there is none of that number.
    """
    if wanted.model_digest != file.model_digest:
        raise ClusterFileError(
            f"model {wanted.model_digest[:12]} is asked for, these are clusters of model "
            f"{file.model_digest[:12]}"
        )
    if wanted.cluster_number >= len(file.clusters):
        raise ClusterFileError(f"there is no cluster {wanted.cluster_number}")
    number, name = wanted.cluster_number, wanted.cluster_name
    if not own_name(wanted):
        name = default_name(number, wanted.traffic_class)
    nodes = {t.subject for t in file.triples if t.predicate == _TYPE and t.object == _CLUSTER}
    (node,) = (
        t.subject
        for t in file.triples
        if t.predicate.value == IDPS.clusterNumber
        and t.subject in nodes
        and isinstance(t.object, Literal)
        and read_integer(t.object) == number
    )
    labels = [t.object for t in file.triples if t.subject == node and t.predicate == _LABEL]
    old = _label({_LABEL.value: labels})
    out = []
    for triple in file.triples:
        new: Literal | None = None
        if triple.subject == node and triple.predicate == _LABEL and triple.object == old:
            new = _replace_text(old, name)
        elif triple.subject == node and triple.predicate == _CLASS:
            new = Literal(wanted.traffic_class)
        out.append(triple if new is None else Triple(triple.subject, triple.predicate, new))
    return _serialize(out)


def _replace_text(literal: Literal, text: str) -> Literal:
    """Another text in the same language."""
    return Literal(text, language=literal.language) if literal.language else Literal(text)
