"""Ten rules that would take a system down, or nearly: each is refused by name, with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from ontology.checking import trial as trial_module
from ontology.checking.check_files import check_read
from ontology.checking.problem import Problem
from ontology.checking.terms import read_vocabulary
from ontology.checking.trial import Trial, changed_rules, slowness, try_rules
from ontology.checking.wording import Wording
from ontology.knowledge_base import KnowledgeBase, ontology_path, read_owl_file
from ontology.swrl import read_rules
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE, TERMS
from rules.shipped_files import rule_paths
from tests.ontology.checking.protege import saved_by_protege
from tests.ontology.checking.rule_texts import rule

VARIABLES = "".join(f'<swrl:Variable rdf:about="urn:swrl:var#{v}"/>' for v in "abcdehstxyz")
FIVE = ", ".join(f"involvesTarget(?{v}, ?h), Alert(?{v})" for v in "abcde")
HOST = "involvesTarget(?a, ?h), ipAddress(?h, ?x)"
TEN: dict[str, tuple[str, str, str]] = {
    # kind: (the rule, code, words of the line)
    "five-way join": (f"{FIVE} -> multiHoneypotScan(?a, ?e)", "too-dear", "5 alerts joined: 300"),
    "cartesian product": (
        "Scan(?a), Flood(?b) -> multiHoneypotScan(?a, ?b)",
        "not-local",
        "{?a} and {?b} share no host",
    ),
    "feeds itself": (
        "correlatedWith(?a, ?b), correlatedWith(?b, ?c) -> correlatedWith(?a, ?c)",
        "too-dear",
        "3 alerts joined: 300",
    ),
    "throws": (
        "count(?a, ?x), swrlb:pow(?y, ?x, 2000000000^^integer), "
        "swrlb:greaterThan(?y, 1^^integer) -> FloodFinding(?a)",
        "rule-fails",
        "BigInteger would overflow",
    ),
    "text for a number": (
        f"{HOST}, swrlb:greaterThan(?x, 5^^integer) -> FloodFinding(?a)",
        "compared-kinds",
        "wants numbers, gets number and string",
    ),
    "contradiction": (
        "SynScan(?a) -> Host(?a)",
        "inconsistent",
        "makes SynScan a Host; Alert is a kind of Event (ontoidps.owl); Event is a kind of Record "
        "(ontoidps.owl); Host and Record are disjoint (ontoidps.owl)",
    ),
    "about everything": (
        "Alert(?a), verifiedSource(?a, true) -> BlockCandidate(?a)",
        "over-broad",
        "BlockCandidate(?a) of every alert",
    ),
    "no such built-in": (
        "count(?a, ?x), swrlb:isPrime(?x) -> FloodFinding(?a)",
        "builtin-not-run",
        "swrlb:isPrime",
    ),
    "head out of nowhere": ("Scan(?a) -> FloodFinding(?b)", "unbound-head", "?b does not occur"),
    "pattern that backtracks": (
        f'{HOST}, swrlb:matches(?x, "PATTERN"^^string) -> FloodFinding(?a)',
        "slow-pattern",
        "repeats within repeats",
    ),
}


class Bench:
    """The shipped files with one more rule, and one worker for all trials."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        self._before = [read_owl_file(path) for path in (ontology_path(), *rule_paths())]
        self._paths = [Path(shutil.copy(file.path, folder)) for file in self._before]
        self._trial = trial

    def check(self, *rules: str) -> list[Problem]:
        """As the check of an edit does, which gives each a worker of its own."""
        text = "".join((VARIABLES, *rules, "</rdf:RDF>"))
        whole = self._before[1].data.decode().replace("</rdf:RDF>", text)
        self._paths[1].write_text(whole, encoding="utf-8")
        files = [read_owl_file(path, number) for number, path in enumerate(self._paths)]
        found = check_read(files, required=TERMS)
        if any(problem.level == "error" for problem in found):
            return found
        vocabulary = read_vocabulary(files)
        tried = changed_rules(files, self._before, vocabulary)
        assert len(tried) == len(rules)
        wording = Wording(files, vocabulary)
        return [*found, *try_rules(self._trial, tried, vocabulary, wording, self._theory)]

    def _theory(self, without: Collection[str]) -> Theory:
        with KnowledgeBase(self._paths) as knowledge:
            return Theory.from_ntriples(knowledge.ntriples(without=without))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Trial(cpu_s=1.5) as trial:  # what fails, fails at any limit
        yield Bench(tmp_path_factory.mktemp("trial"), trial)


@pytest.mark.parametrize("kind", TEN)
def test_a_bad_rule_is_named_with_the_reason(kind: str, bench: Bench) -> None:
    text, code, words = TEN[kind]
    found = [
        p for p in bench.check(rule(text, "Bad").replace("PATTERN", "([0-9]+)+x")) if p.code == code
    ]
    assert [p.where for p in found] == ["rule 'Bad'"], found
    assert words in str(found[0]) and found[0].path.name == "correlation.owl"
    assert found[0].level == ("warning" if code == "over-broad" else "error")


def test_of_several_new_rules_the_guilty_one_is_named(bench: Bench) -> None:
    good = rule("involvesTarget(?a, ?h), Gateway(?h), Flood(?a) -> OwnHostFinding(?a)", "Good")
    found = bench.check(good, rule(TEN["throws"][0], "Bad"))
    assert [p.where for p in found if p.level == "error"] == ["rule 'Bad'"]


def test_only_what_may_have_changed_is_tried(tmp_path: Path) -> None:
    files = [read_owl_file(path) for path in (ontology_path(), *rule_paths())]
    vocabulary = read_vocabulary(files)
    assert changed_rules(files, files, vocabulary) == []
    # Protégé puts the atoms in an order of its own: the same rule, which is not tried again.
    own = ontology_path(), *rule_paths()
    shuffled = tmp_path / "correlation.owl"
    shuffled.write_bytes(saved_by_protege(own[0], own[1].read_text(encoding="utf-8"), tmp_path))
    others = [files[0], read_owl_file(shuffled), *files[2:]]
    texts = [[str(r) for r in read_rules(f.triples)] for f in (files[1], others[1])]
    assert sorted(texts[0]) != sorted(texts[1])
    assert changed_rules(others, files, vocabulary) == []
    edited = tmp_path / "ontoidps.owl"
    transitive = (
        f'<rdf:Description rdf:about="{NAMESPACE}correlatedWith"><rdf:type rdf:resource='
        '"http://www.w3.org/2002/07/owl#TransitiveProperty"/></rdf:Description></rdf:RDF>'
    )
    edited.write_bytes(files[0].data.replace(b"</rdf:RDF>", transitive.encode()))
    tried = changed_rules([read_owl_file(edited), *files[1:]], files, vocabulary)
    labels = {found.label for _, found in tried}
    # Those that read or conclude such pairs, whatever file they stand in.
    assert {"IndirectCorrelation", "BlockCandidate", "ScanThenExploit"} <= labels
    assert not labels & {"FloodOnHost", "BlockCandidateFinding"}


def test_a_slow_machine_has_more_time_and_never_less(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1.0 <= slowness() <= trial_module.MOST_SLOW
    for pace, expected in ((1e9, 1.0), (1e-9, trial_module.MOST_SLOW)):
        monkeypatch.setattr(trial_module, "PACE_S", pace)
        assert slowness() == expected
        assert Trial(cpu_s=2.0).cpu_s == 2.0 * expected
