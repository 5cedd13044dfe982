"""Classes, properties, individuals and literals: what a file names, and whether it may."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pyoxigraph import BlankNode, Literal, NamedNode

from ontology.checking.problem import Problem
from ontology.knowledge_base import OwlFile
from ontology.swrl import RDF, RDFS, SWRL, SWRLB, local_name

OWL = "http://www.w3.org/2002/07/owl#"
XSD = "http://www.w3.org/2001/XMLSchema#"
_TYPE = RDF + "type"
_BUILT_IN = (RDF, RDFS, OWL, XSD, SWRL, SWRLB)
_KINDS = {
    OWL + "Class": "class",
    OWL + "ObjectProperty": "object property",
    OWL + "DatatypeProperty": "data property",
    OWL + "AnnotationProperty": "annotation property",
    OWL + "NamedIndividual": "individual",
    RDFS + "Datatype": "datatype",
}
_EQUIVALENT = frozenset((OWL + "equivalentClass", OWL + "equivalentProperty"))
_BELOW = _EQUIVALENT | {RDFS + "subClassOf", RDFS + "subPropertyOf"}
_AT_LEAST = frozenset(
    OWL + name
    for name in ("minCardinality", "minQualifiedCardinality", "cardinality", "qualifiedCardinality")
)
_NUMBERS = frozenset(
    """integer decimal double float long int short byte nonNegativeInteger positiveInteger
    nonPositiveInteger negativeInteger unsignedLong unsignedInt unsignedShort
    unsignedByte""".split()
)
_STRINGS = frozenset("string normalizedString token language anyURI".split())
# Integers of any width are values of each other's types where they fit.
_INTEGERS = _NUMBERS - {"decimal", "double", "float"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What all files together declare."""

    kinds: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """IRI → kinds: class, object property, …"""
    ranges: dict[str, str] = field(default_factory=dict)
    """Data property → IRI of its XSD range."""
    functional: set[str] = field(default_factory=set)
    different: bool = False
    """Whether anything says that individuals differ."""
    parents: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Class or property → those that it is directly below, equivalent ones among them."""
    same: dict[str, str] = field(default_factory=dict)
    """Class that is another name → the class that the files speak of."""
    promised: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Class → properties of which each member has some value, whether named or not."""
    places: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Property → classes that its subjects, or of an object property its values, are of."""
    inverses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    asserted: set[str] = field(default_factory=set)
    """Classes and properties that the files themselves say something with, of individuals."""
    defined: set[str] = field(default_factory=set)
    """Classes that more belongs to than what is named below them."""
    _above: dict[str, set[str]] = field(default_factory=dict)

    def above(self, iri: str) -> set[str]:
        """A term with all that it is below."""
        found = self._above.get(iri)
        if found is None:
            found, waiting = {iri}, [iri]
            while waiting:
                for parent in self.parents.get(waiting.pop(), set()) - found:
                    found.add(parent)
                    waiting.append(parent)
            self._above[iri] = found
        return found

    def knows(self, iri: str) -> bool:
        return iri in self.kinds or iri.startswith(_BUILT_IN)


def read_vocabulary(files: Sequence[OwlFile]) -> Vocabulary:
    """Gather the declarations of all files; what follows from use alone is no declaration."""
    found = Vocabulary()
    different = False
    for file in files:
        for triple in file.triples:
            subject, predicate, value = triple.subject, triple.predicate.value, triple.object
            if isinstance(value, NamedNode) and value.value == OWL + "AllDifferent":
                different = True
            different |= predicate == OWL + "differentFrom"
            if not isinstance(subject, NamedNode) or not isinstance(value, NamedNode):
                continue
            if predicate == _TYPE:
                if value.value in _KINDS:
                    found.kinds[subject.value].add(_KINDS[value.value])
                elif value.value == OWL + "FunctionalProperty":
                    found.functional.add(subject.value)
                elif not value.value.startswith(_BUILT_IN):
                    found.kinds[subject.value].add("individual")
            elif predicate == RDFS + "range" and value.value.startswith(XSD):
                found.ranges[subject.value] = value.value
            elif predicate in _BELOW:
                found.parents[subject.value].add(value.value)
                if predicate in _EQUIVALENT:
                    found.parents[value.value].add(subject.value)
    found = replace(found, different=different)
    _read_uses(files, found)
    _read_promises(files, found)
    _read_other_names(files, found)
    return found


def _read_uses(files: Sequence[OwlFile], found: Vocabulary) -> None:
    """Places and inverses of properties, definitions of classes, and what is said with either."""
    for triple in (t for file in files for t in file.triples):
        subject, predicate, value = triple.subject, triple.predicate.value, triple.object
        if predicate in (OWL + "equivalentClass", RDFS + "subClassOf"):
            # A definition, or an axiom about whatever fits an expression.
            if isinstance(subject, BlankNode) and isinstance(value, NamedNode):
                found.defined.add(value.value)
            elif isinstance(value, BlankNode) and predicate == OWL + "equivalentClass":
                found.defined.add(getattr(subject, "value", ""))
            continue
        if not isinstance(subject, NamedNode):
            continue
        iri = subject.value
        if found.kinds.get(predicate, set()) & {"object property", "data property"}:
            found.asserted.add(predicate)
        if not isinstance(value, NamedNode):
            continue
        if predicate in (RDFS + "domain", RDFS + "range") and not value.value.startswith(XSD):
            found.places[iri].add(value.value)
        elif predicate == OWL + "inverseOf":
            found.inverses[iri].add(value.value)
            found.inverses[value.value].add(iri)
        elif predicate == _TYPE and not value.value.startswith(_BUILT_IN):
            found.asserted.add(value.value)


def _read_promises(files: Sequence[OwlFile], found: Vocabulary) -> None:
    """Restrictions that say a value exists, and the classes below them."""
    triples = [t for file in files for t in file.triples]
    exists = {
        t.subject
        for t in triples
        if t.predicate.value == OWL + "someValuesFrom"
        or (t.predicate.value in _AT_LEAST and getattr(t.object, "value", "0") != "0")
    }
    on = {
        t.subject: t.object.value
        for t in triples
        if t.predicate.value == OWL + "onProperty" and isinstance(t.object, NamedNode)
    }
    for triple in triples:
        one, other = triple.subject, triple.object
        if triple.predicate.value in _BELOW and isinstance(other, BlankNode) and other in exists:
            if isinstance(one, NamedNode) and other in on:
                found.promised[one.value].add(on[other])


def _read_other_names(files: Sequence[OwlFile], found: Vocabulary) -> None:
    """Of classes that are equivalent, the one that the rest of the files refers to most."""
    groups: list[set[str]] = []
    uses: Counter[str] = Counter()
    for triple in (t for file in files for t in file.triples):
        one, other = triple.subject, triple.object
        if not isinstance(other, NamedNode):
            continue
        if triple.predicate.value in (RDFS + "subClassOf", RDFS + "domain", RDFS + "range"):
            uses[other.value] += 1
        elif triple.predicate.value == OWL + "equivalentClass" and isinstance(one, NamedNode):
            group = {one.value, other.value}
            groups = [g for g in groups if not g & group] + [
                group.union(*(g for g in groups if g & group))
            ]
    for group in groups:
        main = min(group, key=lambda iri: (-uses[iri], iri))
        found.same.update((iri, main) for iri in group - {main})


def value_kind(datatype: str) -> str:
    """``number``, ``string`` or the local name of another datatype."""
    name = local_name(datatype)
    return "number" if name in _NUMBERS else "string" if name in _STRINGS else name


def fits(literal: Literal, range_: str) -> bool:
    """Whether a literal's datatype is one whose values can lie in the range."""
    have, want = local_name(literal.datatype.value), local_name(range_)
    return have == want or (have in _INTEGERS and want in _INTEGERS | {"decimal"})


