"""Facts that authorised agents asserted: checked, kept in a small file, and what they say of hosts.

Facts are about individuals, in terms of the ontology in force. The ontology and the rules can't be
changed this way, nor what agents reported. All facts together must be consistent with ontology and
rules; a request that would leave them otherwise changes nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse, serialize

from agents.ontology.asserted_hosts import read_profile
from ontology._values import address_text, host_address
from ontology.checking.logic import LogicUnavailable, check_logic
from ontology.checking.terms import OWL, Vocabulary, fits, ill_typed, meant, read_vocabulary
from ontology.fragments import MAX_BYTES, to_triples
from ontology.knowledge_base import OwlFile, in_import_order, read_owl_file
from ontology.records import Address, HostProfile, Record
from ontology.swrl import RDF, RDFS
from ontology.taxonomy import HOST_CLASSES
from ontology.vocabulary import HOST_PREFIX, IDPS, NAMESPACE, ONTOLOGY_IRI
from ontology.whole_files import write_whole

FACTS_IRI: Final = "urn:ontoidps:facts"
FACTS_FILE: Final = "facts.nt"
MAX_FACTS: Final = 5_000
"""Triples kept."""
MAX_PROFILES: Final = 200
"""They are told to correlation in one message."""
MAX_VALUE: Final = 2_000
"""Characters of one value."""
_JAVA_TIMEOUT_S = 25.0

_TYPE = RDF + "type"
_LABELS = (RDFS + "label", RDFS + "comment")
_STRING = "http://www.w3.org/2001/XMLSchema#string"
_PROFILE = NAMESPACE + "HostProfile"
_REPORTED = frozenset(
    NAMESPACE + kind.__name__ for kind in Record.__args__ if kind is not HostProfile
) | {NAMESPACE + "TrafficCase"}

Consistent = Callable[[bytes], str]
"""Given all facts as RDF/XML: what contradicts, or nothing."""


class FactRefused(ValueError):
    """A request that is not carried out. ``reason`` is FIPA's word, or one like it."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Terms:
    """What facts may be said with: the ontology and rules in force."""

    vocabulary: Vocabulary
    domains: dict[str, set[str]] = field(default_factory=dict)
    ranges: dict[str, set[str]] = field(default_factory=dict)
    """Object property → classes of its values."""

    @classmethod
    def from_ntriples(cls, ntriples: bytes) -> Terms:
        """As `agents.knowledge.checks.Knowledge.ntriples` has them. 50 ms or so."""
        triples = tuple(parse(ntriples, format=RdfFormat.N_TRIPLES))
        file = OwlFile(Path("in force"), b"", ONTOLOGY_IRI, "", (), triples)
        domains: dict[str, set[str]] = defaultdict(set)
        ranges: dict[str, set[str]] = defaultdict(set)
        for t in triples:
            if not isinstance(t.subject, NamedNode) or not isinstance(t.object, NamedNode):
                continue
            subject, value = t.subject.value, t.object.value
            match t.predicate.value:
                case p if p == RDFS + "domain":
                    domains[subject].add(value)
                case p if p == RDFS + "range":
                    ranges[subject].add(value)
        return cls(read_vocabulary([file]), dict(domains), dict(ranges))


def read_facts(fragment: str) -> frozenset[Triple]:
    """The triples of a Turtle fragment. Raises: FactRefused"""
    try:
        data = fragment.encode()
    except UnicodeEncodeError as e:
        raise FactRefused("SYNTAX", f"not Unicode text: {e.reason} at {e.start}") from e
    if len(data) > MAX_BYTES:
        raise FactRefused("LIMIT", f"fragment of {len(data)} bytes, at most {MAX_BYTES}")
    found: set[Triple] = set()
    try:
        for triple in parse(data, format=RdfFormat.TURTLE, without_named_graphs=True):
            for node in (triple.subject, triple.object):
                if not isinstance(node, NamedNode | Literal):
                    raise FactRefused("SYNTAX", "blank nodes are refused: give the thing a name")
                if len(node.value) > MAX_VALUE:
                    raise FactRefused("LIMIT", f"a value of {len(node.value)} characters")
            found.add(Triple(triple.subject, triple.predicate, triple.object))
            if len(found) > MAX_FACTS:
                raise FactRefused("LIMIT", f"more than {MAX_FACTS} facts")
    except (SyntaxError, OSError) as e:
        raise FactRefused("SYNTAX", " ".join(str(e).split())[:300]) from e
    if not found:
        raise FactRefused("SYNTAX", "the fragment holds no fact")
    return frozenset(found)


