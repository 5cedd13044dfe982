"""An incident as the console tells it, with its alerts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from agents.commands.ontology_export import incident_alerts
from agents.console.views import AlertView, IncidentView
from ontology.records import Alert, HostProfile, Incident
from tests.agents.correlation.alerts import alert

POT = HostProfile(id="urn:x:pot", address=ip_address("192.0.2.80"), roles=("Honeypot",))
ALERTS = (
    alert(1, target=POT.address),
    replace(alert(2), source=ip_address("2001:db8::7"), cves=("CVE-2021-44228",)),
)


class Told:
    """Answers in the JSON of the console's views."""

    def __init__(self, alerts: tuple[Alert, ...]) -> None:
        self._alerts = {one.id: one for one in alerts}
        self._incident = Incident(
            id="urn:uuid:i",
            classification="ScanThenExploitIncident",
            source=ALERTS[0].source,
            targets=(),
            begin_us=0,
            end_us=1,
            severity=0.5,
            verified_source=False,
            rule="ScanThenExploit",
            alerts=tuple(one.id for one in alerts),
            explanation="",
        )

    def incidents(self, *, limit: int = 100) -> list[dict[str, Any]]:
        return [IncidentView(incident=self._incident, received_us=1).model_dump(mode="json")]

    def alert(self, alert_id: str) -> dict[str, Any]:
        return AlertView(alert=self._alerts[alert_id], received_us=1).model_dump(mode="json")


@pytest.mark.parametrize("which", ["latest", "i", "urn:uuid:i"])
def test_the_alerts_are_those_that_it_names(which: str) -> None:
    assert incident_alerts(Told(ALERTS), which) == ("urn:uuid:i", list(ALERTS))


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="no incident is called 'j'"):
        incident_alerts(Told(ALERTS), "j")
    with pytest.raises(ValueError, match="names no alerts"):
        incident_alerts(Told(()), "i")
