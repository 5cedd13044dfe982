from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.correlation.reasoning import MAX_ATTEMPTS
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import (
    InconsistentWindow,
    Inferences,
    Reasoner,
    ReasonerTimeout,
    ReasonerUnavailable,
)
from ontology.reasoner.window import Window
from ontology.records import Alert, Block, Decision, HostProfile, Incident

S = 1_000_000
T0 = 1_790_000_000 * S
ATTACKER = "192.0.2.7"
POTS = ("198.51.100.5", "198.51.100.6", "2001:db8::5")
PLAIN = "203.0.113.80"
HOSTS = [
    HostProfile(id=f"urn:ontoidps:profile:{a}", address=ip_address(a), roles=("Honeypot",))
    for a in POTS
] + [
    HostProfile(
        id="urn:ontoidps:profile:203.0.113.1", address=ip_address("203.0.113.1"), roles=("Gateway",)
    )
]


def alert(
    number: int,
    classification: str,
    at_s: float,
    *,
    source: str | None = ATTACKER,
    target: str = POTS[0],
    verified: bool = True,
    confidence: float = 0.9,
) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=classification,
        source=ip_address(source) if source else None,
        target=ip_address(target),
        target_port=21 if "Brute" in classification else None,
        protocol=6,
        begin_us=T0 + int(at_s * S),
        end_us=T0 + int(at_s * S) + S,
        count=10,
        confidence=confidence,
        verified_source=verified,
        sensor="gw1",
        analyzer="gw1",
        explanation="because",
    )


def engine(reasoner: Reasoner, **policy: object) -> CorrelationEngine:
    return CorrelationEngine(
        HOSTS,
        Policy.model_validate(policy),
        origin="correlation@test",
        reasoner=reasoner,
        joins=find_joins(reasoner.theory) if isinstance(reasoner, PelletWorker) else None,
    )


def incidents(out: list[Outcome]) -> dict[str, Incident]:
    return {outcome.incident.rule: outcome.incident for outcome in out}


def decisions(out: list[Outcome]) -> list[Decision]:
    return [decision for outcome in out for decision in outcome.decisions]


SCAN_AND_GUESS = [
    alert(1, "SynScan", 0, target=PLAIN, verified=False),
    alert(2, "FtpBruteForce", 5, target=PLAIN),
]


def test_scan_then_brute_force_becomes_an_explained_block(worker: PelletWorker) -> None:
    core = engine(worker, block_duration=90)
    assert core.on_alerts(SCAN_AND_GUESS[:1], T0 + 2 * S) == []
    out = core.on_alerts(SCAN_AND_GUESS[1:], T0 + 6 * S)
    (outcome,) = out
    incident, (decision,) = outcome.incident, outcome.decisions
    assert incident.classification == "ScanThenBruteForceIncident"
    assert incident.targets == (ip_address(PLAIN),) and incident.verified_source
    assert incident.severity == pytest.approx(0.9 * 1.9 / 2)
    first, second, third, *because = incident.explanation.splitlines()
    assert first.startswith("Rule ScanThenBruteForce: A source that scanned a host")
    assert second.startswith(f"SynScan from {ATTACKER} on {PLAIN} at 2026-")
    assert third.startswith(f"then FtpBruteForce from {ATTACKER} on {PLAIN}")
    assert "because SynScan is a kind of PortScan, and that of Scan" in because
    assert decision.source == ip_address(ATTACKER) and decision.action == "block"
    assert decision.duration_s == 90 and decision.incident == incident.id
    assert decision.decided_us == T0 + 6 * S and incident.explanation in decision.reason
    assert decision.reason.splitlines()[-1].startswith("Rule BlockCandidate: The later alert")
    assert {a.id for a in outcome.alerts} == set(incident.alerts)
    assert {a.stage for a in outcome.alerts} == {"senior"}


@pytest.mark.parametrize("step_s", [-86_401, 86_401, 40 * 86_400])
def test_a_clock_that_is_set_makes_no_evidence_old(worker: PelletWorker, step_s: int) -> None:
    """What comes is reasoned about, and what came is remembered, by the time that passed."""
    core, steady_us = engine(worker), T0 + 2 * S
    assert core.on_alerts(SCAN_AND_GUESS[:1], steady_us, steady_us) == []
    out = core.on_alerts(SCAN_AND_GUESS[1:], steady_us + step_s * S, steady_us + 4 * S)
    assert "ScanThenBruteForce" in incidents(out) and len(decisions(out)) == 1
    guess = alert(3, "FtpBruteForce", 10, source="192.0.2.8")
    assert decisions(core.on_alerts([guess], steady_us + step_s * S, steady_us + 9 * S))


