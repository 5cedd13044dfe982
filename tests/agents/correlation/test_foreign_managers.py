"""Alerts of managers of others among our own: correlated, and blocking nobody by themselves."""

from __future__ import annotations

from ipaddress import ip_address

from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.idmef.foreign_reports import Origin
from agents.idmef.taking import take
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, Decision
from tests.agents.idmef.samples import PRELUDE
from tests.factories import make_alert

S = 1_000_000
ATTACKER, TARGET = "192.0.2.66", "198.51.100.18"
GUESSES = (
    PRELUDE.replace("ET SCAN Potential SSH port scan", "SSH brute force")
    .replace("d2e71bf2", "d2e71bf4")
    .replace("0xee5b9ac0", "0xee5b9ac5")
)
"""Five seconds later."""


def sent(text: str, *, trust: float = 0.8, verified: bool = False) -> Alert:
    """The first alert of a message, from Prelude's manager at site B."""
    origin = Origin(name="site-b", trust=trust, verified=verified)
    taken = take(text.encode(), origin, sensor="console.gw1@x", now_us=1_800_000_000 * S)
    assert not taken.refused
    return taken.alerts[0]


def correlated(worker: PelletWorker, *alerts: Alert) -> tuple[list[Outcome], list[Decision]]:
    core = CorrelationEngine(
        (), Policy(), origin="correlation@test", reasoner=worker, joins=find_joins(worker.theory)
    )
    out = core.on_alerts(alerts, max(a.end_us for a in alerts) + S)
    return out, [decision for outcome in out for decision in outcome.decisions]


def own_guess(scan: Alert) -> Alert:
    return make_alert(
        id="urn:uuid:00000000-0000-0000-0000-000000000002",
        classification="SshBruteForce",
        source=ATTACKER,
        target=TARGET,
        target_port=22,
        begin_us=scan.begin_us + 5 * S,
        end_us=scan.begin_us + 5 * S,
        count=9,
        confidence=0.9,
        verified_source=True,
    )


def test_a_scan_that_prelude_saw_and_a_guess_of_our_own_are_one_incident(
    worker: PelletWorker,
) -> None:
    scan = sent(PRELUDE)
    out, decisions = correlated(worker, scan, own_guess(scan))
    (incident,) = [o.incident for o in out if o.incident.rule == "ScanThenBruteForce"]
    assert incident.source == ip_address(ATTACKER)
    assert len(incident.alerts) == 2
    assert [str(decision.source) for decision in decisions] == [ATTACKER]


def test_a_manager_alone_blocks_nobody_whatever_it_says(worker: PelletWorker) -> None:
    out, decisions = correlated(worker, sent(PRELUDE, trust=1), sent(GUESSES, trust=1))
    assert "ScanThenBruteForce" in {o.incident.rule for o in out}
    assert decisions == []


def test_but_one_that_the_operator_vouches_for(worker: PelletWorker) -> None:
    vouched = [sent(text, trust=1, verified=True) for text in (PRELUDE, GUESSES)]
    assert vouched[0].verified_source
    _, decisions = correlated(worker, *vouched)
    assert [str(decision.source) for decision in decisions] == [ATTACKER]
