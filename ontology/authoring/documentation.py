"""The ontology's METHONTOLOGY documents as one Markdown page, from the OWL files alone.

Fernández, Gómez-Pérez and Juristo, "METHONTOLOGY: from ontological art towards ontological
engineering", 1997. Whatever the page says stands in a file that tools read, so it can't drift: the
specification in the ontology's annotations, the competency questions in ``competency/*.rq``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import rdflib
from rdflib import OWL, RDF, RDFS, SKOS, BNode, Literal, URIRef
from rdflib.collection import Collection

from ontology.knowledge_base import KnowledgeBase, RuleInfo
from ontology.vocabulary import NAMESPACE, ONTOLOGY_IRI

_KINDS = (
    (OWL.Class, "class"),
    (OWL.ObjectProperty, "relation"),
    (OWL.DatatypeProperty, "attribute"),
    (OWL.AnnotationProperty, "annotation"),
)
_CHARACTERISTICS = (
    (OWL.FunctionalProperty, "functional"),
    (OWL.InverseFunctionalProperty, "inverse functional"),
    (OWL.TransitiveProperty, "transitive"),
    (OWL.SymmetricProperty, "symmetric"),
    (OWL.AsymmetricProperty, "asymmetric"),
    (OWL.IrreflexiveProperty, "irreflexive"),
)
_ANSWERS = 12
"""Of a competency question, written out."""


def competency_questions(*below: str) -> tuple[tuple[str, str], ...]:
    """(question, SPARQL query with the variable ``?answer``) of each, in order of file name.

    Args:
        below: ``archive`` for those that the archive of a running honeynet answers; the files
            themselves answer the others.
    """
    folder = files("ontology").joinpath("competency", *below)
    found = []
    for entry in sorted((e for e in folder.iterdir() if e.name.endswith(".rq")), key=str):
        text = entry.read_text(encoding="utf-8")
        found.append((text.partition("\n")[0].lstrip("# "), text))
    return tuple(found)


def answers(graph: rdflib.Graph, query: str) -> list[str]:
    """Distinct answers, names without their namespace, sorted."""
    return sorted({_name(row.answer) for row in graph.query(query)})  # type: ignore[union-attr]


def document(knowledge: KnowledgeBase, samples: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        knowledge: Ontology and rules; read only.
        samples: Rule's label → file of its sample, relative to the project.
    """
    page = _Page(knowledge.graph())
    rules = knowledge.rules()
    parts = (
        page.specification(),
        page.glossary(),
        page.taxonomies(),
        page.attacks(),
        page.relations(),
        page.attributes(),
        page.axioms(),
        _rules(rules, samples),
        page.evaluation(rules),
    )
    return "\n".join("\n".join(part) for part in parts)