def test_the_block_is_not_explained_with_another_incidents_rule(worker: PelletWorker) -> None:
    """On a honeypot the password attack is a finding of its own: two rules call for the block."""
    core = engine(worker)
    out = core.on_alerts(
        [alert(1, "SynScan", 0, target=POTS[0]), alert(2, "FtpBruteForce", 5, target=POTS[0])],
        T0 + 6 * S,
    )
    (decision,) = decisions(out)
    assert decision.classification == "ScanThenBruteForceIncident"
    assert "BlockCandidateFinding" not in decision.reason
    assert "finding about one alert" not in decision.reason
    assert "Severity 0." in decision.reason.splitlines()[-1]


def test_one_call_or_many_conclude_the_same(worker: PelletWorker) -> None:
    at_once = engine(worker).on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    core = engine(worker)
    apart = [r for a in SCAN_AND_GUESS for r in core.on_alerts([a], T0 + 6 * S)]
    assert at_once == apart and len(at_once) == 1


def test_a_source_that_could_be_forged_is_never_blocked(worker: PelletWorker) -> None:
    forged = [replace(a, verified_source=False) for a in SCAN_AND_GUESS]
    out = engine(worker).on_alerts(forged, T0 + 6 * S)
    assert set(incidents(out)) == {"ScanThenBruteForce"} and decisions(out) == []


def test_verification_later_on_makes_the_decision_due(worker: PelletWorker) -> None:
    core = engine(worker)
    core.on_alerts([replace(a, verified_source=False) for a in SCAN_AND_GUESS], T0 + 6 * S)
    out = core.on_alerts([alert(3, "FtpBruteForce", 8, target=PLAIN)], T0 + 9 * S)
    assert [d.source for d in decisions(out)] == [ip_address(ATTACKER)]


@pytest.mark.parametrize("source", ["203.0.113.1", POTS[1], "203.0.113.77"])
def test_gateways_honeypots_and_allowed_hosts_are_never_blocked(
    source: str, worker: PelletWorker
) -> None:
    core = engine(worker, allow=["203.0.113.77"])
    attack = [replace(a, source=ip_address(source)) for a in SCAN_AND_GUESS]
    assert decisions(core.on_alerts(attack, T0 + 6 * S)) == []
    if ip_address(source) in ip_network("203.0.113.77"):
        assert core.counters["allowed"] == 2 and core.counters["incidents"] == 0
    else:
        assert core.counters["incidents"] == 1 and core.counters["protected"] > 0


def test_a_finding_reported_again_under_its_id_is_an_update(worker: PelletWorker) -> None:
    """Analyzers repeat a finding with its whole count when it grew; a redelivery adds nothing."""
    running = engine(worker)
    scan, guess = SCAN_AND_GUESS
    running.on_alerts([scan], T0 + 2 * S)
    running.on_alerts([replace(scan, count=25, end_us=scan.end_us + S)], T0 + 3 * S)
    running.on_alerts([replace(scan, count=25, end_us=scan.end_us + S)], T0 + 3 * S)
    out = running.on_alerts([guess], T0 + 6 * S)
    incident = incidents(out)["ScanThenBruteForce"]
    counts = {a.classification: a.count for a in running.alerts_of(incident)}
    assert counts == {"SynScan": 25, "FtpBruteForce": 10}
    assert running.counters["alerts_repeated"] == 1


def test_below_the_minimum_severity_nobody_is_blocked(worker: PelletWorker) -> None:
    out = engine(worker, minimum_severity=0.9).on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    assert len(incidents(out)) == 1 and decisions(out) == []


def test_repeats_and_duplicates_are_not_reported_again(worker: PelletWorker) -> None:
    core = engine(worker)
    core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    windows = worker.counters["windows"]
    assert core.on_alerts(SCAN_AND_GUESS, T0 + 7 * S) == []
    assert core.on_alerts([alert(3, "FtpBruteForce", 7, target=PLAIN)], T0 + 8 * S) == []
    assert core.counters["alerts_repeated"] == 2 and core.counters["repeats"] == 1
    assert worker.counters["windows"] == windows


