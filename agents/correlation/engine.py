"""Correlation without a shell: alerts and the time in, incidents and decisions out.

filter (junior) → fuse (senior) → window → rules in Pellet → incidents → decisions.

No alert is lost without a count: what the reasoner can't digest is tried again in smaller windows,
then alone, then on later calls, and at last put into quarantine.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import TypeVar

from agents.correlation.findings import Finding, collect_findings
from agents.correlation.memory import AlertMemory
from agents.correlation.narrative import tell_incident
from agents.settings import Policy
from ontology.reasoner.inferences import (
    Inferences,
    Reasoner,
    ReasonerError,
    ReasonerUnavailable,
)
from ontology.reasoner.window import build_window, check_alert
from ontology.records import Address, Alert, Decision, HostProfile, Incident
from rules.fusion import Fuser
from rules.incidents import kind_of, severity

logger = logging.getLogger(__name__)

HORIZON_US = 86_400_000_000
"""How far back rules look (the 86,400 s of ``correlation.owl``)."""
WINDOW_ALERTS = 150
"""Alerts in one window: about 0.1 s in a warm Pellet."""
REPEAT_US = 60_000_000
"""An incident that grows is reported again after this long, or at once if it got worse."""
INCIDENT_ALERTS = 64
"""Alerts that an incident names: the earliest ones and the latest."""
MAX_FAILURES = 12
"""Failed windows per call; the rest waits, so that a poisoned rule can't hold us for long."""
MAX_ATTEMPTS = 3
"""Calls in which an alert may fail before it goes into quarantine."""
K = TypeVar("K")
V = TypeVar("V")
_NAMESPACE = uuid.UUID("c0d0a3f5-6b6e-5f0e-8f0c-2c5c3b0f6d42")


