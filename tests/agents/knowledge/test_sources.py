"""Edits: compiled and checked apart from where people edit, in force as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agents.knowledge.files import FileSet
from agents.knowledge.sources import Sources
from agents.settings.honeynet import Policy
from ontology.knowledge_base import KnowledgeBaseError

POLICY = "reaction_policy.tsv"
TABLE_EDIT = (POLICY, "Bots that guess Telnet passwords", "Those who guess Telnet passwords")
MODEL_EDIT = ("attacks.owl", ">host-sweep<", ">sweep-of-hosts<")
ENABLED = 'isRuleEnabled rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">'


class Bench:
    """The installed files, an agent's state, and what was asked of Java."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self._state = folder, state
        self.asked: list[Sequence[Path]] = []
        self.against: Callable[[Sequence[Path]], str] = lambda _: ""
        self.sources = self.restart()

    def restart(self) -> Sources:
        self.sources = Sources(
            self._state, Policy(), origin="ontology.gw1@honeynet.test", check=self._check
        )
        return self.sources

    def _check(
        self, paths: Sequence[Path], ntriples: bytes, before: Sequence[Path]
    ) -> Sequence[str]:
        self.asked.append(paths)
        if against := self.against(paths):
            raise ValueError(against)
        return ()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def in_force(self, name: str) -> str:
        assert self.sources.in_force is not None
        return self.sources.in_force.files.contents[name].decode("utf-8")

    @property
    def version(self) -> str:
        assert self.sources.in_force is not None
        return self.sources.in_force.kept.version


@pytest.fixture
def bench(installed: Path, tmp_path: Path) -> Bench:
    return Bench(installed, tmp_path / "state")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_shipped_is_in_force_without_java(bench: Bench, shipped: FileSet) -> None:
    assert bench.sources.start(5) == ""
    assert bench.asked == []
    assert bench.sources.in_force is not None
    # A receiver that has the shipped files need not be sent anything.
    assert bench.sources.in_force.files == shipped
    assert bench.version == f"1.0.0+{shipped.digest[:12]}"
    assert not bench.sources.take_over(6), "nothing has changed"
    assert bench.restart().start(9) == ""
    assert bench.sources.in_force is not None and bench.sources.in_force.kept.changed_us == 5


def test_an_edit_of_a_table_makes_reaction_rules_without_java(bench: Bench) -> None:
    bench.sources.start(1)
    before, installed = bench.version, contents(bench.folder)
    bench.edit(*TABLE_EDIT)
    assert bench.sources.take_over(2)
    assert bench.asked == [] and bench.version != before
    assert "Those who guess Telnet passwords" in bench.in_force("reactions.ttl")
    changed = {name for name, data in contents(bench.folder).items() if installed[name] != data}
    assert changed == {POLICY}, "nothing is written where people edit"


def test_an_edit_of_a_model_makes_rules_that_are_checked_first(bench: Bench) -> None:
    bench.sources.start(1)
    before, installed = bench.version, contents(bench.folder)
    bench.edit(*MODEL_EDIT)
    bench.against = lambda paths: f"{paths[-1]}: Pellet says no"
    with pytest.raises(KnowledgeBaseError) as refused:
        bench.sources.take_over(2)
    where = bench.folder / "attacks.owl"
    assert str(refused.value) == f"scenarios.owl (made from {where}): Pellet says no"
    assert bench.version == before
    bench.against = lambda _: ""
    assert bench.sources.take_over(3)
    assert len(bench.asked) == 2 and bench.version != before
    assert "sweep-of-hosts makes" in bench.in_force("scenarios.owl")
    changed = {name for name, data in contents(bench.folder).items() if installed[name] != data}
    assert changed == {"attacks.owl"}


