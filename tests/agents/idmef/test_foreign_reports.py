"""How much of a foreign manager's word is taken."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from agents.idmef.complaints import IdmefError
from agents.idmef.foreign_reports import MAX_AHEAD_US, Origin, Report, alert_of
from ontology.records import Alert
from tests.agents.idmef.samples import AT_US

SITE = Origin(name="site-b", trust=0.5)


def report(**values: Any) -> Report:
    known: dict[str, Any] = {
        "place": "document 1",
        "id": "819df7bc",
        "begin_us": AT_US,
        "end_us": AT_US,
        "sources": (ip_address("192.0.2.66"),),
        "targets": (ip_address("198.51.100.18"),),
        "target_port": 22,
        "protocol": 6,
        "analyzer": "snort",
        "text": "TCP port scan",
        "confidence": 0.8,
    }
    return Report(**{**known, **values})


def judged(origin: Origin = SITE, **values: Any) -> Alert:
    made = alert_of(report(**values), origin, sensor="console.gw1@x", now_us=AT_US)
    assert made is not None
    return made


def test_trust_weighs_and_nothing_is_verified() -> None:
    made = judged()
    assert made.confidence == 0.4
    assert not made.verified_source
    assert (made.classification, made.sensor) == ("PortScan", "console.gw1@x")
    assert made.explanation == "manager site-b (snort) says: TCP port scan"


def test_the_operator_may_vouch_but_not_for_what_the_manager_itself_doubts() -> None:
    ours = Origin(name="site-b", trust=1, verified=True)
    assert judged(ours).verified_source
    assert not judged(ours, forged=True).verified_source
    two = (ip_address("192.0.2.66"), ip_address("192.0.2.67"))
    assert not judged(ours, sources=two).verified_source


def test_ids_of_two_managers_and_of_ours_never_meet() -> None:
    ours = "urn:uuid:7a5f0a4e-6a1b-4c55-8d0c-1d2f3a4b5c6d"
    names = {judged(id=ours).id, judged(Origin(name="c", trust=1), id=ours).id, ours}
    assert len(names) == 3
    assert judged(id=ours).id == judged(id=ours).id


def test_many_are_a_sample() -> None:
    many = tuple(ip_address(f"192.0.2.{n}") for n in range(40))
    made = judged(sources=many[::-1])
    assert (made.source, made.source_count, made.sources) == (None, 40, many[:16])


def test_what_it_calls_by_our_names() -> None:
    assert judged(own_class="XmasScan").classification == "XmasScan"
    assert judged(own_class="BlockCandidate").classification == "PortScan"
    assert alert_of(report(text="heartbeat"), SITE, sensor="x", now_us=AT_US) is None


def test_texts_are_bounded_and_printable() -> None:
    made = judged(text="\x1b[2J" * 1000, users=("root", "\x00", "x" * 1000), analyzer="\n")
    assert len(made.explanation) < 500
    assert made.explanation.isprintable()
    assert made.users == ("root",)
    assert judged(references=("see CVE-2018-15473.", "CVE-1")).cves == ("CVE-2018-15473",)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sources": (), "targets": ()}, "document 1: Source, Target: neither names"),
        ({"sources": (ip_address("::1"),), "targets": ()}, "neither names"),
        ({"end_us": AT_US + MAX_AHEAD_US + 1}, "more than a day in the future"),
        ({"begin_us": AT_US + 1}, "begins after its end"),
    ],
)
def test_what_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(IdmefError, match=words):
        judged(**values)
