"""The child process that answers one SPARQL question: JSON on stdin, JSON on stdout.

Started by `agents.ontology.query`; imports next to nothing, since it starts anew for each question.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyoxigraph import (
    BlankNode,
    Literal,
    NamedNode,
    QueryBoolean,
    QuerySolutions,
    QueryTriples,
    Store,
)

from agents.ontology.query_words import syntax, unknown_terms
from ontology.confined_worker import confine_worker

_MEMORY = 1 << 30

_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_PREFIXES = {
    "idps": "https://w3id.org/ontoidps#",
    "svc": "https://w3id.org/ontoidps/ontologies#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def json_cost(text: str) -> int:
    """Bytes that JSON text takes in a Turtle literal in an XML stanza, at most."""
    quoted = sum(text.count(c) for c in "\"'&<>")
    return len(text.encode("utf-8")) + 6 * quoted + text.count("\\")


def term(value: Any) -> dict[str, str]:
    """One RDF term (SPARQL 1.1 Query Results JSON Format, section 3.2.2)."""
    if isinstance(value, NamedNode):
        return {"type": "uri", "value": value.value}
    if isinstance(value, BlankNode):
        return {"type": "bnode", "value": value.value}
    if isinstance(value, Literal):
        found = {"type": "literal", "value": value.value}
        if value.language:
            found["xml:lang"] = value.language
        elif value.datatype.value != _PREFIXES["xsd"] + "string":
            found["datatype"] = value.datatype.value
        return found
    return {"type": "literal", "value": str(value)}  # a triple term (RDF 1.2); none is stored


def answer(store: Store, sparql: str, rows: int, cost: int) -> dict[str, Any]:
    """``{"results", "truncated"}`` or ``{"error"}``."""
    # What nothing is called gives no row, and no reason for that.
    wrong = unknown_terms(
        sparql, _PREFIXES["idps"], _PREFIXES, lambda iri: _named(store, iri), lambda: _terms(store)
    )
    if wrong:
        return {"error": f"not answered: {wrong}"}
    try:
        found = store.query(sparql, prefixes=_PREFIXES, use_default_graph_as_union=True)
        if isinstance(found, QueryBoolean):
            results: dict[str, Any] = {"head": {}, "boolean": bool(found)}
            return {"results": json.dumps(results), "truncated": False}
        if isinstance(found, QueryTriples):
            return _graph(found, rows, cost)
        if not isinstance(found, QuerySolutions):
            return {"error": "only questions are answered"}
        names = [variable.value for variable in found.variables]
        bindings: list[dict[str, Any]] = []
        truncated = False
        for solution in found:
            row = {name: term(solution[name]) for name in names if solution[name] is not None}
            cost -= json_cost(json.dumps(row)) + 2
            if len(bindings) == rows or cost < 0:
                truncated = True
                break
            bindings.append(row)
    except SyntaxError as e:
        return {"error": f"not answered: {syntax(sparql, str(e), _PREFIXES)}"}
    except (ValueError, OSError) as e:
        return {"error": f"not answered: {' '.join(str(e).split())[:300]}"}
    results = {"head": {"vars": names}, "results": {"bindings": bindings}}
    return {"results": json.dumps(results), "truncated": truncated}


def _terms(store: Store) -> Iterable[str]:
    """Local names of the classes and properties of the ontology."""
    for kind in ("Class", "ObjectProperty", "DatatypeProperty", "AnnotationProperty"):
        for quad in store.quads_for_pattern(None, _TYPE, NamedNode(_PREFIXES["owl"] + kind), None):
            if isinstance(quad.subject, NamedNode):
                if quad.subject.value.startswith(_PREFIXES["idps"]):
                    yield quad.subject.value.removeprefix(_PREFIXES["idps"])


def _named(store: Store, iri: str) -> bool:
    """Does anything name it? Without an ontology, everything may be a name."""
    node = NamedNode(iri)
    if any(True for _ in store.quads_for_pattern(node, None, None, None)):
        return True
    if any(True for _ in store.quads_for_pattern(None, node, None, None)):
        return True
    if any(True for _ in store.quads_for_pattern(None, None, node, None)):
        return True
    return next(iter(_terms(store)), None) is None


def _graph(triples: Iterable[Any], rows: int, cost: int) -> dict[str, Any]:
    """A graph as N-Triples, each triple once; no more than rows and cost allow."""
    lines: dict[str, None] = {}
    truncated = False
    for triple in triples:
        line = f"{triple} .\n"
        if line in lines:
            continue
        cost -= json_cost(json.dumps(line))
        if len(lines) == rows or cost < 0:
            truncated = True
            break
        lines[line] = None
    results = {"head": {}, "graph": "".join(lines)}
    return {"results": json.dumps(results), "truncated": truncated}


def main() -> int:
    question = json.load(sys.stdin.buffer)
    confine_worker(read=[Path(question["path"])])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    store = Store.read_only(question["path"])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    # What it took to come here is no part of what the question costs.
    cpu_s = question["cpu_s"] + int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    sys.stdout.write(" ")
    sys.stdout.flush()
    json.dump(answer(store, question["sparql"], question["rows"], question["cost"]), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
