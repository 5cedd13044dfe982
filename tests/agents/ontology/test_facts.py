"""Asserted facts: what is refused and why, what is kept, what it says of hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyoxigraph import NamedNode

from agents.knowledge.files import knowledge_paths
from agents.ontology.actions import FactChanges
from agents.ontology.facts import (
    FactBook,
    FactRefused,
    Terms,
    as_owl,
    check_facts,
    consistent_with,
    read_facts,
)
from ontology.knowledge_base import KnowledgeBase
from ontology.records import HostProfile, OntologyAction

HEAD = """\
@prefix idps: <https://w3id.org/ontoidps#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
"""
PROFILE = """\
<urn:x:p> a idps:HostProfile ; idps:describesHost <urn:ontoidps:host:198.51.100.10> ;
  idps:assetValue 5 ; idps:securityGrade 2 ; idps:hostRole "Honeypot" ;
  idps:fixedVulnerability "CVE-2014-6271" ; idps:operatingSystem "Debian 12" ;
  idps:openPort 22, 80 .
"""


@pytest.fixture(scope="module")
def ntriples() -> bytes:
    with KnowledgeBase(knowledge_paths()) as knowledge:
        return knowledge.ntriples()


@pytest.fixture(scope="module")
def terms(ntriples: bytes) -> Terms:
    return Terms.from_ntriples(ntriples)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[FactBook]:
    yield FactBook(tmp_path)


def test_host_facts_are_taken_and_become_a_record(book: FactBook, terms: Terms) -> None:
    facts = book.after("assert", HEAD + PROFILE)
    check_facts(facts, terms)
    book.keep(facts)
    (profile,) = FactBook(book.path.parent).profiles()
    assert profile == HostProfile(
        id="urn:x:p",
        address=profile.address,
        roles=("Honeypot",),
        operating_system="Debian 12",
        open_ports=(22, 80),
        asset_value=5,
        security_grade=2,
        fixed_vulnerabilities=("CVE-2014-6271",),
    )
    assert str(profile.address) == "198.51.100.10"
    host = NamedNode("urn:ontoidps:host:198.51.100.10")
    assert any(t.subject == host for t in book.graph())


@pytest.mark.parametrize(
    ("fragment", "reason", "said"),
    [
        ("idps:SynScan rdfs:subClassOf idps:Flood .", "READ-ONLY", "is a term"),
        ("idps:assetValue a owl:FunctionalProperty .", "READ-ONLY", "is a term"),
        ("<urn:x:c> a owl:Class .", "READ-ONLY", "axioms are not facts"),
        ("<urn:x:a> owl:sameAs <urn:x:b> .", "READ-ONLY", "axioms are not facts"),
        ("<urn:x:r> a <http://www.w3.org/2003/11/swrl#Imp> .", "UNKNOWN-TERM", "swrl#Imp"),
        ("<urn:x:a> a idps:Alert .", "READ-ONLY", "agents report Alert"),
        ("<urn:x:a> a idps:TrafficCluster .", "READ-ONLY", "agents report TrafficCluster"),
        ("<urn:x:a> a idps:HostProfil .", "UNKNOWN-TERM", "did you mean HostProfile"),
        ("<urn:x:a> a idps:Host ; idps:ipAdress '1' .", "UNKNOWN-TERM", "did you mean ipAddress"),
        ("<http://x/a> a idps:Host .", "SYNTAX", "named urn:"),
        ("[] a idps:Host .", "SYNTAX", "blank"),
        ("<urn:x:a> a ", "SYNTAX", ""),
        ("", "SYNTAX", "no fact"),
        ("<urn:x:a> rdfs:label <urn:x:b> .", "SYNTAX", "label"),
        ("<urn:x:a> idps:assetValue 3 .", "INCONSISTENT", "is for a HostOrProfile"),
        ("<urn:x:p> idps:describesHost <urn:x:h> .", "SYNTAX", "not a host"),
        (PROFILE.replace("5 ;", "'5' ;"), "INCONSISTENT", "value of integer"),
        (PROFILE.replace("5 ;", "5, 4 ;"), "INCONSISTENT", "one value, not 4, 5"),
        (PROFILE.replace("5 ;", "6 ;"), "INCONSISTENT", "must lie in [0, 5]"),
        (PROFILE.replace("80", "70000"), "INCONSISTENT", "65535"),
        (
            PROFILE.replace("securityGrade 2", "securityGrade 6"),
            "INCONSISTENT",
            "security_grade must",
        ),
        (
            PROFILE.replace("assetValue 5", "fixedVulnerability 'heartbleed'"),
            "INCONSISTENT",
            "'heartbleed' is no CVE name",
        ),
        (PROFILE.replace("Honeypot", "Fortress"), "UNKNOWN-TERM", "no kind of Host"),
        (PROFILE.replace("10> ;", "010> ;"), "SYNTAX", "address"),
        ("<urn:x:p> a idps:HostProfile .", "INCONSISTENT", "needs describesHost"),
        (
            "<urn:ontoidps:host:192.0.2.1> a idps:Host ; idps:ipAddress '192.0.2.2' .",
            "INCONSISTENT",
            "ipAddress is 192.0.2.1",
        ),
        (f'<urn:x:p> rdfs:label "{"x" * 3000}" .', "LIMIT", "3000 characters"),
    ],
)
def test_what_is_refused(terms: Terms, fragment: str, reason: str, said: str) -> None:
    with pytest.raises(FactRefused) as refused:
        check_facts(read_facts(HEAD + fragment), terms)
    assert refused.value.reason == reason
    assert said in str(refused.value)


def test_retracting_leaves_what_remains_valid(book: FactBook, terms: Terms) -> None:
    book.keep(book.after("assert", HEAD + PROFILE))
    host = "<urn:x:p> idps:describesHost <urn:ontoidps:host:198.51.100.10> ."
    with pytest.raises(FactRefused, match="needs describesHost"):
        check_facts(book.after("retract", HEAD + host), terms)
    with pytest.raises(FactRefused, match="NOT-ASSERTED"):
        book.after("retract", HEAD + "<urn:x:p> idps:assetValue 4 .")
    book = FactBook(book.path.parent)
    left = book.after("retract", HEAD + "<urn:x:p> idps:assetValue 5 .")
    check_facts(left, terms)
    book.keep(left)
    assert book.profiles()[0].asset_value == 0
    assert book.after("retract", HEAD + PROFILE.replace("idps:assetValue 5 ;", "")) == frozenset()


def test_more_than_may_be_kept_is_refused(book: FactBook) -> None:
    many = "".join(f"<urn:x:{n}> a idps:HostProfile .\n" for n in range(201))
    with pytest.raises(FactRefused, match="LIMIT: more than 200 HostProfiles"):
        book.after("assert", HEAD + many)


def test_another_ontology_puts_aside_what_it_has_no_words_for(
    book: FactBook, ntriples: bytes
) -> None:
    lonely = "<urn:x:n> a idps:Network .\n"
    book.keep(book.after("assert", HEAD + PROFILE + lonely))
    without = b"\n".join(s for s in ntriples.splitlines() if b"ontoidps#Network>" not in s)
    assert book.set_aside(Terms.from_ntriples(without)) == 1
    assert b"urn:x:n" in book.path.with_name("facts.unfit.nt").read_bytes()
    assert len(FactBook(book.path.parent).facts) == 9


async def test_a_desk_keeps_nothing_that_pellet_refuses(book: FactBook, ntriples: bytes) -> None:
    asked: list[bytes] = []

    def refuse(facts: bytes) -> str:
        asked.append(facts)
        return "these clash: a, b"

    changes = FactChanges(book, consistent=refuse, reported=lambda name: name == "urn:x:known")
    action = OntologyAction(id="urn:uuid:1", ontology_action="assert", fragment=HEAD + PROFILE)
    assert "no ontology in force" in (await changes.change(action))[1].detail
    await changes.set_terms(ntriples)
    done, answer = await changes.change(action)
    assert not done and answer.detail == "INCONSISTENT: these clash: a, b"
    assert b"urn:ontoidps:facts" in asked[0] and not book.facts and not book.path.exists()
    known = HEAD + "<urn:x:known> a idps:Network ."
    done, answer = await changes.change(
        OntologyAction(id="urn:uuid:2", ontology_action="assert", fragment=known)
    )
    assert not done and "READ-ONLY" in answer.detail and len(asked) == 1


def test_pellet_sees_a_contradiction_that_no_cheap_check_sees() -> None:
    facts = "<urn:x:a> a idps:Host, idps:Signature ."
    assert "Host and Signature are disjoint" in consistent_with(
        knowledge_paths()[:1], as_owl(read_facts(HEAD + facts))
    )
    assert consistent_with(knowledge_paths()[:1], as_owl(read_facts(HEAD + PROFILE))) == ""
