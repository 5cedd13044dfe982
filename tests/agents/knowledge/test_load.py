"""A version from a folder: ready to be reasoned with, or one line saying what is wrong where."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.knowledge.load import load_rule_set, load_theory, one_line, paper_rules
from agents.settings.honeynet import Policy


def test_a_folder_gives_what_the_installed_files_give(installed: Path) -> None:
    (installed / "paper.owl").unlink()
    found = load_rule_set(installed, "ab" * 32)
    assert found.theory == load_theory()
    assert (found.version, found.digest) == ("1.0.0+abababababab", "ab" * 32)
    assert found.joins is not None and len(found.playbook.reactions) > 1000
    assert found.playbook.compiled.steps


def test_the_papers_rules_count_where_the_version_has_them(installed: Path) -> None:
    more = paper_rules(Policy(paper_rules=True))
    assert load_rule_set(installed, "").theory.rules == load_theory(more=more).rules
    assert paper_rules(Policy()) == ()


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("correlation.owl", "</rdf:RDF>", "", "correlation.owl: not RDF/XML"),
        ("correlation.owl", "swrlb#lessThanOrEqual", "swrlb#addDayTimeDurations", "builtin"),
        ("ontoidps.owl", "ontoidps#hasSource", "ontoidps#hasOrigin", "hasSource"),
        ("attacks.owl", ">RpcProbe<", ">RpcProb<", "attacks.owl: model "),
        ("reaction_assets.tsv", "asset", "", "reaction_assets.tsv:"),
        ("reactions.ttl", "@prefix", "nonsense", "reactions.ttl: not Turtle"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_file(
    installed: Path, name: str, old: str, new: str, said: str
) -> None:
    text = (installed / name).read_text(encoding="utf-8")
    assert old in text
    (installed / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        load_rule_set(installed, "")
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert str(installed) not in str(refused.value), "our folder means nothing to others"


def test_a_file_that_is_gone_is_named(installed: Path) -> None:
    (installed / "reaction_assets.tsv").unlink()
    with pytest.raises(FileNotFoundError, match="reaction_assets"):
        load_rule_set(installed, "")


def test_of_several_slips_the_first_is_told_and_how_many_more() -> None:
    assert one_line(ValueError("a\nb\nc")) == "a; and 2 more"
    assert one_line(ValueError()) == "ValueError"
