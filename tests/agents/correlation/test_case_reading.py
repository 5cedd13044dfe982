"""What an alert means within a story; whole cases are in test_stories and test_scenarios."""

from __future__ import annotations

from agents.correlation.case_reading import read_evidence
from agents.correlation.stories import Story, Tie
from rules.scenarios.compile import Link
from rules.shipped_files import shipped_models
from tests.agents.correlation.story_table import alerts_of


def link(earlier: str, later: str) -> Link:
    links = shipped_models().links
    return next(li for li in links if (li.earlier.name, li.later.name) == (earlier, later))


def test_a_chain_counts_steps_and_the_more_special_reading_ranks_higher() -> None:
    scan, web, shell = alerts_of("0 SynScan A>T\n1 SqlInjection A>T:80\n2 RemoteShell A>T:80")
    ties = [
        Tie(scan, web, link("port-scan", "web-attack"), "One"),
        Tie(web, shell, link("web-attack", "web-shell"), "Two"),
    ]
    whole = read_evidence(Story("web-lateral", set(), ties=ties))
    assert whole.chain == {web.id: 2, shell.id: 3} and whole.rule == "Two"
    assert [m.name for m in whole.models[shell.id]] == ["web-shell"]
    exploit = Tie(scan, web, link("port-scan", "service-exploit"), "Three")
    other = read_evidence(Story("scan-exploit-flood", set(), ties=[exploit]))
    assert whole.rank > other.rank