def check_facts(facts: Iterable[Triple], terms: Terms) -> None:
    """Known terms, about individuals, of the right kinds, one value where one may be.

    Raises: FactRefused
    """
    types: dict[str, set[str]] = defaultdict(set)
    values: dict[tuple[str, str], set[object]] = defaultdict(set)
    facts = sorted(facts, key=str)
    for fact in facts:
        _check_words(fact, terms)
        if fact.predicate.value == _TYPE and isinstance(fact.object, NamedNode):
            types[_name(fact.subject)] |= terms.vocabulary.above(fact.object.value)
        values[_name(fact.subject), fact.predicate.value].add(fact.object)
    for name, kinds in types.items():
        reported = sorted(k.removeprefix(NAMESPACE) for k in kinds & _REPORTED)
        if reported:
            raise FactRefused("READ-ONLY", f"<{name}>: agents report {reported[0]}, nobody else")
    for (subject, predicate), found in sorted(values.items(), key=lambda item: item[0]):
        if predicate in terms.vocabulary.functional and len(found) > 1:
            shown = ", ".join(sorted(str(getattr(v, "value", v)) for v in found))
            raise FactRefused(
                "INCONSISTENT", f"<{subject}>: {_short(predicate)} can have one value, not {shown}"
            )
        have = types[subject] | ({str(IDPS.Host)} if subject.startswith(HOST_PREFIX) else set())
        for wanted in sorted(terms.domains.get(predicate, ())):
            if wanted not in have:
                raise FactRefused(
                    "INCONSISTENT",
                    f"<{subject}>: {_short(predicate)} is for a {_short(wanted)}, "
                    "which nothing says it is",
                )
    for name, kinds in types.items():
        if _PROFILE in kinds:
            _profile(name, values)
        if name.startswith(HOST_PREFIX):
            _check_host(name, values)


def _check_words(fact: Triple, terms: Terms) -> None:
    subject, predicate, value = fact.subject, fact.predicate.value, fact.object
    known, kinds = terms.vocabulary, terms.vocabulary.kinds
    if not isinstance(subject, NamedNode):
        raise FactRefused("SYNTAX", "blank nodes are refused: give the thing a name")
    if kinds.get(subject.value, set()) - {"individual"}:
        raise FactRefused(
            "READ-ONLY", f"<{subject.value}> is a term: edit the ontology's file instead"
        )
    if not subject.value.startswith("urn:"):
        raise FactRefused("SYNTAX", f"<{subject.value}>: individuals are named urn:…")
    if kinds.get(subject.value):
        raise FactRefused("READ-ONLY", f"<{subject.value}> is part of the ontology")
    if subject.value.startswith(HOST_PREFIX):
        try:
            host_address(subject.value)
        except ValueError as e:
            raise FactRefused("SYNTAX", f"<{subject.value}>: {e}") from e
    if predicate == _TYPE:
        if not isinstance(value, NamedNode) or "class" not in kinds.get(value.value, ()):
            shown = str(getattr(value, "value", value))
            if shown.startswith(OWL) and shown != OWL + "NamedIndividual":
                raise FactRefused("READ-ONLY", f"<{shown}>: axioms are not facts")
            if shown != OWL + "NamedIndividual":
                raise FactRefused("UNKNOWN-TERM", f"class <{shown}>{meant(shown, known)}")
        return
    if predicate in _LABELS:
        if not isinstance(value, Literal):
            raise FactRefused("SYNTAX", f"<{subject.value}>: a label is a text")
        return
    kind = kinds.get(predicate, set())
    if predicate.startswith((OWL, RDF, RDFS)):
        raise FactRefused("READ-ONLY", f"<{predicate}>: axioms are not facts")
    if "data property" in kind:
        _check_literal(subject.value, predicate, value, known)
    elif "object property" in kind:
        if not isinstance(value, NamedNode) or not value.value.startswith("urn:"):
            if not isinstance(value, NamedNode) or "individual" not in kinds.get(value.value, ()):
                raise FactRefused(
                    "INCONSISTENT", f"<{subject.value}>: {_short(predicate)} wants an individual"
                )
        elif str(IDPS.Host) in terms.ranges.get(predicate, ()):
            try:
                host_address(value.value)
            except ValueError as e:
                raise FactRefused("SYNTAX", f"<{value.value}>: {e}") from e
    else:
        raise FactRefused("UNKNOWN-TERM", f"property <{predicate}>{meant(predicate, known)}")


