"""The terms that rules can ask for, as the Markdown table of ``docs/protege.md``."""

from __future__ import annotations

from collections.abc import Iterator

from pyoxigraph import Literal, NamedNode

from ontology.knowledge_base import OwlFile
from ontology.swrl import RDFS, local_name
from ontology.window_terms import HELD, READ

_READ = frozenset(valued.term for valued in READ)


def window_table(ontology: OwlFile) -> str:
    """A row a term, with its comment from the file; those in every window come first."""
    comments = {
        triple.subject.value: triple.object.value
        for triple in ontology.triples
        if triple.predicate.value == RDFS + "comment"
        and isinstance(triple.subject, NamedNode)
        and isinstance(triple.object, Literal)
        and triple.object.language == "en"
    }
    rows = ["| term | of | value | |", "|---|---|---|---|"]
    rows += _rows(comments)
    return "\n".join(rows) + "\n"


def _rows(comments: dict[str, str]) -> Iterator[str]:
    for term, (of, datatype) in HELD.items():
        name = f"`{local_name(term)}`" + ("" if term in _READ else "\\*")
        kind = datatype or ("a Host" if term not in _READ else "a Signature")
        comment = comments.get(term, "").replace("|", "\\|")
        yield f"| {name} | {of} | {kind} | {comment} |"
