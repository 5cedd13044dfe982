from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import NamedNode, RdfFormat, parse

from ontology.reasoner.window import build_window, check_alert, host_iri, warm_up_window
from ontology.records import Address, Alert, HostProfile
from ontology.vocabulary import IDPS
from tests.factories import make_alert

ALERT = make_alert(
    id="urn:uuid:1",
    classification="SynScan",
    source="192.0.2.7",
    target="198.51.100.5",
    begin_us=1,
    end_us=2,
    confidence=0.5,
    verified_source=False,
    sensor="<s>",
    analyzer='"a"',
    explanation='" . <urn:x> <urn:y> <urn:z> .\n',
)


def triples(alert: Alert, roles: dict[Address, tuple[str, ...]]) -> set[tuple[str, str, str]]:
    hosts = {a: HostProfile(id="urn:p", address=a, roles=r) for a, r in roles.items()}
    window = build_window([alert], hosts)
    return {
        (q.subject.value, q.predicate.value, getattr(q.object, "value", ""))
        for q in parse(window.ntriples, format=RdfFormat.N_TRIPLES)
    }


def test_only_what_rules_join_on_gets_in() -> None:
    found = triples(ALERT, {IPv4Address("198.51.100.5"): ("Gateway", "Honeypot")})
    assert len(found) == 14
    pot = "urn:ontoidps:host:198.51.100.5"
    assert (ALERT.id, IDPS.hasTarget, pot) in found
    assert (pot, IDPS.ipAddress, "198.51.100.5") in found
    assert {o for s, _, o in found if s == pot} >= {IDPS.Honeypot, IDPS.Gateway, IDPS.Host}
    assert not any(word in str(found) for word in ("<s>", '"a"', "urn:x"))


def test_second_targets_do_not_break_functional_properties() -> None:
    many = replace(ALERT, targets=(IPv4Address("198.51.100.5"), IPv6Address("2001:db8::1")))
    found = triples(many, {})
    assert len([1 for _, p, _ in found if p == IDPS.hasTarget]) == 1
    assert (ALERT.id, IDPS.involvesTarget, "urn:ontoidps:host:2001:db8::1") in found


def test_a_zone_does_not_make_another_host() -> None:
    assert host_iri(IPv6Address("fe80::1%eth0")) == host_iri(IPv6Address("fe80::1"))


def test_equal_alerts_are_equal_bytes() -> None:
    assert warm_up_window(30) == warm_up_window(30)
    assert warm_up_window(30).alerts == 30


@given(st.text(), st.text())
def test_hostile_names_are_refused_or_harmless(name: str, classification: str) -> None:
    alert = replace(ALERT, id=f"urn:{name}", classification=classification)
    try:
        check_alert(alert)
    except ValueError:
        with pytest.raises(ValueError, match=r"can't be written|not a local name"):
            build_window([alert], {})
        return
    subjects = {
        q.subject for q in parse(build_window([alert], {}).ntriples, format=RdfFormat.N_TRIPLES)
    }
    assert NamedNode(alert.id) in subjects and len(subjects) == 3
