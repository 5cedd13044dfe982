"""The ontology and its rules as one checked whole: owlready2 and rdflib behind one door.

The files are read once, as bytes, and never through a network: an import that is not among the
given files is refused, and so is a document type declaration (entities). The rules package sits
above this one, so rule files come in as paths.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from pyoxigraph import BlankNode, Literal, NamedNode, RdfFormat, Triple, parse, serialize

from ontology.safe_xml import check_xml, other_syntax

if TYPE_CHECKING:
    import rdflib

ONTOLOGY_FILE = "ontoidps.owl"
MAX_FILE_BYTES = 16 * 1024 * 1024

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_OWL = "http://www.w3.org/2002/07/owl#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_TYPE = NamedNode(_RDF + "type")
_ONTOLOGY = NamedNode(_OWL + "Ontology")
_IMPORTS = NamedNode(_OWL + "imports")
_VERSION = NamedNode(_OWL + "versionInfo")
_DECLARATIONS = tuple(
    NamedNode(_OWL + kind)
    for kind in ("Class", "ObjectProperty", "DatatypeProperty", "AnnotationProperty")
)
_IMP = NamedNode("http://www.w3.org/2003/11/swrl#Imp")
# swrla: the annotation that Protégé's rule tab writes.
_PREDICATES = tuple(
    NamedNode("http://www.w3.org/2003/11/swrl#" + name)
    for name in ("classPredicate", "propertyPredicate")
)
_ENABLED = NamedNode("http://swrl.stanford.edu/ontologies/3.3/swrla.owl#isRuleEnabled")
_LABEL = NamedNode(_RDFS + "label")


class KnowledgeBaseError(ValueError):
    """A file can't be taken into the knowledge base; the message is one line naming the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """One SWRL rule, as a person knows it."""

    label: str
    """``rdfs:label``: what identifies the rule, since its IRI does not survive Protégé."""
    comment: str
    enabled: bool
    """``swrla:isRuleEnabled``; Pellet ignores that, so we leave disabled rules out ourselves."""
    text: str
    """``Body(?x), … -> Head(?x)``, as owlready2 writes it."""
    path: Path
    """File it stands in."""


@dataclass(frozen=True, slots=True)
class OwlFile:
    """One file as read: nothing in it is judged yet but that it is RDF/XML with one ontology."""

    path: Path
    data: bytes
    iri: str
    version: str
    imports: tuple[str, ...]
    triples: tuple[Triple, ...]


def ontology_path() -> Path:
    """Where the shipped ``ontoidps.owl`` stands (we are always installed as real files)."""
    with as_file(files("ontology").joinpath(ONTOLOGY_FILE)) as path:
        return path