def block(state: str, at_s: float, until_s: float) -> Block:
    return Block(
        id=f"urn:block:{state}:{at_s}",
        decision="urn:decision",
        gateway="gw1",
        source=ip_address(ATTACKER),
        state=state,
        since_us=T0 + int(at_s * S),
        expires_us=T0 + int(until_s * S),
    )


@pytest.mark.parametrize("reported", [True, False])
def test_an_attack_that_goes_on_after_the_block_is_blocked_again(
    worker: PelletWorker, reported: bool
) -> None:
    """Whether the end was reported, or is over by what the beginning said."""
    core = engine(worker, block_duration=30)
    core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    core.on_blocks([block("active", 6, 36)], T0 + 6 * S)
    number, out = 10, []
    for second in range(8, 60, 2):
        number += 1
        if reported and second == 36:
            core.on_blocks([block("expired", 36, 36)], T0 + 36 * S)
        out += core.on_alerts(
            [alert(number, "FtpBruteForce", second, target=PLAIN)], T0 + second * S
        )
    # Decided at 6 s for 30 s; the next alert after 36 s is new evidence.
    assert [d.decided_us for d in decisions(out)] == [T0 + 36 * S]


def test_fresh_evidence_is_recommended_on_again_but_not_at_once(worker: PelletWorker) -> None:
    """Nothing is known of blocks here: who keeps them says what the repeat is good for."""
    core = engine(worker, block_duration=3600)
    assert len(decisions(core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S))) == 1
    early = core.on_alerts([alert(3, "SqlInjection", 20, target=PLAIN)], T0 + 20 * S)
    assert len(incidents(early)) == 1 and decisions(early) == []
    late = core.on_alerts([alert(4, "PathTraversal", 90, target=PLAIN)], T0 + 90 * S)
    assert len(decisions(late)) == 1
    repeat = core.on_alerts([alert(5, "PathTraversal", 100, target=PLAIN)], T0 + 200 * S)
    assert repeat == []


def test_a_refused_block_is_not_asked_for_at_every_alert(worker: PelletWorker) -> None:
    core = engine(worker)
    core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    out = []
    for second in range(8, 40):
        core.on_blocks([block("refused", second, second)], T0 + second * S)
        attack = alert(10 + second, "SqlInjection", second, target=f"203.0.113.{second}")
        out += core.on_alerts([attack], T0 + second * S)
    assert decisions(out) == []


def test_a_lifted_block_can_be_made_again(worker: PelletWorker) -> None:
    core = engine(worker)
    core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    core.on_blocks([block("active", 6, 3606)], T0 + 6 * S)
    core.on_blocks([block("lifted", 7, 3606)], T0 + 7 * S)
    out = core.on_alerts([alert(3, "FtpBruteForce", 8, target=PLAIN)], T0 + 9 * S)
    assert len(decisions(out)) == 1


def test_scans_over_honeypots_of_both_families_are_one_incident(worker: PelletWorker) -> None:
    scans = [alert(i, "ConnectScan", i, target=pot) for i, pot in enumerate(POTS)]
    out = engine(worker).on_alerts(scans[:2], T0 + 5 * S)
    incident = incidents(out)["MultiHoneypotScan"]
    assert incident.targets == tuple(ip_address(p) for p in POTS[:2])
    assert len(decisions(out)) == 1


def test_a_flood_without_a_source_is_shown_not_acted_on(worker: PelletWorker) -> None:
    out = engine(worker).on_alerts(
        [alert(1, "SynFlood", 0, source=None, target=PLAIN, verified=False)], T0 + S
    )
    assert set(incidents(out)) == {"FloodOnHost"} and decisions(out) == []


def test_an_own_host_that_attacks_is_shown_and_never_blocked(worker: PelletWorker) -> None:
    out = engine(worker).on_alerts(
        [alert(1, "OutgoingScan", 0, source=POTS[0], target=PLAIN, verified=True)], T0 + S
    )
    [incident] = incidents(out).values()
    assert incident.classification == "CompromisedHostIncident"
    assert incident.source == ip_address(POTS[0])
    assert decisions(out) == []


def test_many_attackers_at_once_take_several_windows(worker: PelletWorker) -> None:
    alerts = []
    for i in range(200):
        source = f"192.0.2.{i}"
        alerts.append(alert(2 * i, "SynScan", 0, source=source, target=PLAIN))
        alerts.append(alert(2 * i + 1, "SshBruteForce", 5, source=source, target=PLAIN))
    core = engine(worker)
    out = core.on_alerts(alerts, T0 + 6 * S)
    assert len({d.source for d in decisions(out)}) == 200
    assert core.counters["failed_windows"] == 0


