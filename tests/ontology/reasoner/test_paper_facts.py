"""What the paper's rules count, beside a window's alerts."""

from typing import Any

from ontology.reasoner.paper_facts import PAPER, Counts, with_counts
from ontology.reasoner.window import build_window, host_iri
from ontology.records import Address, HostProfile
from tests.factories import make_alert, make_profile

ALERT = make_alert()


def facts(hosts: dict[Address, HostProfile] | None = None, **changes: Any) -> set[str]:
    """Lines that are added to the window of one alert."""
    values: dict[str, Any] = {
        "host_alerts": lambda host: 7,
        "system_alerts": 100,
        "added": 3,
        "support": 5,
        "sensor_priority": lambda sensor: 4,
        "minimum_risk": 0.5,
    } | changes
    plain = build_window([ALERT], hosts or {})
    window = with_counts(plain, [ALERT], [ALERT], hosts or {}, Counts(**values))
    assert window.alerts == plain.alerts
    return set(window.ntriples.decode().splitlines()) - set(plain.ntriples.decode().splitlines())


def value(subject: str, name: str, number: str) -> str:
    return f'<{subject}> <{PAPER}{name}> "{number}"^^<http://www.w3.org/2001/XMLSchema#integer> .'


def test_counts_of_the_source() -> None:
    assert ALERT.source is not None
    source = host_iri(ALERT.source)
    assert {
        value(source, "hostAlertCount", "7"),
        value(source, "systemAlertCount", "100"),
        value(source, "addedAlertCount", "3"),
        value(ALERT.id, "sensorRating", "4"),
    } <= facts()


def test_hosts_with_few_alerts_get_no_counts() -> None:
    assert not [line for line in facts(host_alerts=lambda host: 4) if "hostAlertCount" in line]
    assert not [line for line in facts(system_alerts=0) if "AlertCount" in line]


def test_assets_are_rated_where_something_is_known_of_them() -> None:
    assert ALERT.target is not None
    known = {ALERT.target: make_profile(ALERT.target, asset_value=5)}
    assert value(host_iri(ALERT.target), "assetRating", "5") in facts(known)
    assert not [line for line in facts() if "assetRating" in line]
