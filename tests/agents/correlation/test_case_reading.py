"""What an alert means within a story; whole cases are in test_stories and test_scenarios."""

from __future__ import annotations

from agents.correlation.case_reading import read_evidence
from agents.correlation.cases import Case, Expected, describe_case
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


def test_measures_are_told_with_their_d3fend_techniques() -> None:
    models = shipped_models().models
    next_step = models.by_name("account-misuse")
    d3fend = {m.name: m.d3fend for m in models.models if m.kind == "countermeasure"}
    # Each measure has one: without it nobody can look up what it means.
    assert all(d3fend.values())
    step = Expected(next_step, "x", (), ("block-source", "change-passwords"), d3fend)
    alerts = tuple(alerts_of("0 CredentialStuffing A>T:443"))
    case = Case("c", "s", "Label", alerts, (), "Rule", (), (step,), 0.5)
    told = "\n".join(describe_case(case))
    assert "prevented by block-source (D3FEND D3-ITF), change-passwords (D3FEND D3-CRO)" in told