def test_after_a_restart_earlier_scans_still_count(worker: PelletWorker) -> None:
    core = engine(worker)
    core.restore(SCAN_AND_GUESS[:1], T0 + 2 * S)
    out = core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S)
    assert len(decisions(out)) == 1 and core.counters["alerts_repeated"] == 1


class Picky:
    """Fails on every window that holds one poisoned alert; else says nothing."""

    def __init__(self, poison: str, error: Exception) -> None:
        self.poison, self.error, self.windows = poison.encode(), error, 0
        self.digested: set[str] = set()

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        self.windows += 1
        if self.poison in window.ntriples:
            raise self.error
        return Inferences()


@pytest.mark.parametrize(
    "error", [ReasonerTimeout("slow"), InconsistentWindow("contradiction", ())], ids=["slow", "bad"]
)
def test_one_indigestible_alert_is_isolated(error: Exception) -> None:
    alerts = [alert(i, "HoneypotContact", i, target=f"10.0.0.{i}") for i in range(100)]
    alerts = [replace(a, source=ip_address("192.0.2.0") + i) for i, a in enumerate(alerts)]
    picky = Picky("192.0.2.42>", error)
    core = engine(picky)
    for _ in range(MAX_ATTEMPTS):
        core.on_alerts(alerts, T0 + 200 * S)
    assert len(core.quarantine) == core.counters["quarantined"] == 1 and core.pending == 0
    assert core.counters["senior"] == 100


def test_a_reasoner_that_always_fails_holds_us_for_a_bounded_time() -> None:
    picky = Picky("urn:uuid", ReasonerTimeout("slow"))
    core = engine(picky)
    alerts = [alert(i, "HoneypotContact", i, target=f"10.0.{i}.1") for i in range(100)]
    core.on_alerts(alerts, T0 + 200 * S)
    assert picky.windows <= 12 and core.pending + len(core.quarantine) == 100
    for _ in range(MAX_ATTEMPTS):
        core.on_alerts([], T0 + 201 * S)
    assert core.pending == 0 and len(core.quarantine) == 100


def test_without_a_reasoner_alerts_wait(worker: PelletWorker) -> None:
    class Away:
        def reason(self, window: Window, timeout_s: float) -> Inferences:
            if self.away:
                raise ReasonerUnavailable("no Java")
            return worker.reason(window, timeout_s)

        away = True

    reasoner = Away()
    core = engine(reasoner)
    for _ in range(10):
        assert core.on_alerts(SCAN_AND_GUESS, T0 + 6 * S) == []
    assert core.pending == 2 and core.quarantine == {}
    reasoner.away = False
    assert len(decisions(core.on_alerts([], T0 + 7 * S))) == 1 and core.pending == 0


def test_an_alert_that_can_not_be_written_is_refused(worker: PelletWorker) -> None:
    core = engine(worker)
    hostile = alert(1, "SynScan> . <urn:x", 0)
    assert core.on_alerts([hostile, replace(hostile, id="urn:uuid:a b")], T0) == []
    assert core.counters["malformed"] == 2


def test_a_flood_of_what_may_be_forged_hides_no_guesser(worker: PelletWorker) -> None:
    """Ten times as many forged alerts as there is room for, between the scan and the guess."""
    core = CorrelationEngine(
        HOSTS,
        Policy(),
        origin="correlation@test",
        reasoner=worker,
        joins=find_joins(worker.theory),
        capacity=100,
    )
    core.on_alerts([replace(SCAN_AND_GUESS[0], verified_source=True)], T0 + S)
    for second in range(10):
        forged = [
            alert(1000 + second * 100 + n, "HoneypotContact", 1 + second / 10,
                  source=f"23.0.{second}.{n}", verified=False)
            for n in range(100)
        ]  # fmt: skip
        scans = [
            alert(9000 + second * 20 + n, "SynScan", 1 + second / 10, source=f"23.1.{second}.{n}",
                  target=PLAIN, verified=False)
            for n in range(20)
        ]  # fmt: skip
        core.on_alerts([*forged, *scans], T0 + (2 + second) * S)
    (decision,) = decisions(core.on_alerts(SCAN_AND_GUESS[1:], T0 + 20 * S))
    assert decision.source == ip_address(ATTACKER)
    assert core.counters["evicted"] == 0 < core.counters["evicted_unverified"]
