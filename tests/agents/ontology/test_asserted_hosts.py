"""Host knowledge as SPARQL sees it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from agents.ontology.archive import Archive
from agents.ontology.asserted_hosts import HOSTS_IRI, describe_hosts, for_correlation
from agents.ontology.query import QueryRunner
from ontology.records import HostProfile

GATEWAY = HostProfile(
    id="urn:ontoidps:profile:203.0.113.1",
    address=ip_address("203.0.113.1"),
    roles=("Gateway",),
    operating_system="Debian 12",
    open_ports=(22,),
    open_services=("OpenSSH 9.2",),
    security_grade=4,
    fixed_vulnerabilities=("CVE-2014-6271",),
    protected_by=("packet filter",),
    agents=("reaction.gw1@honeynet.test",),
)
QUESTION = """SELECT ?grade ?os ?offered ?port ?fixed ?device ?jid {
  ?p idps:describesHost <urn:ontoidps:host:203.0.113.1> ; idps:securityGrade ?grade ;
     idps:operatingSystem ?os ; idps:serviceOnHost ?offered ; idps:openPort ?port ;
     idps:fixedVulnerability ?fixed ; idps:protectedBy ?device ; idps:runsAgent ?jid }"""


def test_a_question_is_answered_with_all_six_kinds_of_knowledge(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    runner = QueryRunner(archive, tmp_path)
    archive.set_graph(HOSTS_IRI, describe_hosts([GATEWAY]))
    results, _ = runner.run(QUESTION)
    for value in ("4", "Debian 12", "OpenSSH 9.2", "22", "CVE-2014-6271", "packet filter"):
        assert f'"value":"{value}"' in results.replace(": ", ":")
    where = "SELECT ?h { <urn:ontoidps:agent:reaction.gw1@honeynet.test> idps:agentOnHost ?h }"
    assert "urn:ontoidps:host:203.0.113.1" in runner.run(where)[0]

    # After an edit of the settings nothing of before is left.
    archive.set_graph(HOSTS_IRI, describe_hosts([replace(GATEWAY, agents=(), security_grade=1)]))
    assert "203.0.113.1" not in runner.run(where)[0]
    grades = "SELECT ?g { [] idps:securityGrade ?g }"
    results, _ = runner.run(grades)
    assert results.count("integer") == 1
    archive.close()


def test_correlation_gets_what_windows_are_made_of() -> None:
    told = for_correlation(replace(GATEWAY, asset_value=3))
    assert (told.roles, told.asset_value, told.open_ports) == (("Gateway",), 3, (22,))
    assert (told.open_services, told.fixed_vulnerabilities, told.agents) == ((), (), ())