class CorrelationEngine:
    """All state of correlation; not thread-safe: one call at a time.

    Args:
        hosts: what is known of hosts; their own addresses are never blocked.
        policy: allow-list, minimum severity and duration of blocks.
        origin: who decides: bare JID of the agent.
        reasoner: blocks while it works, so the agent calls `on_alerts` in a thread.
        reason_timeout_s: time limit of one window.
    """

    def __init__(
        self,
        hosts: Sequence[HostProfile],
        policy: Policy,
        *,
        origin: str,
        reasoner: Reasoner,
        reason_timeout_s: float = 5.0,
        capacity: int = 50_000,
    ) -> None:
        self._hosts = _by_address(hosts)
        self._policy = policy
        self._allowed = tuple(ip_network(entry) for entry in policy.allow)
        self._origin = origin
        self._reasoner = reasoner
        self._timeout_s = reason_timeout_s
        self._capacity = capacity
        self._fuser = Fuser(capacity=capacity)
        self._memory = AlertMemory(horizon_us=HORIZON_US, capacity=capacity)
        # All bounded by `_remember`: the oldest entry goes first.
        self._received: OrderedDict[str, int] = OrderedDict()
        self._pending: OrderedDict[str, int] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._reported: OrderedDict[tuple[str, Address | None, Address | None], tuple[int, float]]
        self._reported = OrderedDict()
        self._blocks: OrderedDict[Address, int] = OrderedDict()
        self.quarantine: OrderedDict[str, str] = OrderedDict()
        """Ids of alerts that the reasoner could not digest, and why; the latest 1,000."""
        self.counters: Counter[str] = Counter()

    @property
    def pending(self) -> int:
        """Alerts that still wait for a reasoner; call `on_alerts` again, with or without more."""
        return len(self._pending)

    def on_alerts(self, alerts: Iterable[Alert], now_us: int) -> list[Incident | Decision]:
        """Take alerts in; each incident is followed by its decision, if there is one.

        Args:
            now_us: epoch microseconds; offline, the time within the capture.
        """
        self._end_blocks(now_us)
        waiting = list(self._pending)
        for fused in self._fuser.add(self._juniors(alerts)):
            self._memory.put(fused.alert, fused.replaces)
            self.counters["senior"] += 1
            if fused.changed:
                waiting.append(fused.alert.id)
            else:
                self.counters["repeats"] += 1
        self._memory.prune(now_us)
        fresh = [a for i in dict.fromkeys(waiting) if (a := self._memory.get(i)) is not None]
        for gone in self._pending.keys() - {a.id for a in fresh}:
            # Replaced by a merged alert (which is in) or older than the horizon.
            del self._pending[gone]
        out: list[Incident | Decision] = []
        for part, inferences in self._infer(fresh):
            findings = collect_findings(part, inferences, self._memory.get)
            # The strongest first: it is the one that the block will be explained with.
            for finding in sorted(findings, key=_level, reverse=True):
                out += self._report(finding, now_us)
        return out

    def restore(self, alerts: Iterable[Alert], now_us: int) -> None:
        """Remember alerts that were reported on before a restart, without concluding anew."""
        for fused in self._fuser.add(self._juniors(alerts)):
            self._memory.put(fused.alert, fused.replaces)
        self._memory.prune(now_us)

    def alerts_of(self, incident: Incident) -> tuple[Alert, ...]:
        """The senior alerts that an incident rests on, as far as they are still remembered."""
        found = (self._memory.get(i) for i in incident.alerts)
        return tuple(alert for alert in found if alert is not None)

    def forget_block(self, source: Address) -> None:
        """This source is not blocked (any more): refused, lifted or failed."""
        if self._blocks.pop(source, None) is not None:
            self._fuser.close(source)

    def _juniors(self, alerts: Iterable[Alert]) -> list[Alert]:
        juniors = []
        for alert in alerts:
            self.counters["alerts"] += 1
            try:
                check_alert(alert)
            except ValueError as e:
                self.counters["malformed"] += 1
                logger.warning("alert refused: %s", e)
                continue
            # An analyzer reports a finding again when it grew, under the same id and with the whole
            # count; fusion adds counts up, so it gets what is new.
            grown = alert.count - self._received.get(alert.id, 0)
            if grown <= 0:
                self.counters["alerts_repeated"] += 1
                continue
            self._remember(self._received, alert.id, alert.count)
            alert = replace(alert, count=grown)
            if alert.source is not None and self._is_allowed(alert.source):
                self.counters["allowed"] += 1
                continue
            juniors.append(replace(alert, stage="junior"))
        return juniors

    def _infer(self, fresh: list[Alert]) -> Iterable[tuple[list[Alert], Inferences]]:
        """Reason about all of ``fresh``, window by window; failures are split up."""
        todo = list(reversed(self._pack(fresh)))
        failures = 0
        while todo:
            part, context = todo.pop()
            if failures >= MAX_FAILURES:
                self._defer(part, "too many windows failed")
                continue
            try:
                inferences = self._reasoner.reason(
                    build_window([*part, *context], self._hosts), self._timeout_s
                )
            except ReasonerUnavailable as e:
                logger.error("no reasoner: %s", e)
                self.counters["reasoner_unavailable"] += 1
                for waiting, _ in [*todo, (part, context)]:
                    self._defer(waiting, str(e), attempt=0)
                return
            except ReasonerError as e:
                failures += 1
                self.counters["failed_windows"] += 1
                logger.warning("a window of %d alerts failed: %s", len(part), e)
                if len(part) > 1:
                    half = len(part) // 2
                    todo += [*self._pack(part[half:]), *self._pack(part[:half])]
                elif context:
                    todo.append((part, context[: len(context) // 2]))
                else:
                    self._quarantine(part[0].id, str(e))
                continue
            for alert in part:
                self._pending.pop(alert.id, None)
            yield part, inferences

    def _pack(self, fresh: Sequence[Alert]) -> list[tuple[list[Alert], list[Alert]]]:
        """(fresh alerts, their context) per window, alerts of one source together."""
        windows: list[tuple[list[Alert], list[Alert]]] = []
        part: dict[str, Alert] = {}
        context: dict[str, Alert] = {}
        for alert in sorted(fresh, key=lambda a: (str(a.source), a.begin_us, a.id)):
            more = {a.id: a for a in self._memory.context(alert)}
            if part and len({*part, *context, *more, alert.id}) > WINDOW_ALERTS:
                windows.append(_window(part, context))
                part, context = {}, {}
            part[alert.id] = alert
            context |= more
        if part:
            windows.append(_window(part, context))
        self.counters["left_out"] = self._memory.left_out
        self.counters["evicted"] = self._memory.evicted
        return windows

    def _defer(self, alerts: Iterable[Alert], why: str, *, attempt: int = 1) -> None:
        for alert in alerts:
            attempts = self._pending.get(alert.id, 0) + attempt
            if attempts >= MAX_ATTEMPTS:
                self._quarantine(alert.id, why)
            else:
                self._pending[alert.id] = attempts
        while len(self._pending) > self._capacity:
            self._quarantine(next(iter(self._pending)), "too many alerts wait")

    def _quarantine(self, alert_id: str, why: str) -> None:
        self._pending.pop(alert_id, None)
        self.counters["quarantined"] += 1
        logger.error("alert %s can't be correlated: %s", alert_id, why)
        self.quarantine[alert_id] = why
        while len(self.quarantine) > 1000:
            self.quarantine.popitem(last=False)

    def _report(self, finding: Finding, now_us: int) -> list[Incident | Decision]:
        new = {fact for fact in finding.facts if fact not in self._seen}
        kind = kind_of(finding.rule)
        level = _level(finding)
        source = finding.source
        decide = (
            finding.block_candidate
            and source is not None
            and level >= self._policy.minimum_severity
            and self._may_block(source, now_us, new=bool(new))
        )
        if not new and not decide:
            return []
        for fact in new:
            self._remember(self._seen, fact, None)
        key = (finding.rule, source, finding.target if kind.per_target else None)
        last_us, last_level = self._reported.get(key, (0, -1.0))
        if not decide and now_us - last_us < REPEAT_US and level <= last_level:
            self.counters["folded"] += 1
            return []
        self._remember(self._reported, key, (now_us, level))
        incident = self._incident(finding, kind.classification, level)
        self.counters["incidents"] += 1
        if not decide or source is None:
            return [incident]
        return [incident, self._decision(incident, finding, source, now_us)]

    def _incident(self, finding: Finding, classification: str, level: float) -> Incident:
        alerts = finding.alerts
        if len(alerts) > INCIDENT_ALERTS:
            half = INCIDENT_ALERTS // 2
            alerts = alerts[:half] + alerts[-half:]
        ids = tuple(sorted(a.id for a in alerts))
        name = "\n".join((finding.rule, *ids))
        return Incident(
            # From its content: the same inference gets the same name, also after a restart.
            id=f"urn:uuid:{uuid.uuid5(_NAMESPACE, name)}",
            classification=classification,
            source=finding.source,
            targets=finding.targets,
            alerts=ids,
            rule=finding.rule,
            begin_us=min(a.begin_us for a in alerts),
            end_us=max(a.end_us for a in alerts),
            severity=level,
            verified_source=any(a.verified_source for a in finding.later),
            explanation=tell_incident(finding.rule, finding.comment, alerts, finding.explanations),
        )

    def _decision(
        self, incident: Incident, finding: Finding, source: Address, now_us: int
    ) -> Decision:
        seconds = min(self._policy.block_duration, self._policy.maximum_duration)
        self._remember(self._blocks, source, now_us + seconds * 1_000_000)
        self.counters["decisions"] += 1
        return Decision(
            # The same again if a crash makes us decide the same again; another for a renewal.
            id=f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'block {incident.id} {incident.end_us}')}",
            action="block",
            source=source,
            target=finding.target,
            classification=incident.classification,
            incident=incident.id,
            origin=self._origin,
            decided_us=now_us,
            duration_s=seconds,
            reason=f"{incident.explanation}\n{self._why_block(incident, finding)}",
        )

    def _why_block(self, incident: Incident, finding: Finding) -> str:
        """One line: the rule, and the limit that was reached."""
        rule = "The reaction rules call for a block."
        if finding.block_rule:
            rule = f"Rule {finding.block_rule}: {finding.block_comment}".rstrip(": ")
            rule += "" if rule.endswith(".") else "."
        limit = self._policy.minimum_severity
        return f"{rule} Severity {incident.severity:.2f}, at least {limit:.2f} is needed."

    def _may_block(self, source: Address, now_us: int, *, new: bool) -> bool:
        if source in self._hosts or self._is_allowed(source):
            self.counters["protected"] += 1
            return False
        if source.is_multicast or source.is_unspecified or source.is_loopback:
            return False
        until_us = self._blocks.get(source)
        if until_us is None:
            return True
        # One block per source; fresh evidence renews it once half of it is over.
        left_us = until_us - now_us
        return new and left_us * 2 < self._policy.block_duration * 1_000_000

    def _end_blocks(self, now_us: int) -> None:
        for source in [s for s, until_us in self._blocks.items() if until_us <= now_us]:
            # Whoever attacks on after the block must be a new finding, not a repeat of the old one.
            self.forget_block(source)

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)

    def _remember(self, store: OrderedDict[K, V], key: K, value: V) -> None:
        store[key] = value
        store.move_to_end(key)
        while len(store) > self._capacity:
            store.popitem(last=False)


def _level(finding: Finding) -> float:
    """Severity of the incident that a finding would be."""
    return severity(kind_of(finding.rule), max(a.confidence for a in finding.later))


def _window(part: dict[str, Alert], context: dict[str, Alert]) -> tuple[list[Alert], list[Alert]]:
    return list(part.values()), [a for a in context.values() if a.id not in part]


def _by_address(hosts: Iterable[HostProfile]) -> dict[Address, HostProfile]:
    """One profile per address; a host may be honeypot and gateway at once."""
    merged: dict[Address, HostProfile] = {}
    for host in hosts:
        known = merged.get(host.address)
        roles = set(host.roles) | (set(known.roles) if known is not None else set())
        merged[host.address] = replace(known or host, roles=tuple(sorted(roles)))
    return merged
