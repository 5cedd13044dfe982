"""Runs of the running pipeline over captures and alert sets, with the knowledge that is given."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.correlation.engine import CorrelationEngine
from agents.correlation.reasoner_thread import ReasonerThread
from agents.correlation.scenarios import ScenarioTracker
from agents.evaluation.ablation import Knowledge, Told
from agents.evaluation.alert_sets import AlertSet
from agents.evaluation.captures import judge
from agents.evaluation.correlation import correlate
from agents.evaluation.truths import Truth
from agents.knowledge.load import find_joins, load_theory
from agents.offline.replay import Replay
from agents.sensor.signatures.alerts import SignatureAlerts
from agents.sensor.tunnel_trust import TunnelTrust
from ontology.chainer.joins import Joins
from ontology.knowledge_base import ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.records import Address, Alert, Decision, HostProfile, Incident

REASON_TIMEOUT_S = 60.0
"""Nobody waits for an answer here; a slow machine must not change the result."""


class Reasoners:
    """One Pellet at a time, kept while the rule files stay the same; it is ready before a run, so
    that no run's time has its start in it."""

    def __init__(self) -> None:
        self._files: tuple[Path, ...] | None = None
        self._worker: PelletWorker | None = None
        self._ahead: ReasonerThread | None = None
        self._joins: Joins | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def of(self, files: tuple[Path, ...]) -> tuple[PelletWorker, ReasonerThread, Joins | None]:
        """For the ontology and these rule files. Raises: KnowledgeBaseError, ReasonerError."""
        if self._worker is None or self._ahead is None or files != self._files:
            self._close()
            theory = load_theory((ontology_path(), *files))
            self._worker, self._files = PelletWorker(theory), files
            self._ahead, self._joins = ReasonerThread(self._worker), find_joins(theory)
            self._worker.start()
        return self._worker, self._ahead, self._joins

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
        if self._ahead is not None:
            self._ahead.close()
        self._worker = self._ahead = None


def _profiles(knowledge: Knowledge, honeypots: Sequence[Address]) -> tuple[HostProfile, ...]:
    if not knowledge.hosts_known:
        return ()
    known = {host.address for host in knowledge.hosts}
    return knowledge.hosts + tuple(
        HostProfile(id=f"urn:ontoidps:profile:{a}", address=a, roles=("Honeypot",), asset_value=2)
        for a in dict.fromkeys(honeypots)
        if a not in known
    )


def run_captures(
    knowledge: Knowledge,
    truths: Sequence[Truth],
    reasoners: Reasoners,
    honeypots: Sequence[Address] = (),
) -> Told:
    """Sensor, signatures, analyzer and correlation on each capture for itself.

    Args:
        honeypots: of captures with an attack, beside those that a truth names. Whom people use, as
            benign captures show it, is no honeypot.

    Raises: ValueError, OSError: a capture can't be read.
    """
    worker, ahead, joins = reasoners.of(knowledge.rule_files)
    told = Told(named=0, false_incidents=0, false_decisions=0)
    found = attacks = 0
    begin = time.monotonic()
    for truth in truths:
        own = (*truth.honeypots, *(honeypots if truth.wanted else ()))
        hosts = _profiles(knowledge, own)
        trust = TunnelTrust((), guess=True, own=[host.address for host in hosts])
        matching = None
        if knowledge.signatures:
            matching = SignatureAlerts(knowledge.signatures, sensor="replay", tunnels=trust)
        replay = Replay(
            knowledge.model,
            worker,
            submit=ahead.submit,
            hosts=hosts,
            policy=knowledge.policy,
            signatures=matching,
            joins=joins,
            reads=worker.theory.reads - knowledge.withheld,
            tunnels=trust,
            sources=knowledge.sources,
            models=knowledge.models,
            outcomes=knowledge.outcomes,
        )
        alerts: list[Alert] = []
        incidents: dict[str, Incident] = {}
        decisions: list[Decision] = []
        for record in (*replay.capture(truth.file), *replay.finish()):
            if isinstance(record, Incident):
                incidents[record.id] = record
            elif isinstance(record, Decision):
                decisions.append(record)
            elif record.stage == "original":
                alerts.append(record)
        where = f"{truth.file.parent.name}/{truth.file.name}"
        for incident in incidents.values():
            told.incident(where, incident)
        for decision in decisions:
            told.decision(where, decision)
        accused = [incident.source for incident in incidents.values()]
        told.false_incidents = (told.false_incidents or 0) + _wrong(truth, accused)
        blocked = [decision.source for decision in decisions]
        told.false_decisions = (told.false_decisions or 0) + _wrong(truth, blocked)
        if truth.wanted:
            attacks += 1
            verdict = judge(truth, alerts)
            told.named = (told.named or 0) + (verdict.said == verdict.truth)
            found += truth.attacker in accused or (truth.attacker is None and bool(accused))
    told.seconds = time.monotonic() - begin
    told.recall = found / attacks if attacks else None
    return told


def _wrong(truth: Truth, sources: Sequence[Address | None]) -> int:
    """How many of them are no attacker; who floods in forged names is nobody that is named."""
    if not truth.wanted:
        return len(sources)
    return sum(source is not None and source != truth.attacker for source in sources)


def run_set(knowledge: Knowledge, reasoners: Reasoners, alert_set: AlertSet) -> Told:
    """Correlation on recorded alerts."""
    worker, ahead, joins = reasoners.of(knowledge.rule_files)
    pots = sorted(alert_set.honeypots, key=lambda a: (a.version, int(a)))
    engine = CorrelationEngine(
        _profiles(knowledge, pots),
        knowledge.policy,
        origin="evaluate",
        reasoner=worker,
        submit=ahead.submit,
        joins=joins,
        reads=worker.theory.reads - knowledge.withheld,
        reason_timeout_s=REASON_TIMEOUT_S,
        scenarios=ScenarioTracker(knowledge.models),
        outcomes=knowledge.outcomes,
        sources=knowledge.sources,
    )
    result = correlate(alert_set.alerts, engine, silent=alert_set.silent)
    related = {one.name: one.related for one in alert_set.alerts}
    told = Told(seconds=result.seconds, recall=result.metrics.completeness)
    if False in related.values():
        told.false_incidents = sum(
            {related[name] for name in one.names} == {False} for one in result.incidents
        )
    for one in result.incidents:
        told.incident("", one.incident)
    for decision in result.orders:
        told.decision("", decision)
    return told
