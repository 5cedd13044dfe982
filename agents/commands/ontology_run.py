"""``ontoidps ontology run``: draw the conclusions of a window file once more."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agents.commands.replay import printable
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window_file import MAX_FILE_BYTES, WindowFileError, read_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE

TIMEOUT_S = 120.0


def add_arguments(words: Any) -> None:
    """Adds the word to the parser's sub-commands."""
    runner = words.add_parser("run", help="what follows from a window file (replay --owl)")
    runner.add_argument("file", type=Path, metavar="FILE", help="RDF/XML, also as Protégé saves it")
    runner.add_argument("--json", action="store_true", help="one JSON object a conclusion")


def run(arguments: argparse.Namespace) -> int:
    """0. Raises: ValueError, OSError, ReasonerError with one line."""
    with arguments.file.open("rb") as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    try:
        read = read_window(data)
        worker = PelletWorker(Theory.from_ntriples(read.knowledge))
    except WindowFileError as e:
        raise WindowFileError(f"{arguments.file}: {e}") from e
    try:
        found = worker.reason(read.window, TIMEOUT_S)
    finally:
        worker.close()
    rows = [(m.explanation.rule, m.name, [m.individual]) for m in found.members]
    rows += [(p.explanation.rule, p.property, [p.subject, p.object]) for p in found.pairs]
    rows += [(v.explanation.rule, v.property, [v.subject, v.value]) for v in found.values]
    for rule, name, arguments_ in sorted(rows):
        if arguments.json:
            print(json.dumps({"conclusion": name, "arguments": arguments_, "rule": rule}))
        else:
            short = ", ".join(a.removeprefix(NAMESPACE) for a in arguments_)
            print(printable(f"{name}({short})" + (f"  by {rule}" if rule else "")))
    return 0