def test_a_rule_that_was_switched_off_stays_off_when_models_change(bench: Bench) -> None:
    """Somebody unticked a generated rule in Protégé."""
    bench.sources.start(1)
    text = (bench.folder / "scenarios.owl").read_text(encoding="utf-8")
    label = "<rdfs:label>SadmindProbeThenSadmindOverflow</rdfs:label>"
    before, after = text.split(label)
    head, tail = before.rsplit(f"{ENABLED}true<", 1)
    off = f"{head}{ENABLED}false<{tail}{label}{after}"
    (bench.folder / "scenarios.owl").write_text(off, encoding="utf-8")
    assert bench.folder / "scenarios.owl" in bench.sources.watched()
    assert bench.sources.take_over(2)
    assert bench.in_force("scenarios.owl") == off
    bench.edit(*MODEL_EDIT)
    assert bench.sources.take_over(3)
    found = bench.in_force("scenarios.owl")
    assert "sweep-of-hosts makes" in found and found.count(f"{ENABLED}false<") == 1
    assert bench.sources.in_force is not None
    (rule,) = [r for r in bench.sources.in_force.knowledge.rules if not r.enabled]
    assert rule.label == "SadmindProbeThenSadmindOverflow"


def test_an_edit_while_the_agent_was_down_is_made_up_for_and_checked(bench: Bench) -> None:
    bench.sources.start(1)
    before = bench.version
    bench.edit(*MODEL_EDIT)
    assert bench.restart().start(2) == ""
    assert bench.version != before and len(bench.asked) == 1
    assert "sweep-of-hosts makes" in bench.in_force("scenarios.owl")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (POLICY, "block\t4\t", "block\tfour\t", "reaction_policy.tsv:6: factor"),
        (POLICY, "BruteForce\ttelnet", "BruteForc\ttelnet", "attack 'BruteForc' is no class"),
        ("attacks.owl", ">RpcProbe<", ">RpcProb<", "attacks.owl: model "),
        ("attacks.owl", "</rdf:RDF>", "", "attacks.owl: not RDF/XML: no element"),
        ("correlation.owl", "</rdf:RDF>", "", "correlation.owl: not RDF/XML"),
        ("scenarios.owl", "</rdf:RDF>", "", "scenarios.owl: not RDF/XML"),
    ],
)
def test_a_bad_edit_is_one_line_and_changes_nothing(
    bench: Bench, name: str, old: str, new: str, said: str
) -> None:
    bench.sources.start(1)
    before, good = bench.version, (bench.folder / name).read_bytes()
    bench.edit(name, old, new)
    with pytest.raises(KnowledgeBaseError) as refused:
        bench.sources.take_over(2)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert str(bench.folder / name) in str(refused.value), "the file that a person can mend"
    assert bench.version == before
    # An agent that starts meanwhile comes up with what was in force, and says it.
    assert said in bench.restart().start(3)
    assert bench.version == before
    (bench.folder / name).write_bytes(good)
    assert not bench.sources.take_over(4)


def test_nothing_is_in_force_if_nothing_ever_was_any_good(bench: Bench) -> None:
    bench.edit("ontoidps.owl", "</rdf:RDF>", "")
    assert "ontoidps.owl: not RDF/XML" in bench.sources.start(1)
    assert bench.sources.in_force is None and bench.sources.last_version() == ""


def test_a_damaged_store_is_no_reason_to_stay_down(bench: Bench, tmp_path: Path) -> None:
    bench.sources.start(1)
    before = bench.version
    (tmp_path / "state" / "in-force.json").write_text("{")
    assert bench.restart().start(2) == ""
    assert bench.version == before


def test_a_clock_that_went_back_gives_no_older_version(bench: Bench) -> None:
    bench.sources.start(1_000)
    bench.edit(*TABLE_EDIT)
    bench.sources.take_over(10)
    assert bench.sources.in_force is not None
    assert bench.sources.in_force.kept.changed_us == 1_001


def test_files_that_are_gone_or_can_not_be_kept_are_named(bench: Bench, tmp_path: Path) -> None:
    bench.sources.start(1)
    before = bench.version
    text = (bench.folder / POLICY).read_bytes()
    (bench.folder / POLICY).unlink()
    with pytest.raises(KnowledgeBaseError, match=r"reaction_policy\.tsv: No such file"):
        bench.sources.take_over(2)
    (bench.folder / POLICY).write_bytes(text)
    bench.edit(*TABLE_EDIT)
    state = tmp_path / "state"
    state.rename(tmp_path / "gone")
    state.write_text("a file where the folder was")
    with pytest.raises(KnowledgeBaseError, match=f"{state}.*: "):
        bench.sources.take_over(3)
    assert bench.version == before


