"""``ontoidps ontology query|assert|retract|translate|diff``: ask, tell, compare."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyoxigraph import RdfFormat, parse, serialize

from agents.commands.replay import printable
from agents.console.client import ConsoleClient
from agents.knowledge.files import knowledge_paths
from agents.ontology.archive import Archive
from agents.ontology.descriptions import SERVICE_IRI, describe
from agents.ontology.query import QueryRunner
from agents.settings.honeynet import load_settings
from ontology.authoring.difference import differences
from ontology.authoring.translation import ONTOIDPSMA_IRI, translate
from ontology.clusters_file import clusters_path, read_clusters
from ontology.fragments import MAX_BYTES
from ontology.knowledge_base import KnowledgeBase, read_owl_file
from ontology.vocabulary import NAMESPACE, ONTOLOGY_IRI

WORDS = ("query", "assert", "retract", "translate", "diff")
_TARGETS = {"ontoidps": ONTOLOGY_IRI, "ontoidpsma": ONTOIDPSMA_IRI}
_FORMATS = {".ttl": RdfFormat.TURTLE, ".nt": RdfFormat.N_TRIPLES, ".owl": RdfFormat.RDF_XML}


def add_arguments(words: Any) -> None:
    """Adds the words to the parser's sub-commands."""
    asker = words.add_parser("query", help="ask in SPARQL, the running honeynet or the files")
    asker.add_argument(
        "question",
        nargs="+",
        metavar="[HONEYNET.toml] SPARQL",
        help="without honeynet.toml: the shipped ontology, rules and clusters",
    )
    asker.add_argument("--json", action="store_true", help="SPARQL 1.1 results in JSON")
    for word, what in (("assert", "have facts held for true"), ("retract", "take them back")):
        teller = words.add_parser(word, help=f"{what} by a running honeynet")
        teller.add_argument("file", type=Path, help="honeynet.toml")
        teller.add_argument("facts", type=Path, nargs="+", metavar="FACTS", help=".ttl, .nt, .owl")
        teller.add_argument("--reason", required=True, help="kept in the audit trail")
        teller.add_argument("--json", action="store_true", help="one JSON object")
    translator = words.add_parser("translate", help="a fragment to or from OntoIDPSMA's names")
    translator.add_argument("file", type=Path, metavar="FILE", help="Turtle")
    translator.add_argument("--to", choices=sorted(_TARGETS), required=True)
    differ = words.add_parser("diff", help="what differs between two versions of a file")
    differ.add_argument("before", type=Path, metavar="A")
    differ.add_argument("after", type=Path, metavar="B")


def run(arguments: argparse.Namespace) -> int:
    """0; 1 if two versions differ. Raises: ValueError, ConsoleError with one line."""
    match arguments.word:
        case "query":
            return _query(arguments.question, as_json=arguments.json)
        case "translate":
            found = translate(_text(arguments.file), _TARGETS[arguments.to])
            print("\n".join(map(printable, found.fragment.expandtabs(4).split("\n"))))
            for loss in found.losses:
                print(printable(f"lost: {loss}"), file=sys.stderr)
            return 0
        case "diff":
            lines = list(
                differences(read_owl_file(arguments.before), read_owl_file(arguments.after))
            )
            for line in lines:
                print(printable(line))
            return 1 if lines else 0
    with ConsoleClient(load_settings(arguments.file)) as console:
        said = console.facts(arguments.word, _facts(arguments.facts), reason=arguments.reason)
    print(json.dumps(said) if arguments.json else printable(said["detail"]))
    return 0


def _query(question: Sequence[str], *, as_json: bool) -> int:
    if len(question) > 2:
        raise ValueError(f"{len(question)} arguments; put the SPARQL text in quotes")
    if len(question) == 2:
        with ConsoleClient(load_settings(Path(question[0]))) as console:
            found = console.query(question[1])
    else:
        found = ask_files(question[0])
    if as_json:
        print(json.dumps({k: v for k, v in found.items() if v is not None}))
    else:
        _table(found)
    if found["truncated"]:
        print("there are more rows: use LIMIT and OFFSET", file=sys.stderr)
    return 0


def ask_files(sparql: str) -> dict[str, Any]:
    """The question put to the files that agents work with; with the same limits.

    Raises: QueryRefused (a ValueError).
    """
    with tempfile.TemporaryDirectory(prefix="ontoidps-query-") as folder:
        archive = Archive(Path(folder) / "archive")
        try:
            with KnowledgeBase(knowledge_paths()) as knowledge:
                archive.set_ontology(knowledge.ntriples(), knowledge.version)
                rules = knowledge.rules()
                said = describe(knowledge_paths(), knowledge.version, rules)
                archive.set_graph(SERVICE_IRI, said)
            archive.set_clusters(read_clusters(clusters_path()).triples)
            results, truncated = QueryRunner(archive, Path(folder)).run(sparql)
        finally:
            archive.close()
    found: dict[str, Any] = json.loads(results)
    return found | {"truncated": truncated}


def _table(found: dict[str, Any]) -> None:
    if found.get("boolean") is not None:
        print("true" if found["boolean"] else "false")
        return
    if found.get("graph") is not None:
        print("\n".join(map(printable, found["graph"].splitlines())))
        return
    names = found["head"]["vars"]
    rows = [
        [_cell(row[name]["value"]) if name in row else "" for name in names]
        for row in found["results"]["bindings"]
    ]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in [names, *rows]:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _cell(value: str) -> str:
    short = value.replace(NAMESPACE, "idps:").replace(SERVICE_IRI + "#", "svc:")
    return printable(short.replace("\n", " "))


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{str(path)!r}: more than {MAX_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as e:
        raise ValueError(f"{str(path)!r}: not UTF-8: {e.reason} at byte {e.start}") from e


def _facts(paths: Sequence[Path]) -> str:
    triples = []
    for path in paths:
        if path.suffix not in _FORMATS:
            raise ValueError(f"{str(path)!r}: must end in {', '.join(_FORMATS)}")
        try:
            triples += list(parse(_text(path), format=_FORMATS[path.suffix]))
        except SyntaxError as e:
            raise ValueError(f"{str(path)!r}: {' '.join(str(e).split())}") from e
    facts = [t.triple for t in triples if not _declares(t)]
    text = serialize(facts, format=RdfFormat.TURTLE, prefixes={"idps": NAMESPACE}) or b""
    return text.decode()


def _declares(quad: Any) -> bool:
    """Protégé writes these into every file; they are no facts."""
    kind = getattr(quad.object, "value", "")
    return kind in (
        "http://www.w3.org/2002/07/owl#Ontology",
        "http://www.w3.org/2002/07/owl#NamedIndividual",
    ) or quad.predicate.value.startswith("http://www.w3.org/2002/07/owl#imports")
