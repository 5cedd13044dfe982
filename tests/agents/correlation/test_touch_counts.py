"""Honeypots and gateways that a source turned to."""

from dataclasses import replace
from ipaddress import ip_address

from agents.correlation.touch_counts import count_touches
from ontology.vocabulary import IDPS
from tests.agents.correlation.alerts import alert

POTS = {ip_address("203.0.113.1"), ip_address("203.0.113.2"), ip_address("203.0.113.3")}


def test_only_proven_alerts_at_honeypots_count() -> None:
    base = alert(1, classification="HoneypotContact", target="203.0.113.1", sensor="sensor.gw1@x")
    other = replace(base, id="urn:b", target=ip_address("203.0.113.2"), sensor="sensor.gw2@x")
    forged = replace(other, id="urn:c", target=ip_address("203.0.113.3"), verified_source=False)
    elsewhere = replace(other, id="urn:d", target=ip_address("192.0.2.9"), sensor="sensor.gw3@x")
    sweep = replace(
        base, id="urn:e", target=None, targets=(ip_address("203.0.113.2"), ip_address("192.0.2.9"))
    )
    found = count_touches([base, other, forged, elsewhere, sweep], POTS.__contains__)
    assert found == {IDPS.touchedHoneypots: 2, IDPS.touchedGateways: 2}
    nobody = count_touches([forged], POTS.__contains__)
    assert nobody == {IDPS.touchedHoneypots: 0, IDPS.touchedGateways: 0}