class KnowledgeBase:
    """Ontology and rule files loaded together into an owlready2 world of their own.

    Use as a context manager, or call `close`: the world holds a SQLite connection.
    Not safe for use by several threads at once.

    Args:
        paths: RDF/XML files in any order; files that they import must be among them.

    Raises:
        KnowledgeBaseError: unreadable, too big, not RDF/XML, a rule that does not parse or has no
            label of its own, an import that was not given.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        loaded = [read_owl_file(path, number) for number, path in enumerate(paths)]
        self._files = in_import_order(loaded)
        self._disabled = frozenset(
            node for file in self._files for node in _disabled_rules(file.triples)
        )
        # Imported late: it costs 0.2 s, which the ten agents without a knowledge base need not pay.
        import owlready2

        untyped: Any = owlready2
        self.world: Any = untyped.World()
        try:
            self._rules = tuple(self._load(owlready2))
        except BaseException:
            self.world.close()
            raise

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the world; the other answers stay available."""
        self.world.close()

    @property
    def version(self) -> str:
        """``owl:versionInfo`` of the first file that imports nothing (the ontology itself)."""
        return self._files[0].version

    @property
    def digest(self) -> str:
        """SHA-256 over all files, hexadecimal: changes with any edit."""
        total = hashlib.sha256()
        for file in sorted(self._files, key=lambda f: f.iri):
            total.update(hashlib.sha256(file.data).digest())
        return total.hexdigest()

    def terms(self) -> frozenset[str]:
        """IRIs of every class and property that the files declare."""
        return frozenset(
            triple.subject.value
            for file in self._files
            for triple in file.triples
            if triple.predicate == _TYPE
            and triple.object in _DECLARATIONS
            and isinstance(triple.subject, NamedNode)
        )

    def rules(self) -> tuple[RuleInfo, ...]:
        """Every SWRL rule, enabled or not, in file order."""
        return self._rules

    def ntriples(self, *, without: Collection[str] = ()) -> bytes:
        """Ontology and enabled rules as N-Triples for Pellet, the same bytes for the same files.

        Imports are left out (all files are in), and so are disabled rules, whole.

        Args:
            without: labels of more rules to leave out.
        """
        return enabled_ntriples(self._files, without=without)

    def graph(self) -> rdflib.Graph:
        """Everything as an rdflib graph of its own, disabled rules included (documentation)."""
        import rdflib

        graph = rdflib.Graph()
        everything = serialize(
            (t for f in self._files for t in f.triples), format=RdfFormat.N_TRIPLES
        )
        return graph.parse(data=everything, format="nt")

    def _load(self, owlready2: Any) -> Iterator[RuleInfo]:
        labels: dict[str, Path] = {}
        disabled = {
            triple.object.value
            for file in self._files
            for triple in file.triples
            if triple.predicate == _LABEL
            and triple.subject in self._disabled
            and isinstance(triple.object, Literal)
        }
        declared = self.terms()
        for file in self._files:
            _check_predicates(file, declared)
            try:
                # only_local: never ask a server, though no import is left that would.
                ontology = self.world.get_ontology(file.iri).load(
                    only_local=True, fileobj=io.BytesIO(file.data)
                )
                found = [
                    (_first(rule.label), _first(rule.comment), str(rule))
                    for rule in ontology.rules()
                ]
            except (ValueError, TypeError, AttributeError, KeyError, IndexError) as e:
                raise KnowledgeBaseError(f"{file.path}: {_line(e)}") from e
            except owlready2.OwlReadyError as e:
                raise KnowledgeBaseError(f"{file.path}: {_line(e)}") from e
            expected = sum(t.predicate == _TYPE and t.object == _IMP for t in file.triples)
            if len(found) != expected:
                raise KnowledgeBaseError(
                    f"{file.path}: {expected} rules, but owlready2 understands {len(found)}"
                )
            order = _rule_labels(file.triples)
            for label, comment, text in sorted(found, key=lambda f: order.get(f[0], 0)):
                if not label:
                    raise KnowledgeBaseError(f"{file.path}: a rule has no rdfs:label: {text}")
                if label in labels:
                    raise KnowledgeBaseError(
                        f"{file.path}: rule {label!r} also stands in {labels[label]}"
                    )
                if "(" not in text.partition(" -> ")[0]:
                    raise KnowledgeBaseError(f"{file.path}: rule {label!r} has no body: {text}")
                labels[label] = file.path
                yield RuleInfo(
                    label=label,
                    comment=comment,
                    enabled=label not in disabled,
                    text=text,
                    path=file.path,
                )


def enabled_ntriples(files: Sequence[OwlFile], *, without: Collection[str] = ()) -> bytes:
    """What `KnowledgeBase.ntriples` gives, of files in import order that are known to be good."""
    data = serialize(_enabled_triples(files, without), format=RdfFormat.N_TRIPLES)
    assert data is not None  # noqa: S101  (it is only when written to a file)
    return data


def _enabled_triples(files: Sequence[OwlFile], without: Collection[str]) -> Iterator[Triple]:
    for file in files:
        more = {rule for rule, label in _labels_of_rules(file.triples) if label in without}
        dropped = _reachable({*_disabled_rules(file.triples), *more}, file.triples)
        for triple in file.triples:
            if triple.predicate != _IMPORTS and triple.subject not in dropped:
                yield triple