def test_a_switch_by_hand_outlasts_edits_and_a_restart(bench: Bench) -> None:
    generated, by_hand = "SadmindProbeThenSadmindOverflow", "ScanThenExploit"
    bench.sources.start(1)
    installed = contents(bench.folder)
    for label in (generated, by_hand):
        assert bench.sources.switch(label, False, "user:ana: too loud", 2)
    assert contents(bench.folder) == installed, "nothing is written where people edit"

    def off() -> set[str]:
        assert bench.sources.in_force is not None
        return {r.label for r in bench.sources.in_force.knowledge.rules if not r.enabled}

    assert off() == {generated, by_hand} and len(bench.asked) == 2
    bench.edit(*MODEL_EDIT)  # or the next release
    bench.restart().start(5)
    assert off() == {generated, by_hand} and "sweep-of-hosts" in bench.in_force("scenarios.owl")
    assert bench.sources.switched[by_hand].why == "user:ana: too loud"
    # An edit that Pellet refuses leaves the switch as it was.
    bench.against = lambda _: "Pellet says no"
    with pytest.raises(KnowledgeBaseError, match="Pellet says no"):
        bench.sources.switch(by_hand, True, "user:ana: again", 6)
    assert not bench.sources.switched[by_hand].on and off() == {generated, by_hand}
    with pytest.raises(KnowledgeBaseError, match="there is no rule 'Nothing' in force"):
        bench.sources.switch("Nothing", False, "user:ana: x", 7)


def test_what_failed_in_use_is_taken_back_and_refused_until_it_is_changed(bench: Bench) -> None:
    bench.sources.start(1)
    before, installed = bench.version, contents(bench.folder)
    bench.edit("correlation.owl", "tries passwords on the same", "tries words on the same")
    assert bench.sources.take_over(2)
    assert bench.sources.in_force is not None
    failed = bench.sources.in_force.kept.digest
    assert bench.sources.take_back("another", "no", 3) == ""
    said = bench.sources.take_back(failed, "two windows\nfailed", 3)
    assert said == f"{bench.folder / 'correlation.owl'}: two windows; and 1 more"
    assert bench.version == before and bench.sources.in_force.kept.changed_us == 3
    assert bench.sources.take_back(failed, "again", 4) == "", "it is not in force any more"
    # Another edit doesn't bring it back, and neither does a restart.
    bench.edit(*TABLE_EDIT)
    for attempt in (lambda: bench.sources.take_over(5), lambda: bench.restart().start(6)):
        try:
            assert said in str(attempt())
        except KnowledgeBaseError as e:
            assert str(e) == f"{said}; refused until it is changed"
        assert bench.version == before
    (bench.folder / "correlation.owl").write_bytes(installed["correlation.owl"])
    assert bench.sources.take_over(7) and bench.version != before, "the table is in force"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_what_editors_put_before_the_text_is_taken_or_refused_in_a_line(
    bench: Bench, encoding: str
) -> None:
    bench.sources.start(1)
    before = bench.version
    path = bench.folder / "correlation.owl"
    text = path.read_text(encoding="utf-8").replace("tries passwords", "tries words")
    path.write_text(text, encoding=encoding)
    try:
        assert bench.sources.take_over(2) and bench.version != before
    except KnowledgeBaseError as e:
        assert str(e).startswith(f"{path}: ") and "\n" not in str(e) and bench.version == before


def test_of_two_editors_the_last_one_counts_and_half_a_file_changes_nothing(bench: Bench) -> None:
    bench.sources.start(1)
    path = bench.folder / "correlation.owl"
    whole = path.read_bytes()
    one = whole.replace(b"tries passwords", b"tries words")
    other = whole.replace(b"attacks a weakness", b"attacks a flaw")
    path.write_bytes(one)
    path.write_bytes(other)  # who saved last, saved
    assert bench.sources.take_over(2)
    version = bench.version
    mixed = other[: len(other) // 2]
    path.write_bytes(mixed)
    with pytest.raises(KnowledgeBaseError, match="not RDF/XML"):
        bench.sources.take_over(3)
    assert bench.version == version
    path.write_bytes(other)
    assert not bench.sources.take_over(4), "it is again what is in force"
