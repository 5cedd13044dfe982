"""How many honeypots and gateways a source turned to: SWRL can't count, so it is counted here.

Only what can't be forged counts: whoever writes addresses into packets would make a crowd of any
host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.vocabulary import IDPS, Term
from ontology.window_terms import gateway_of

PROBE: Final = IDPS.MultiGatewayProbeIncident.local_name
"""Class of incidents that rest on what was counted."""


def touching(alerts: Iterable[Alert], is_honeypot: Callable[[Address], bool]) -> list[Alert]:
    """Those that can't be forged and name a honeypot as target."""
    return [a for a in alerts if a.verified_source and any(map(is_honeypot, alert_hosts(a)[1]))]


def count_touches(
    alerts: Iterable[Alert], is_honeypot: Callable[[Address], bool]
) -> Mapping[Term, int]:
    """Of the alerts of one source: how many honeypots, and behind how many gateways."""
    found = touching(alerts, is_honeypot)
    honeypots = {target for a in found for target in alert_hosts(a)[1] if is_honeypot(target)}
    gateways = {gateway_of(alert) for alert in found} - {None}
    return {IDPS.touchedHoneypots: len(honeypots), IDPS.touchedGateways: len(gateways)}