def ill_typed(literal: Literal) -> bool:
    """Whether the text is no value of its datatype, ``"abc"^^xsd:integer``."""
    # Imported late: 0.2 s that only those who check files need to pay.
    import rdflib

    if literal.language or not literal.datatype.value.startswith(XSD):
        return False
    twin = rdflib.Literal(literal.value, datatype=rdflib.URIRef(literal.datatype.value))
    return bool(twin.ill_typed)


def check_terms(file: OwlFile, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Undeclared and doubly used names, names that tools misread, values that are none."""
    yield from _undeclared(file, vocabulary)
    yield from _names(file, vocabulary)
    yield from _literals(file, vocabulary)


def _undeclared(file: OwlFile, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Names within the files' own namespaces, and predicates from anywhere."""
    own = tuple({local_root(iri) for iri in vocabulary.kinds} | {file.iri + "#"})
    variables = {
        t.subject.value
        for t in file.triples
        if isinstance(t.subject, NamedNode)
        and isinstance(t.object, NamedNode)
        and t.object.value == SWRL + "Variable"
    }
    # Ontology IRIs, and names in rules, which `rules` reports with their rule.
    excused = {
        SWRL + "classPredicate",
        SWRL + "propertyPredicate",
        OWL + "imports",
        RDFS + "seeAlso",
        "http://purl.org/dc/terms/license",
    }
    reported: set[str] = set()
    for triple in file.triples:
        names = [(triple.predicate.value, True)]
        if isinstance(triple.object, NamedNode) and triple.predicate.value not in excused:
            names.append((triple.object.value, triple.predicate.value == _TYPE))
        if isinstance(triple.subject, NamedNode):
            names.append((triple.subject.value, False))
        for iri, always in names:
            if vocabulary.knows(iri) or iri in reported or iri in variables:
                continue
            if iri == file.iri or iri in file.imports or iri.startswith(file.iri + "/"):
                continue
            if always or iri.startswith(own):
                reported.add(iri)
                at = _shown(triple.subject)
                yield Problem(
                    path=file.path,
                    code="unknown-term",
                    where=at,
                    message=f"<{iri}> is declared nowhere{meant(iri, vocabulary)}",
                )


def meant(iri: str, vocabulary: Vocabulary) -> str:
    """``; did you mean X?``, or nothing."""
    import difflib

    close = difflib.get_close_matches(iri, vocabulary.kinds, n=1, cutoff=0.8)
    return f"; did you mean {local_name(close[0])}?" if close else ""


def local_root(iri: str) -> str:
    """The namespace of a name: all up to its last ``#`` or ``/``."""
    return iri[: max(iri.rfind("#"), iri.rfind("/")) + 1]


def _names(file: OwlFile, vocabulary: Vocabulary) -> Iterator[Problem]:
    from owlready2 import rule

    builtins = frozenset(rule._BUILTINS) | frozenset(rule._NAME_2_DATARANGE)
    for iri in sorted(_subjects(file.triples)):
        kinds = sorted(vocabulary.kinds.get(iri, ()))
        if len(kinds) > 1:
            yield Problem(
                path=file.path,
                code="punning",
                where=local_name(iri),
                message=f"is used as {' and as '.join(kinds)}: tools misread that",
            )
        if not kinds or kinds[0] in ("individual", "annotation property", "datatype"):
            continue
        name = local_name(iri)
        if name in builtins or name.casefold() in ("sameas", "differentfrom"):
            yield Problem(
                path=file.path,
                code="name-of-builtin",
                where=name,
                message="owlready2's rule parser takes this name for a SWRL built-in: rename it",
            )
        elif name.startswith(("true", "false")):
            yield Problem(
                path=file.path,
                code="name-of-boolean",
                where=name,
                message="owlready2's rule parser reads the beginning of this name as a boolean: "
                "rename it",
            )
        elif name[:1].isdigit():
            yield Problem(
                path=file.path,
                code="name-of-number",
                where=name,
                message="owlready2's rule parser reads the beginning of this name as a number: "
                "rename it",
            )


def _subjects(triples: Sequence[object]) -> set[str]:
    return {t.subject.value for t in triples if isinstance(t.subject, NamedNode)}  # type: ignore[attr-defined]


def _literals(file: OwlFile, vocabulary: Vocabulary) -> Iterator[Problem]:
    for triple in file.triples:
        value, predicate = triple.object, triple.predicate.value
        if not isinstance(value, Literal):
            continue
        at = _shown(triple.subject)
        if ill_typed(value):
            yield Problem(
                path=file.path,
                code="ill-typed-literal",
                where=at,
                message=f"{value.value[:80]!r} of {local_name(predicate)} is no "
                f"{local_name(value.datatype.value)}: one such value makes everything inconsistent",
            )
        elif predicate in vocabulary.ranges and not fits(value, vocabulary.ranges[predicate]):
            yield Problem(
                path=file.path,
                code="ill-typed-literal",
                where=at,
                message=f"{value.value[:80]!r} of {local_name(predicate)} is a "
                f"{local_name(value.datatype.value)}, the property holds "
                f"{local_name(vocabulary.ranges[predicate])}",
            )


def _shown(node: object) -> str:
    if isinstance(node, NamedNode):
        return local_name(node.value)
    return "a blank node" if isinstance(node, BlankNode) else ""
