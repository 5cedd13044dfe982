"""Edits of attack models and policy tables: compiled when all is well, else nothing changes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.knowledge.sources import PolicySources
from agents.knowledge.watch import Knowledge, load_knowledge
from ontology.knowledge_base import KnowledgeBaseError, ontology_path
from rules.scenarios.compiled_files import compile_folder
from rules.shipped_files import models_path

POLICY = "reaction_policy.tsv"


class Bench:
    """The files, the agent's state, and what was asked of Java."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.paths = [
            folder / name
            for name in ("ontoidps.owl", "correlation.owl", "reaction.owl", "scenarios.owl")
        ]
        self.asked: list[Sequence[Path]] = []
        self.against = ""
        self.sources = PolicySources(self.state)

    def check(self, paths: Sequence[Path], ntriples: bytes) -> None:
        self.asked.append(paths)
        if self.against:
            raise ValueError(self.against)

    def load(self, *, checked: str = "", starting: bool = False) -> Knowledge:
        return self.sources.load(self.paths, check=self.check, checked=checked, starting=starting)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    shipped = models_path().parent
    for path in (ontology_path(), *shipped.glob("*.owl"), *shipped.glob("reaction*")):
        shutil.copy(path, tmp_path)
    for name in ("anti_correlation.tsv", "scenarios.samples.json"):
        shutil.copy(shipped / name, tmp_path)
    monkeypatch.setattr("agents.knowledge.sources.models_path", lambda: tmp_path / "attacks.owl")
    return Bench(tmp_path)


def test_what_is_installed_is_taken_as_it_stands(bench: Bench) -> None:
    off = 'isRuleEnabled rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">'
    bench.edit("scenarios.owl", f"{off}true<", f"{off}false<")
    found = bench.load(starting=True)
    assert bench.asked == []
    assert sum(rule.enabled for rule in found.rules) < len(found.rules)
    assert f"{off}true<" not in bench.text("scenarios.owl")
    # The version is also that of models and tables.
    assert found.version != load_knowledge(bench.paths).version
    assert PolicySources(bench.state).digest == bench.sources.digest


def test_an_edit_of_a_table_makes_reaction_rules_without_java(bench: Bench) -> None:
    before = bench.load(starting=True)
    bench.edit(POLICY, "Bots that guess Telnet passwords", "Those who guess Telnet passwords")
    after = bench.load(checked=before.digest)
    assert (after.digest, bench.asked) == (before.digest, [])
    assert after.version != before.version
    assert "Those who guess Telnet passwords" in bench.text("reactions.ttl")
    assert bench.load(checked=before.digest).version == after.version


def test_an_edit_of_a_model_makes_rules_that_are_checked_first(bench: Bench) -> None:
    before = bench.load(starting=True)
    scenarios = bench.text("scenarios.owl")
    bench.edit("attacks.owl", ">host-sweep<", ">sweep-of-hosts<")
    bench.against = "Pellet says no"
    with pytest.raises(KnowledgeBaseError, match="Pellet says no"):
        bench.load(checked=before.digest)
    assert bench.text("scenarios.owl") == scenarios
    bench.against = ""
    after = bench.load(checked=before.digest)
    assert len(bench.asked) == 2 and after.digest != before.digest
    assert "sweep-of-hosts makes" in bench.text("scenarios.owl")
    assert after.digest == load_knowledge(bench.paths).digest, "what was tried is what was written"


def test_an_edit_while_the_agent_was_down_is_made_up_for(bench: Bench) -> None:
    before = bench.load(starting=True)
    bench.edit("attacks.owl", ">host-sweep<", ">sweep-of-hosts<")
    bench.sources = PolicySources(bench.state)
    after = bench.load(starting=True)
    assert after.version != before.version and len(bench.asked) == 1
    assert "sweep-of-hosts makes" in bench.text("scenarios.owl")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (POLICY, "block\t4\t", "block\tfour\t", "reaction_policy.tsv:6: factor"),
        (POLICY, "BruteForce\ttelnet", "BruteForc\ttelnet", "attack 'BruteForc' is no class"),
        ("attacks.owl", ">RpcProbe<", ">RpcProb<", "attacks.owl: model "),
        ("attacks.owl", "</rdf:RDF>", "", "attacks.owl: not RDF/XML: no element"),
    ],
)
def test_a_bad_edit_is_one_line_and_changes_nothing(
    bench: Bench, name: str, old: str, new: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = bench.load(starting=True)
    reactions, scenarios = bench.text("reactions.ttl"), bench.text("scenarios.owl")
    bench.edit(name, old, new)
    with pytest.raises(KnowledgeBaseError) as refused:
        bench.load(checked=before.digest)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert str(bench.folder / name) in str(refused.value)
    assert (bench.text("reactions.ttl"), bench.text("scenarios.owl")) == (reactions, scenarios)
    # An agent that starts meanwhile comes up, and says it.
    bench.sources = PolicySources(bench.state)
    assert bench.load(starting=True).version == before.version
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said in line


def test_a_file_that_is_gone_is_named(bench: Bench) -> None:
    bench.load(starting=True)
    (bench.folder / POLICY).unlink()
    with pytest.raises(KnowledgeBaseError, match=r"reaction_policy\.tsv: No such file"):
        bench.load()


def test_what_can_not_be_written_is_refused(bench: Bench) -> None:
    before = bench.load(starting=True)
    bench.edit(POLICY, "Bots that guess Telnet passwords", "Those who guess Telnet passwords")
    (bench.folder / ".reactions.ttl.new").mkdir()
    with pytest.raises(KnowledgeBaseError, match=r"reactions\.ttl\.new: Is a directory, so rules"):
        bench.load(checked=before.digest)
    assert bench.sources.digest == PolicySources(bench.state).digest
    # Somebody who may, compiles: then there is nothing left to write.
    made = compile_folder(bench.folder).files["reactions.ttl"]
    (bench.folder / "reactions.ttl").write_text(made, encoding="utf-8")
    assert bench.folder / "reactions.ttl" in bench.sources.watched()
    assert bench.load(checked=before.digest).version != before.version