def read_owl_file(path: Path, number: int = 0) -> OwlFile:
    """Read one file; blank nodes get names that begin with its number.

    Raises: KnowledgeBaseError.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise KnowledgeBaseError(f"{path}: {e.strerror}") from e
    if len(data) > MAX_FILE_BYTES:
        raise KnowledgeBaseError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        check_xml(data)
        triples = tuple(_renamed(parse(data, format=RdfFormat.RDF_XML), number))
    except (SyntaxError, ValueError, ExpatError) as e:
        raise KnowledgeBaseError(f"{path}: not RDF/XML: {other_syntax(data) or _line(e)}") from e
    ontologies = [t.subject for t in triples if t.predicate == _TYPE and t.object == _ONTOLOGY]
    if len(ontologies) != 1 or not isinstance(ontologies[0], NamedNode):
        raise KnowledgeBaseError(f"{path}: needs exactly one owl:Ontology with an IRI")
    iri = ontologies[0]
    imports: list[str] = []
    version = ""
    for triple in triples:
        if triple.predicate == _IMPORTS:
            if not isinstance(triple.object, NamedNode):
                raise KnowledgeBaseError(f"{path}: owl:imports must name an IRI")
            imports.append(triple.object.value)
        elif triple.predicate == _VERSION and triple.subject == iri:
            version = triple.object.value if isinstance(triple.object, Literal) else ""
    return OwlFile(path, data, iri.value, version, tuple(imports), triples)


def _renamed(quads: Iterable[Any], number: int) -> Iterator[Triple]:
    """Blank nodes get names by order of appearance, so that equal files give equal bytes."""
    names: dict[BlankNode, BlankNode] = {}

    def renamed(node: Any) -> Any:
        if not isinstance(node, BlankNode):
            return node
        return names.setdefault(node, BlankNode(f"f{number}n{len(names)}"))

    for quad in quads:
        yield Triple(renamed(quad.subject), quad.predicate, renamed(quad.object))


def in_import_order(loaded: Sequence[OwlFile]) -> tuple[OwlFile, ...]:
    """Imported files first: owlready2 then finds each import already there."""
    by_iri: dict[str, OwlFile] = {}
    for file in loaded:
        if file.iri in by_iri:
            raise KnowledgeBaseError(
                f"{file.path}: {file.iri} also stands in {by_iri[file.iri].path}"
            )
        by_iri[file.iri] = file
    for file in loaded:
        for iri in file.imports:
            if iri not in by_iri:
                raise KnowledgeBaseError(
                    f"{file.path}: imports {iri}, which is not among the files (never downloaded)"
                )
    ordered: list[OwlFile] = []
    waiting = list(by_iri.values())
    while waiting:
        done = {file.iri for file in ordered}
        ready = [file for file in waiting if done.issuperset(file.imports)]
        if not ready:
            raise KnowledgeBaseError(f"{waiting[0].path}: imports itself in a circle")
        ordered += ready
        waiting = [file for file in waiting if file not in ready]
    if not ordered:
        raise KnowledgeBaseError("no ontology file was given")
    return tuple(ordered)


def _disabled_rules(triples: Sequence[Triple]) -> Iterator[object]:
    for triple in triples:
        if (
            triple.predicate == _ENABLED
            and isinstance(triple.object, Literal)
            and triple.object.value in ("false", "0")
        ):
            yield triple.subject


def _reachable(roots: Iterable[object], triples: Sequence[Triple]) -> set[object]:
    """The roots and every blank node (lists, atoms) that hangs from them."""
    below: dict[object, list[object]] = {}
    for triple in triples:
        if isinstance(triple.object, BlankNode):
            below.setdefault(triple.subject, []).append(triple.object)
    found: set[object] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += below.get(node, ())
    return found


def _check_predicates(file: OwlFile, declared: frozenset[str]) -> None:
    """Every class and property that a rule names must be declared: else it is a slip of the pen."""
    named = [(t.subject, t.object) for t in file.triples if t.predicate in _PREDICATES]
    for atom, term in named:
        if isinstance(term, NamedNode) and term.value not in declared and not _built_in(term.value):
            for rule, label in _labels_of_rules(file.triples):
                if atom in _reachable([rule], file.triples):
                    raise KnowledgeBaseError(
                        f"{file.path}: rule {label!r} names {term.value}, which no file declares"
                    )


def _built_in(iri: str) -> bool:
    """owl:Thing, rdf:type and the like need no declaration."""
    return iri.startswith((_OWL, _RDF, _RDFS))


def _labels_of_rules(triples: Sequence[Triple]) -> Iterator[tuple[object, str]]:
    rules = {t.subject for t in triples if t.predicate == _TYPE and t.object == _IMP}
    for triple in triples:
        if triple.subject in rules and triple.predicate == _LABEL:
            yield triple.subject, getattr(triple.object, "value", "")


def _rule_labels(triples: Sequence[Triple]) -> dict[str, int]:
    """Label of every rule and its place in the file."""
    rules = {t.subject for t in triples if t.predicate == _TYPE and t.object == _IMP}
    return {
        triple.object.value: place
        for place, triple in enumerate(triples)
        if triple.predicate == _LABEL
        and triple.subject in rules
        and isinstance(triple.object, Literal)
    }


def _first(values: Sequence[object]) -> str:
    return str(values[0]) if values else ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
