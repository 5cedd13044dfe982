"""`check_files`: every check, in the order in which one depends on the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ontology.checking.logic import LogicUnavailable, check_logic
from ontology.checking.problem import Problem
from ontology.checking.rules import check_rules, check_together
from ontology.checking.terms import check_terms, read_vocabulary
from ontology.checking.trial import Trial, changed_rules, try_rules
from ontology.checking.wording import Wording
from ontology.knowledge_base import (
    KnowledgeBase,
    KnowledgeBaseError,
    OwlFile,
    enabled_ntriples,
    in_import_order,
    read_owl_file,
)
from ontology.reasoner.inferences import ReasonerUnavailable
from ontology.rule_outcomes import OutcomeError, incident_classes, read_outcomes
from ontology.swrl import Rule, read_rules
from ontology.theory import Theory, TheoryError


def check_files(
    paths: Sequence[Path],
    *,
    required: frozenset[str] = frozenset(),
    logic: bool = True,
    before: Sequence[Path] | None = None,
) -> list[Problem]:
    """All problems of files that belong together, file by file. Blocks, with ``logic`` for seconds.

    Args:
        paths: Ontology and rule files in any order; what they import must be among them.
        required: IRIs of terms that must be declared, because agents use them.
        logic: Also profile, consistency and satisfiability (a Java process).
        before: The files that were good; rules that are new since are tried at window size, in a
            worker of their own. None: no rule is tried.
    """
    problems: list[Problem] = []
    files: list[OwlFile] = []
    for number, path in enumerate(paths):
        try:
            files.append(read_owl_file(path, number))
        except KnowledgeBaseError as e:
            problems.append(_from_error(e, [path], "syntax"))
    if problems:
        return problems
    try:
        files = list(in_import_order(files))
    except KnowledgeBaseError as e:
        return [_from_error(e, paths, "import")]
    problems += check_read(files, required=required)
    if any(problem.level == "error" for problem in problems):
        return problems
    try:
        with KnowledgeBase(paths) as knowledge:
            theory = Theory.from_ntriples(knowledge.ntriples())
    except KnowledgeBaseError as e:
        return [*problems, _from_error(e, paths, "owlready2")]
    except TheoryError as e:
        return [*problems, Problem(path=paths[0], code="theory", where="", message=str(e))]
    if logic:
        try:
            ordered = [file.path for file in files]
            illogical = list(check_logic(ordered, theory, before=before or ()))
            tried = [] if before is None else check_trial(ordered, before)
            problems += together(illogical, tried)
        except LogicUnavailable as e:
            problems.append(Problem(path=files[0].path, code="logic", where="", message=str(e)))
    return problems


def together(illogical: Sequence[Problem], tried: Sequence[Problem]) -> list[Problem]:
    """What plain alerts contradict is told once, by the rule that was tried with its own."""
    named = any(problem.level == "error" for problem in tried)
    return [*(p for p in illogical if not (named and p.code == "pellet")), *tried]


def check_trial(paths: Sequence[Path], before: Sequence[Path]) -> list[Problem]:
    """Try the rules that are new since ``before`` at window size. Blocks for seconds.

    Raises: LogicUnavailable; KnowledgeBaseError, TheoryError where the files are no good.
    """
    files = [read_owl_file(path, number) for number, path in enumerate(paths)]
    vocabulary = read_vocabulary(files)
    tried = changed_rules(files, [read_owl_file(path) for path in before], vocabulary)
    if not tried:
        return []

    def theory_without(labels: Collection[str]) -> Theory:
        return Theory.from_ntriples(enabled_ntriples(files, without=labels))

    try:
        with Trial() as trial:
            wording = Wording(files, vocabulary)
            return list(try_rules(trial, tried, vocabulary, wording, theory_without))
    except ReasonerUnavailable as e:
        raise LogicUnavailable(f"the rules can't be tried: {e}") from e


def check_read(files: Sequence[OwlFile], *, required: frozenset[str]) -> list[Problem]:
    """What can be said without Java: names, literals and rules. Takes milliseconds."""
    problems: list[Problem] = []
    vocabulary = read_vocabulary(files)
    missing = sorted(iri for iri in required if not vocabulary.knows(iri))
    if missing:
        names = ", ".join(iri.rpartition("#")[2] for iri in missing[:5])
        problems.append(
            Problem(
                path=files[0].path,
                code="missing-term",
                where="",
                message=f"terms that agents use are gone: {names}",
            )
        )
    incidents = incident_classes([triple for file in files for triple in file.triples])
    for file in files:
        try:
            read_outcomes(file.triples, incidents)
        except OutcomeError as e:
            problems.append(Problem(path=file.path, code="outcome", where="", message=str(e)))
    together: list[tuple[OwlFile, Rule]] = []
    for file in files:
        rules = read_rules(file.triples)
        problems += check_terms(file, vocabulary)
        problems += check_rules(file, rules, vocabulary)
        together += [(file, rule) for rule in rules]
    problems += check_together(together, vocabulary)
    return problems


def _from_error(error: KnowledgeBaseError, paths: Sequence[Path], code: str) -> Problem:
    """These messages begin with the path of the file that they are about."""
    message = str(error)
    path = next((p for p in paths if message.startswith(f"{p}: ")), paths[0])
    return Problem(path=path, code=code, where="", message=message.removeprefix(f"{path}: "))
