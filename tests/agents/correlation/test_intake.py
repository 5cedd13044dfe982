from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from agents.correlation.intake import Intake
from ontology.records import Alert


def alert(number: int, **more: object) -> Alert:
    known: dict[str, object] = {
        "id": f"urn:uuid:{number:032x}",
        "classification": "SynScan",
        "source": ip_address("192.0.2.7"),
        "target": ip_address("198.51.100.5"),
        "protocol": 6,
        "begin_us": number,
        "end_us": number,
        "count": 3,
        "confidence": 0.9,
        "verified_source": True,
        "sensor": "s",
        "analyzer": "a",
        "explanation": "",
    }
    return Alert(**{**known, **more})  # type: ignore[arg-type]


def test_a_finding_that_grew_comes_in_with_what_is_new() -> None:
    counters = Counter[str]()
    intake = Intake(10, counters)
    assert [a.count for a in intake.take([alert(1), alert(1, count=5), alert(1, count=5)])] == [
        3,
        2,
    ]
    assert counters == {"alerts": 3, "alerts_repeated": 1}


def test_what_can_not_be_written_as_an_iri_is_refused() -> None:
    counters = Counter[str]()
    assert Intake(10, counters).take([alert(1, id="urn:x> <y"), alert(2)]) == [alert(2)]
    assert counters["malformed"] == 1


def test_what_grew_longest_ago_is_forgotten_first() -> None:
    intake = Intake(2, Counter())
    intake.take([alert(1), alert(2), alert(1, count=4), alert(3)])
    assert intake.take([alert(1, count=4), alert(2)]) == [alert(2)]
