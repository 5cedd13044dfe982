"""Crafted alerts of known scenarios, through the whole engine with the real Pellet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.correlation.scenarios import ScenarioTracker
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window
from ontology.records import Alert, Block, Decision, HostProfile, Incident
from rules.shipped_files import shipped_models

S = 1_000_000
T0 = 1_790_000_000 * S
ATTACKER, TRUSTED, TARGET = "192.0.2.7", "203.0.113.10", "203.0.113.20"
VICTIM = "198.18.0.9"
HOSTS = [
    HostProfile(
        id=f"urn:ontoidps:profile:{a}",
        address=ip_address(a),
        roles=("ProtectedHost",),
        asset_value=5,
    )
    for a in (TRUSTED, TARGET)
]


def alert(
    number: int,
    classification: str,
    at_s: float,
    source: str | None,
    target: str,
    *,
    verified: bool = True,
    port: int | None = None,
) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=classification,
        source=ip_address(source) if source else None,
        target=ip_address(target),
        target_port=port,
        protocol=6,
        begin_us=T0 + int(at_s * S),
        end_us=T0 + int(at_s * S) + S,
        count=10,
        confidence=0.9,
        verified_source=verified,
        sensor="gw1",
        analyzer="gw1",
        explanation="because",
    )


MITNICK = [
    alert(1, "SynFlood", 0, None, TRUSTED, verified=False),
    alert(2, "SequencePrediction", 30, ATTACKER, TARGET),
    alert(3, "SpoofedLogin", 60, TRUSTED, TARGET, verified=False, port=513),
]
LLDOS = [
    alert(1, "IcmpSweep", 0, ATTACKER, TARGET, verified=False),
    alert(2, "RpcProbe", 600, ATTACKER, TARGET, port=111),
    alert(3, "BufferOverflow", 1200, ATTACKER, TARGET, port=32773),
    alert(4, "MalwareInstallation", 1800, ATTACKER, TARGET, port=514),
    alert(5, "SynFlood", 2400, TARGET, VICTIM, verified=False, port=80),
]


def engine(worker: PelletWorker, **policy: object) -> CorrelationEngine:
    return CorrelationEngine(
        HOSTS,
        Policy.model_validate(policy),
        origin="correlation@test",
        reasoner=worker,
        joins=find_joins(worker.theory),
    )


def play(core: CorrelationEngine, alerts: list[Alert]) -> list[Incident | Decision]:
    """One call per alert, as it goes live."""
    return [record for a in alerts for record in records(core.on_alerts([a], a.end_us + S))]


def records(outcomes: Iterable[Outcome]) -> list[Incident | Decision]:
    return [record for o in outcomes for record in (o.incident, *o.decisions)]


def block(source: str, state: str, gateway: str = "gw1") -> Block:
    return Block(
        id=f"urn:block:{source}:{state}",
        decision="urn:decision",
        gateway=gateway,
        source=ip_address(source),
        state=state,
        since_us=T0,
        expires_us=T0 + 7200 * S,
    )


def scenarios(out: list[Incident | Decision]) -> list[Incident]:
    return [r for r in out if isinstance(r, Incident) and r.classification == "ScenarioIncident"]


def steps(incident: Incident) -> list[str]:
    return [
        line.partition(": ")[2].partition(",")[0]
        for line in incident.explanation.splitlines()
        if line.startswith("Step ")
    ]


@pytest.mark.parametrize("at_once", [False, True])
def test_mitnick_is_one_incident_and_the_trusted_host_is_never_blocked(
    worker: PelletWorker, at_once: bool
) -> None:
    core = engine(worker)
    out = records(core.on_alerts(MITNICK, T0 + 70 * S)) if at_once else play(core, MITNICK)
    found = scenarios(out)
    assert len({incident.id for incident in found}) == 1
    last = found[-1]
    assert last.explanation.startswith("Scenario Mitnick: 3 steps")
    assert steps(last) == ["syn-flood", "tcp-sequence-prediction", "spoofed-remote-login"]
    assert "Objective in reach: illegal-remote-login" in last.explanation
    assert len(last.alerts) == 3
    blocked = {r.source for r in out if isinstance(r, Decision)}
    assert blocked == {ip_address(ATTACKER)}


def test_lldos_is_one_incident_that_grows_step_by_step(worker: PelletWorker) -> None:
    # Only watched: with a block the attacker's later steps would not be expected.
    core = engine(worker, minimum_severity=1.0)
    out = play(core, LLDOS)
    found = scenarios(out)
    assert len({incident.id for incident in found}) == 1
    assert [len(steps(incident)) for incident in found] == [3, 4, 5]
    first, _, last = found
    assert first.explanation.startswith("Scenario LLDOS: 3 steps, 60% of the way")
    assert "Expected next: install-mstream; prevented by block-source" in first.explanation
    assert steps(last) == [
        "host-sweep",
        "sadmind-probe",
        "sadmind-overflow",
        "install-mstream",
        "mstream-flood",
    ]
    assert "Objective in reach: distributed-denial-of-service" in last.explanation
    assert [i.severity for i in found] == sorted(i.severity for i in found)
    assert last.source == ip_address(ATTACKER) and len(last.alerts) == 5


def test_a_block_in_force_takes_away_what_the_next_step_needs(worker: PelletWorker) -> None:
    core = engine(worker)
    watched = scenarios(play(core, LLDOS[:3]))[-1]
    # Ordered is not in force: somebody may refuse it.
    assert "Expected next: install-mstream" in watched.explanation
    assert core.on_blocks([block(ATTACKER, "refused")], T0 + 1300 * S) == []
    (outcome,) = core.on_blocks([block(ATTACKER, "active")], T0 + 1300 * S)
    blocked = outcome.incident
    assert blocked.id == watched.id and outcome.decisions == ()
    assert {a.id for a in outcome.alerts} == set(blocked.alerts)
    assert "No longer expected: install-mstream, since block-source" in blocked.explanation
    assert "Nothing more is expected of this scenario." in blocked.explanation
    assert blocked.severity < watched.severity
    # A second gateway says the same; then both stop.
    assert core.on_blocks([block(ATTACKER, "active", "gw2")], T0 + 1301 * S) == []
    assert core.on_blocks([block(ATTACKER, "expired", "gw2")], T0 + 1302 * S) == []
    (outcome,) = core.on_blocks([block(ATTACKER, "lifted")], T0 + 1303 * S)
    assert "Expected next: install-mstream" in outcome.incident.explanation


def test_a_block_of_a_dry_run_stops_nobody(worker: PelletWorker) -> None:
    core = engine(worker, dry_run=True)
    play(core, LLDOS[:3])
    (outcome,) = core.on_blocks([block(ATTACKER, "active")], T0 + 1300 * S)
    assert "Expected next: install-mstream" in outcome.incident.explanation


def test_two_attackers_are_two_cases_and_both_ordered(worker: PelletWorker) -> None:
    flood, guess, login = MITNICK
    helper = replace(guess, id=f"urn:uuid:{9:032x}", source=ip_address("192.0.2.8"))
    found = [
        o
        for o in engine(worker).on_alerts([flood, guess, helper, login], T0 + 70 * S)
        if o.incident.classification == "ScenarioIncident"
    ]
    assert [len(o.decisions) for o in found] == [1, 1]
    assert {d.source for o in found for d in o.decisions} == {guess.source, helper.source}
    assert len({o.incident.id for o in found}) == 2
    for outcome in found:
        (decision,) = outcome.decisions
        assert decision.source == outcome.incident.source
        assert decision.incident == outcome.incident.id
        assert {a.id for a in outcome.alerts} == set(outcome.incident.alerts)
        # Which of them logged in is not known.
        other = ({guess.source, helper.source} - {decision.source}).pop()
        assert f"doubtful: {other} may be behind it as well" in outcome.incident.explanation
        assert "Objective perhaps in reach: illegal-remote-login" in outcome.incident.explanation


def test_a_case_blocks_whom_a_rule_wants_blocked(worker: PelletWorker) -> None:
    (decision,) = [r for r in play(engine(worker), MITNICK) if isinstance(r, Decision)]
    assert decision.reason.splitlines()[-1].startswith("Rule ScenarioBlockCandidateEarlier: A step")

    class Silent:
        """The reasoner, without its word on blocks."""

        def reason(self, window: Window, timeout_s: float) -> Inferences:
            found = worker.reason(window, timeout_s)
            members = [m for m in found.members if not m.name.endswith("BlockCandidate")]
            return replace(found, members=tuple(members))

    core = CorrelationEngine(HOSTS, Policy(), origin="c@test", reasoner=Silent())
    out = play(core, MITNICK)
    assert scenarios(out) and not [r for r in out if isinstance(r, Decision)]


def test_a_case_goes_on_where_it_stood_before_a_restart(worker: PelletWorker) -> None:
    whole = scenarios(play(engine(worker, minimum_severity=1.0), LLDOS))
    core = engine(worker, minimum_severity=1.0)
    first = scenarios(play(core, LLDOS[:3]))[-1]
    rows = core.conclusions()
    assert rows and core.conclusions() == []
    core = engine(worker, minimum_severity=1.0)
    core.restore(LLDOS[:3], T0 + 1300 * S, rows)
    # What was told before is not told again, and what comes next is part of it.
    assert core.conclusions() == [] and play(core, LLDOS[:3]) == []
    again = scenarios(play(core, LLDOS[3:]))
    assert [i.id for i in again] == [first.id] * len(again)
    assert [steps(i) for i in again] == [steps(i) for i in whole[-len(again) :]]
    assert len(steps(again[-1])) == 5


def test_a_restart_keeps_the_name_of_a_case_and_the_call_for_a_block(worker: PelletWorker) -> None:
    core = engine(worker)
    named = scenarios(play(core, LLDOS[1:4]))[-1]
    late = scenarios(play(core, LLDOS[:1]))
    rows = core.conclusions()
    core = engine(worker)
    core.restore(LLDOS[:4], T0 + 1900 * S, rows)
    out = play(core, LLDOS[4:])
    assert {i.id for i in (*late, *scenarios(out))} == {named.id}
    assert {r.source for r in out if isinstance(r, Decision)} == {ip_address(ATTACKER)}


def test_a_measure_ends_a_hypothesis_and_its_end_revives_it(worker: PelletWorker) -> None:
    tracker = ScenarioTracker(shipped_models())
    core = CorrelationEngine(
        HOSTS,
        Policy(minimum_severity=1.0),
        origin="c@test",
        reasoner=worker,
        scenarios=tracker,
    )
    incident = scenarios(play(core, LLDOS[:4]))[-1]
    known = {a.id: a for a in core.alerts_of(incident)}
    (case,) = tracker.cases(known, known.get)
    assert not any(e.prevented_by for e in case.expected) and not case.ended
    assert {e.step.name: e.measures for e in case.expected} == {
        "mstream-flood": ("isolate-host", "remove-zombie"),
        "zombie-reports": ("isolate-host", "remove-zombie"),
        "open-session": ("block-source",),
    }
    # The same measure against another host changes nothing.
    tracker.measure("isolate-host", ip_address(VICTIM))
    assert tracker.cases(known, known.get) == [case]
    tracker.measure("isolate-host", ip_address(TARGET))
    (half,) = tracker.cases(known, known.get)
    assert {e.step.name for e in half.expected if not e.prevented_by} == {"open-session"}
    assert not half.ended and half.weight < case.weight
    tracker.measure("block-source", ip_address(ATTACKER))
    (ended,) = tracker.cases(known, known.get)
    assert ended.ended and ended.weight < half.weight and ended.id == case.id
    tracker.lift("block-source", ip_address(ATTACKER))
    tracker.lift("isolate-host", ip_address(TARGET))
    assert tracker.cases(known, known.get) == [case]


@pytest.mark.parametrize(
    ("name", "alerts", "told"),
    [
        (
            "Web attack, shell, lateral movement",
            [
                alert(1, "VersionScan", 0, ATTACKER, TARGET),
                alert(2, "SqlInjection", 60, ATTACKER, TARGET, port=80),
                alert(3, "RemoteShell", 120, ATTACKER, TARGET, port=80),
                alert(4, "SshBruteForce", 180, TARGET, TRUSTED, port=22),
            ],
            ["port-scan", "web-attack", "web-shell", "lateral-movement"],
        ),
        (
            "Scan, exploit, flood",
            [
                alert(1, "SynScan", 0, ATTACKER, TARGET),
                alert(2, "Exploit", 60, ATTACKER, TARGET, port=445),
                alert(3, "UdpFlood", 120, TARGET, VICTIM, verified=False),
            ],
            ["port-scan", "service-exploit", "outbound-flood"],
        ),
        (
            "IP spoofing (AFF)",
            [
                alert(1, "DenialOfService", 0, None, TRUSTED, verified=False),
                alert(2, "SynScan", 60, ATTACKER, TARGET),
                alert(3, "SshBruteForce", 120, TRUSTED, TARGET, verified=False, port=22),
            ],
            ["invalidate", "guess-sequence", "penetrate"],
        ),
        (
            "Web server taken, by its own logs",
            [
                alert(1, "Scan", 0, None, TARGET, verified=False),
                alert(2, "WebAttack", 60, None, TARGET, verified=False),
                alert(3, "RemoteShell", 120, None, TARGET, verified=False),
                alert(4, "PrivilegeEscalation", 180, None, TARGET, verified=False),
            ],
            ["search-web", "break-web", "use-web-shell", "become-root"],
        ),
    ],
)
def test_other_scenarios_are_named(
    worker: PelletWorker, name: str, alerts: list[Alert], told: list[str]
) -> None:
    found = scenarios(play(engine(worker), alerts))
    assert len({incident.id for incident in found}) == 1
    assert found[-1].explanation.startswith(f"Scenario {name}: ")
    assert steps(found[-1]) == told


def test_steps_of_different_attackers_are_no_scenario(worker: PelletWorker) -> None:
    apart = [replace(a, source=ip_address("192.0.2.100") + n) for n, a in enumerate(LLDOS[:4])]
    assert scenarios(play(engine(worker), apart)) == []


def test_who_else_could_have_begun_it_is_no_story_of_its_own(worker: PelletWorker) -> None:
    """A host is attacked by another, without success, before it floods for the one who took it."""
    other = alert(90, "BufferOverflow", 500, "192.0.2.99", TARGET, port=25)
    ordered = sorted([*LLDOS, other], key=lambda a: a.begin_us)
    found = scenarios(play(engine(worker), ordered))
    assert {i.source for i in found} == {ip_address(ATTACKER)}
    assert all(i.explanation.startswith("Scenario LLDOS: ") for i in found)
    alone = [other, LLDOS[-1]]
    (told,) = scenarios(play(engine(worker), alone))
    assert told.source == other.source


def test_the_order_in_time_matters(worker: PelletWorker) -> None:
    backwards = [
        replace(a, begin_us=T0 + n * S, end_us=T0 + n * S) for n, a in enumerate(LLDOS[3::-1])
    ]
    assert scenarios(records(engine(worker).on_alerts(backwards, T0 + 60 * S))) == []


def test_pairs_are_forgotten_in_order_and_counted(worker: PelletWorker) -> None:
    tracker = ScenarioTracker(shipped_models(), capacity=2)
    core = CorrelationEngine(HOSTS, Policy(), origin="c@test", reasoner=worker, scenarios=tracker)
    play(core, LLDOS)
    # Two of verified alerts, and one of others.
    assert len(tracker) == 3 and tracker.forgotten > 0


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(KeyError):
        ScenarioTracker(shipped_models()).measure("pray", ip_address(ATTACKER))