def _check_literal(subject: str, predicate: str, value: object, known: Vocabulary) -> None:
    wanted = known.ranges.get(predicate, "")
    if not isinstance(value, Literal) or (wanted and not fits(value, wanted)) or ill_typed(value):
        shown = str(value)[:120]
        of = f" of {wanted.rpartition('#')[2]}" if wanted else ""
        raise FactRefused(
            "INCONSISTENT", f"<{subject}>: {_short(predicate)} wants a value{of}, not {shown}"
        )


def _check_host(name: str, values: dict[tuple[str, str], set[object]]) -> None:
    address = host_address(name)
    own = ((IDPS.ipAddress, address_text(address)), (IDPS.addressFamily, str(address.version)))
    for term, wanted in own:
        for value in values.get((name, str(term)), ()):
            if getattr(value, "value", "") != wanted:
                raise FactRefused("INCONSISTENT", f"<{name}>: {term.local_name} is {wanted}")


def _profile(name: str, values: dict[tuple[str, str], set[object]]) -> HostProfile:
    """The record of one HostProfile; what is not said has the record's default."""

    def texts(term: str) -> list[str]:
        return sorted(str(getattr(v, "value", v)) for v in values.get((name, term), ()))

    hosts = texts(IDPS.describesHost)
    if len(hosts) != 1:
        raise FactRefused("INCONSISTENT", f"<{name}>: a HostProfile needs describesHost, once")
    for role in texts(IDPS.hostRole):
        if role not in HOST_CLASSES:
            raise FactRefused("UNKNOWN-TERM", f"<{name}>: hostRole {role!r} is no kind of Host")
    try:
        return read_profile(name, host_address(hosts[0]), texts)
    except ValueError as e:
        raise FactRefused("INCONSISTENT", f"<{name}>: {e}") from e


def _short(iri: str) -> str:
    return iri.removeprefix(NAMESPACE)


