"""``ontoidps ontology check FILE…``: what is wrong with ontology and rule files, a line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from agents.commands.replay import printable
from ontology.checking.check_files import check_files
from ontology.checking.problem import Problem
from ontology.knowledge_base import KnowledgeBaseError, ontology_path, read_owl_file
from ontology.vocabulary import TERMS
from rules.shipped_files import paper_rules_path, rule_paths


def add_arguments(words: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    checker = words.add_parser(
        "check", help="say what is wrong with ontology and rule files, a line each"
    )
    checker.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="checked together with the shipped files, in place of the one of the same IRI",
    )
    checker.add_argument(
        "--quick",
        action="store_true",
        help="without Java: no profile, no consistency, no rule tried",
    )
    checker.add_argument("--json", action="store_true", help="one JSON object a finding")


def run(arguments: argparse.Namespace) -> int:
    """0 without errors; warnings are printed, but are none."""
    paths = together(arguments.files)
    # All rules of what is installed, the new ones of what is given.
    before = _shipped() if arguments.files else ()
    problems = check_files(paths, required=TERMS, logic=not arguments.quick, before=before)
    for problem in problems:
        _print(problem, as_json=arguments.json)
    errors = sum(problem.level == "error" for problem in problems)
    if not arguments.json:
        names = ", ".join(path.name for path in paths)
        print(f"{errors} errors, {len(problems) - errors} warnings in {printable(names)}")
    return 1 if errors else 0


def together(given: Sequence[Path]) -> list[Path]:
    """The shipped files, each replaced by the given one of its IRI, and what else is given."""
    shipped = {read_owl_file(path).iri: path for path in _shipped()}
    added = []
    for path in given:
        try:
            iri = read_owl_file(path).iri
        except KnowledgeBaseError:
            iri = ""  # `check_files` says what is wrong with it
        if iri in shipped:
            shipped[iri] = path
        else:
            added.append(path)
    return [*shipped.values(), *added]


def _shipped() -> tuple[Path, ...]:
    return (ontology_path(), *rule_paths(), paper_rules_path())


def _print(problem: Problem, *, as_json: bool) -> None:
    if not as_json:
        print(printable(str(problem)))
        return
    print(
        json.dumps(
            {
                "file": str(problem.path),
                "level": problem.level,
                "code": problem.code,
                "where": problem.where,
                "message": " ".join(problem.message.split()),
            }
        )
    )
