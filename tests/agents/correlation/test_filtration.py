from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network

from agents.correlation.filtration import AllowList, Filtration
from ontology.records import Alert
from tests.agents.correlation.alerts import alert


def test_what_passes_is_junior_and_what_does_not_is_counted_by_the_filters_word() -> None:
    counters = Counter[str]()

    def unsure(alert: Alert) -> str | None:
        return "unsure" if alert.confidence < 0.5 else None

    filtration = Filtration((AllowList([ip_network("203.0.113.0/24")]), unsure), counters)
    allowed = alert(1, source=ip_address("203.0.113.7"), confidence=0.1)
    (junior,) = filtration.juniors([allowed, alert(2, confidence=0.1), alert(3)])
    assert junior == alert(3, stage="junior")
    # The first filter that objects decides.
    assert counters == {"allowed": 1, "unsure": 1}


def test_an_allowed_network_holds_its_addresses_in_every_form() -> None:
    mapped = alert(1, source=ip_address("::ffff:203.0.113.7"))
    assert AllowList([ip_network("203.0.113.0/24")])(mapped) == "allowed"
    plain = alert(1, source=ip_address("203.0.113.7"))
    assert AllowList([ip_network("::ffff:203.0.113.0/120")])(plain) == "allowed"
    assert AllowList([ip_network("203.0.113.0/24")])(alert(1, source=None)) is None