def consistent_with(paths: Sequence[Path], facts: bytes) -> str:
    """What the OWL API and Pellet have against facts beside these files; blocks for 1 to 5 s.

    Raises: FactRefused if Java does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="ontoidps-facts-") as folder:
        path = Path(folder) / "facts.owl"
        path.write_bytes(facts)
        read = in_import_order([read_owl_file(p, number) for number, p in enumerate(paths)])
        try:
            problems = list(check_logic([*(f.path for f in read), path], timeout_s=_JAVA_TIMEOUT_S))
        except LogicUnavailable as e:
            raise FactRefused("INCONSISTENT", f"can't be checked: {e}") from e
    return problems[0].message if problems else ""


class FactBook:
    """The facts in force and their file. Blocks for file work; one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises: OSError; SyntaxError if the file is damaged."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / FACTS_FILE
        data = self.path.read_bytes() if self.path.exists() else b""
        # Not as quads, which equal no triple.
        quads = parse(data, format=RdfFormat.N_TRIPLES)
        self.facts = frozenset(Triple(q.subject, q.predicate, q.object) for q in quads)

    @property
    def digest(self) -> str:
        """SHA-256 over the file, in hex."""
        return hashlib.sha256(_lines(self.facts)).hexdigest()

    @property
    def version(self) -> str:
        """``facts+`` and the first 12 digits of `digest`."""
        return f"facts+{self.digest[:12]}"

    def after(self, action: str, fragment: str) -> frozenset[Triple]:
        """What the facts would be. Raises: FactRefused"""
        given = read_facts(fragment)
        if action == "assert":
            changed = self.facts | given
            if len(changed) > MAX_FACTS:
                raise FactRefused("LIMIT", f"{len(changed)} facts, at most {MAX_FACTS}")
            if sum(_is_profile(t) for t in changed) > MAX_PROFILES:
                raise FactRefused("LIMIT", f"more than {MAX_PROFILES} HostProfiles")
            return changed
        missing = sorted(map(str, given - self.facts))
        if missing:
            raise FactRefused("NOT-ASSERTED", missing[0][:300])
        return self.facts - given

    def keep(self, facts: frozenset[Triple]) -> None:
        """Put them in force and on disk. Raises: OSError"""
        write_whole(self.path, _lines(facts))
        self.facts = facts

    def set_aside(self, terms: Terms) -> int:
        """After a change of the ontology: drop what it has no words for any more, but keep a copy.

        Returns how many facts went.
        """
        kept, gone = set(self.facts), set[Triple]()
        while True:
            try:
                check_facts(kept, terms)
            except FactRefused:
                by_subject: dict[object, set[Triple]] = defaultdict(set)
                for fact in kept:
                    by_subject[fact.subject].add(fact)
                bad = next(group for group in by_subject.values() if not _passes(group, terms))
                kept -= bad
                gone |= bad
            else:
                break
        if gone:
            aside = self.path.with_name("facts.unfit.nt")
            write_whole(aside, _lines(gone))
            self.keep(frozenset(kept))
        return len(gone)

    def profiles(self) -> tuple[HostProfile, ...]:
        """What is asserted of hosts, as records, by id."""
        values: dict[tuple[str, str], set[object]] = defaultdict(set)
        for fact in self.facts:
            values[_name(fact.subject), fact.predicate.value].add(fact.object)
        names = sorted(_name(fact.subject) for fact in self.facts if _is_profile(fact))
        return tuple(_profile(name, values) for name in names)

    def graph(self) -> list[Triple]:
        """The facts, and the hosts that they are about, for SPARQL."""
        hosts: list[Address] = [profile.address for profile in self.profiles()]
        about = [HostProfile(id="urn:ontoidps:x", address=a, roles=()) for a in hosts]
        described = [t for t in to_triples(about) if _name(t.subject).startswith(HOST_PREFIX)]
        return [*self.facts, *described]


def _passes(facts: set[Triple], terms: Terms) -> bool:
    try:
        check_facts(facts, terms)
    except FactRefused:
        return False
    return True


def _name(node: object) -> str:
    return node.value if isinstance(node, NamedNode) else ""


def _is_profile(fact: Triple) -> bool:
    return fact.predicate.value == _TYPE and fact.object == NamedNode(_PROFILE)


def _lines(facts: Iterable[Triple]) -> bytes:
    return "".join(sorted(f"{fact} .\n" for fact in facts)).encode()


def as_owl(facts: Iterable[Triple]) -> bytes:
    """The facts as an RDF/XML file that imports the ontology."""
    head = [
        Triple(NamedNode(FACTS_IRI), NamedNode(_TYPE), NamedNode(OWL + "Ontology")),
        Triple(NamedNode(FACTS_IRI), NamedNode(OWL + "imports"), NamedNode(ONTOLOGY_IRI)),
    ]
    return serialize([*head, *facts], format=RdfFormat.RDF_XML) or b""