class _Page:
    def __init__(self, graph: rdflib.Graph) -> None:
        self._graph = graph
        self._ontology = URIRef(ONTOLOGY_IRI)

    def specification(self) -> Iterator[str]:
        yield f"# {self._text(self._ontology, RDFS.label)}"
        yield ""
        yield (
            "Made from the OWL files by `ontoidps ontology document`; edit those. The documents "
            "are METHONTOLOGY's."
        )
        yield "\n## Specification\n"
        rows = [
            ("IRI", f"`{ONTOLOGY_IRI}`"),
            ("version", str(self._graph.value(self._ontology, OWL.versionInfo))),
            ("purpose", self._text(self._ontology, RDFS.comment)),
        ]
        for name in ("scope", "audience", "formality", "knowledgeSource"):
            for value in self._texts(self._ontology, URIRef(NAMESPACE + name)):
                rows.append((_words(name), value))
        yield from _table(("", ""), rows)
        yield "\nCompetency questions, answered under Evaluation:\n"
        for number, (question, _) in enumerate(competency_questions(), 1):
            yield f"{number}. {question}"

    def glossary(self) -> Iterator[str]:
        yield "\n## Glossary of terms\n"
        rows = []
        for kind, word in _KINDS:
            for term in self._terms(kind):
                example = "; ".join(self._texts(term, SKOS.example))
                meaning = self._text(term, RDFS.comment)
                rows.append(
                    (
                        f"`{_name(term)}`",
                        word,
                        self._text(term, RDFS.label),
                        self._text(term, RDFS.label, "es"),
                        f"{meaning} *{example}*" if example else meaning,
                    )
                )
        rows.sort(key=lambda row: row[0].casefold())
        yield from _table(("term", "kind", "English", "español", "meaning, *example*"), rows)

    def taxonomies(self) -> Iterator[str]:
        yield "\n## Concept taxonomies\n"
        below: dict[URIRef | None, list[URIRef]] = {}
        for term in self._terms(OWL.Class):
            above = [p for p in self._graph.objects(term, RDFS.subClassOf) if _own(p)]
            for parent in above or (None,):
                below.setdefault(parent, []).append(term)  # type: ignore[arg-type]

        def tree(parent: URIRef | None, depth: int) -> Iterator[str]:
            for term in sorted(below.get(parent, ()), key=_name):
                yield f"{'  ' * depth}- {_name(term)}"
                yield from tree(term, depth + 1)

        yield from tree(None, 0)

    def attacks(self) -> Iterator[str]:
        yield "\n## Attack taxonomy and other vocabularies\n"
        rows = []
        for term in self._terms(OWL.Class):
            columns = [
                ", ".join(sorted(map(str, self._graph.objects(term, URIRef(NAMESPACE + name)))))
                for name in ("techniqueId", "kddName", "snortClasstype", "defendId")
            ]
            if any(columns):
                rows.append((f"`{_name(term)}`", *columns))
        yield from _table(
            ("class", "ATT&CK technique", "KDD Cup 99", "Snort classtypes", "D3FEND"), rows
        )

    def relations(self) -> Iterator[str]:
        yield "\n## Binary relations\n"
        rows = [
            (
                f"`{_name(term)}`",
                self._names(term, RDFS.domain),
                self._names(term, RDFS.range),
                self._names(term, RDFS.subPropertyOf),
                self._names(term, OWL.inverseOf),
                self._characteristics(term),
            )
            for term in self._terms(OWL.ObjectProperty)
        ]
        head = ("relation", "from", "to", "part of", "inverse", "characteristics")
        yield from _table(head, rows)

    def attributes(self) -> Iterator[str]:
        yield "\n## Attributes\n"
        rows = [
            (
                f"`{_name(term)}`",
                self._names(term, RDFS.domain),
                self._names(term, RDFS.range),
                "one" if (term, RDF.type, OWL.FunctionalProperty) in self._graph else "any",
            )
            for term in self._terms(OWL.DatatypeProperty)
        ]
        yield from _table(("attribute", "of", "type", "values"), rows)

    def axioms(self) -> Iterator[str]:
        yield "\n## Formal axioms\n"
        yield "Besides the taxonomies, domains, ranges and characteristics above:\n"
        lines = set()
        for node in self._graph.subjects(RDF.type, OWL.AllDisjointClasses):
            members = self._graph.value(node, OWL.members)
            lines.add(f"Nothing is two of {self._listed(members)}.")
        for predicate, words in (
            (OWL.disjointWith, "Nothing is both"),
            (OWL.equivalentClass, "The same:"),
            (OWL.equivalentProperty, "The same:"),
        ):
            for subject, value in self._graph.subject_objects(predicate):
                lines.add(f"{words} {self._expression(subject)} and {self._expression(value)}.")
        for subject, value in self._graph.subject_objects(RDFS.subClassOf):
            if isinstance(value, BNode):
                lines.add(f"Every {self._expression(subject)} is {self._expression(value)}.")
        yield from (f"- {line}" for line in sorted(lines))

    def evaluation(self, rules: Sequence[RuleInfo]) -> Iterator[str]:
        yield "\n## Evaluation\n"
        counts = {word: len(list(self._terms(kind))) for kind, word in _KINDS}
        counted = ", ".join(f"{n} {w}{'es' if w.endswith('s') else 's'}" for w, n in counts.items())
        yield (
            f"{counted}, {len(rules)} SWRL rules. `ontoidps ontology check` finds nothing: OWL 2 "
            "DL (OWL API), consistent, every class satisfiable (Pellet), no rule that Pellet would "
            "skip. Each competency question is a query over the files:\n"
        )
        rows = []
        for number, (question, query) in enumerate(competency_questions(), 1):
            found = answers(self._graph, query)
            shown = ", ".join(found[:_ANSWERS])
            more = f" and {len(found) - _ANSWERS} more" if len(found) > _ANSWERS else ""
            rows.append((str(number), question, shown + more))
        yield from _table(("", "question", "answer"), rows)
        yield (
            "\nThe archive of a running honeynet answers these (queries in "
            "`ontology/competency/archive`, asked by `ontoidps ontology query` or on the page):\n"
        )
        for number, (question, _) in enumerate(competency_questions("archive"), len(rows) + 1):
            yield f"{number}. {question}"
        yield ""

    def _terms(self, kind: URIRef) -> list[URIRef]:
        found = {s for s in self._graph.subjects(RDF.type, kind) if _own(s)}
        return sorted(found, key=_name)  # type: ignore[arg-type]

    def _texts(self, subject: Any, predicate: URIRef, language: str = "en") -> list[str]:
        return sorted(
            str(v)
            for v in self._graph.objects(subject, predicate)
            if isinstance(v, Literal) and (v.language or "en") == language
        )

    def _text(self, subject: Any, predicate: URIRef, language: str = "en") -> str:
        return next(iter(self._texts(subject, predicate, language)), "")

    def _names(self, subject: Any, predicate: URIRef) -> str:
        return ", ".join(
            sorted(self._expression(v) for v in self._graph.objects(subject, predicate))
        )

    def _characteristics(self, term: URIRef) -> str:
        return ", ".join(w for k, w in _CHARACTERISTICS if (term, RDF.type, k) in self._graph)

    def _listed(self, node: Any) -> str:
        return ", ".join(sorted(self._expression(m) for m in Collection(self._graph, node)))

    def _expression(self, node: Any) -> str:
        """A name, or a class expression in words."""
        if not isinstance(node, BNode):
            return _name(node)
        for predicate, words in ((OWL.unionOf, " or "), (OWL.intersectionOf, " and ")):
            if (members := self._graph.value(node, predicate)) is not None:
                found = Collection(self._graph, members)
                return f"({words.join(sorted(self._expression(m) for m in found))})"
        on = self._graph.value(node, OWL.onProperty)
        for predicate in (OWL.someValuesFrom, OWL.allValuesFrom, OWL.hasValue):
            if (value := self._graph.value(node, predicate)) is not None:
                word = _name(predicate).removesuffix("ValuesFrom").replace("hasValue", "value")
                return f"({_name(on)} {word} {self._expression(value)})"
        if (facets := self._graph.value(node, OWL.withRestrictions)) is not None:
            parts = [
                f"{_name(p)} {v}"
                for facet in Collection(self._graph, facets)
                for p, v in self._graph.predicate_objects(facet)
            ]
            return f"{self._names(node, OWL.onDatatype)}[{', '.join(sorted(parts))}]"
        return "(an expression)"


def _rules(rules: Sequence[RuleInfo], samples: Mapping[str, str]) -> Iterator[str]:
    yield "\n## Rules\n"
    rows = []
    for rule in sorted(rules, key=lambda r: (r.path.name, r.label)):
        state = "" if rule.enabled else " (switched off)"
        sample = samples.get(rule.label, "")
        rows.append(
            (f"{rule.label}{state}", rule.path.name, rule.comment, f"`{rule.text}`", sample)
        )
    yield from _table(("rule", "file", "says", "SWRL", "sample"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def _own(node: object) -> bool:
    return isinstance(node, URIRef) and str(node).startswith(NAMESPACE)


def _name(node: Any) -> str:
    if "OntoIDPSMA.owl#" in str(node):
        return f"OntoIDPSMA:{str(node).rsplit('#', 1)[-1]}"
    return str(node).rsplit("#", 1)[-1].rsplit("/", 1)[-1]


def _words(name: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name)
