"""Correlation without a shell: alerts and the time in, incidents and decisions out.

filter (junior) → fuse (senior) → window → rules in Pellet → incidents → decisions.

No alert is lost without a count (`agents.correlation.reasoning`).
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import TypeVar

from agents.correlation.cases import Case
from agents.correlation.findings import Finding, collect_findings
from agents.correlation.fusion import Fuser
from agents.correlation.incident_kinds import kind_of
from agents.correlation.memory import AlertMemory
from agents.correlation.ratings import Rater
from agents.correlation.reasoning import Reasoning
from agents.correlation.reports import (
    case_incident,
    case_level,
    finding_level,
    make_decision,
    make_incident,
    tell_block,
    tell_case_block,
)
from agents.correlation.response import (
    block_seconds,
    blocks,
    by_address,
    choose_reaction,
    tell_reaction,
)
from agents.correlation.scenarios import ScenarioTracker
from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.reasoner.inferences import Reasoner
from ontology.reasoner.window import alert_hosts, check_alert
from ontology.records import Address, Alert, Decision, HostProfile, Incident
from rules.reactions.reaction_rules import Chosen, Reactions, shipped_reactions
from rules.scenarios.compile import Compiled
from rules.shipped_files import shipped_models

logger = logging.getLogger(__name__)

HORIZON_US = 86_400_000_000
"""How far back rules look (the 86,400 s of ``correlation.owl``)."""
REPEAT_US = 60_000_000
"""An incident that grows is reported again after this long, or at once if it got worse."""
BLOCK = "block-source"
"""What a block of ours is called in ``attacks.owl``."""
K = TypeVar("K")
V = TypeVar("V")


class CorrelationEngine:
    """All state of correlation; not thread-safe: one call at a time.

    Args:
        hosts: what is known of hosts; their own addresses are never blocked.
        policy: allow-list, minimum severity and duration of blocks.
        origin: who decides: bare JID of the agent.
        reasoner: blocks while it works, so the agent calls `on_alerts` in a thread.
        reason_timeout_s: time limit of one window.
        reactions: which response an attack gets; the shipped rules by default.
        scenarios: cases of known scenarios; made from the shipped models by default.
        joins: which alerts can meet in the rules of the reasoner; by default any that share a host.
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
        reactions: Reactions | None = None,
        scenarios: ScenarioTracker | None = None,
        joins: Joins | None = None,
    ) -> None:
        self._reactions = shipped_reactions() if reactions is None else reactions
        if scenarios is None:
            scenarios = ScenarioTracker(shipped_models(), capacity=capacity)
        self._scenarios = scenarios
        self._hosts = by_address(hosts)
        self._policy = policy
        self._allowed = tuple(ip_network(entry) for entry in policy.allow)
        self._origin = origin
        self._capacity = capacity
        self._fuser = Fuser(capacity=capacity)
        self._memory = AlertMemory(horizon_us=HORIZON_US, capacity=capacity, joins=joins)
        self._joins = joins
        self._rater = Rater(policy, self._hosts, self._memory)
        self.counters: Counter[str] = Counter()
        self._reasoning = Reasoning(
            reasoner,
            self._memory,
            self._rater,
            joins=joins,
            counters=self.counters,
            timeout_s=reason_timeout_s,
            capacity=capacity,
        )
        # All bounded by `_remember`: the oldest entry goes first.
        self._received: OrderedDict[str, int] = OrderedDict()
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._reported: OrderedDict[tuple[str, Address | None, Address | None], tuple[int, float]]
        self._reported = OrderedDict()
        self._blocks: OrderedDict[Address, tuple[int, int]] = OrderedDict()
        self._cases: OrderedDict[str, tuple[object, int]] = OrderedDict()

    @property
    def pending(self) -> int:
        """Alerts that still wait for a reasoner; call `on_alerts` again, with or without more."""
        return len(self._reasoning.pending)

    @property
    def quarantine(self) -> Mapping[str, str]:
        """Ids of alerts that the reasoner could not digest, and why; the latest 1,000."""
        return self._reasoning.quarantine

    def on_alerts(self, alerts: Iterable[Alert], now_us: int) -> list[Incident | Decision]:
        """Take alerts in; each incident is followed by its decision, if there is one.

        Args:
            now_us: epoch microseconds; offline, the time within the capture.
        """
        self._end_blocks(now_us)
        pending = self._reasoning.pending
        waiting = list(pending)
        for fused in self._fuser.add(self._juniors(alerts)):
            self._memory.put(fused.alert, fused.replaces)
            self.counters["senior"] += 1
            if not (fused.changed or (self._joins is not None and self._joins.reads_growth)):
                self.counters["repeats"] += 1
            elif not self._memory.matters(fused.alert):
                self.counters["spared"] += 1
            else:
                waiting.append(fused.alert.id)
        self._memory.prune(now_us)
        fresh = [a for i in dict.fromkeys(waiting) if (a := self._memory.get(i)) is not None]
        for gone in pending.keys() - {a.id for a in fresh}:
            # Replaced by a merged alert (which is in) or older than the horizon.
            del pending[gone]
        out: list[Incident | Decision] = []
        touched: set[str] = set()
        for part, inferences in self._reasoning.infer(fresh):
            touched |= self._scenarios.add(inferences)
            findings = [
                finding
                for finding in collect_findings(part, inferences, self._memory.get)
                if finding.rule not in self._scenarios.rules
            ]
            # The strongest first: it is the one that the block will be explained with.
            for finding in sorted(findings, key=finding_level, reverse=True):
                out += self._report(finding, now_us)
        for case in self._scenarios.cases(touched, self._memory.get):
            out += self._report_case(case, now_us)
        return out

    def use(self, compiled: Compiled, reactions: Reactions, joins: Joins | None = None) -> None:
        """From now on work with these models, reaction rules and joins."""
        self._joins = joins
        self._memory.use(joins)
        self._reasoning.use(joins)
        self._reactions = reactions
        self._scenarios.use(compiled)

    def restore(self, alerts: Iterable[Alert], now_us: int) -> None:
        """Remember alerts that were reported on before a restart, without concluding anew."""
        for fused in self._fuser.add(self._juniors(alerts)):
            self._memory.put(fused.alert, fused.replaces)
        self._memory.prune(now_us)

    def alerts_of(self, incident: Incident) -> tuple[Alert, ...]:
        """The senior alerts that an incident rests on, as far as they are still remembered."""
        found = (self._memory.get(i) for i in incident.alerts)
        return tuple(alert for alert in found if alert is not None)

    def set_hosts(self, hosts: Sequence[HostProfile]) -> None:
        """Other knowledge of hosts, from the next window on."""
        self._hosts = by_address(hosts)
        self._rater.set_hosts(self._hosts)

    def forget_block(self, source: Address) -> None:
        """This source is not blocked (any more): refused, lifted or failed."""
        if self._blocks.pop(source, None) is not None:
            self._fuser.close(source)
            self._scenarios.lift(BLOCK, source)

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

    def _report(self, finding: Finding, now_us: int) -> list[Incident | Decision]:
        new = {fact for fact in finding.facts if fact not in self._seen}
        kind = kind_of(finding.rule)
        level = finding_level(finding)
        source = finding.source
        chosen = choose_reaction(finding.later, self._hosts, self._reactions)
        decide = (
            finding.block_candidate
            and source is not None
            and blocks(chosen)
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
        incident = self._rater.told(
            make_incident(finding, kind.classification, level), finding.later
        )
        self.counters["incidents"] += 1
        if not decide or source is None:
            if not blocks(chosen):
                # That no block comes is explained, too.
                told = f"{incident.explanation}\n{tell_reaction(chosen)}"
                incident = replace(incident, explanation=told)
            return [incident]
        why = tell_block(finding, incident.severity, self._policy.minimum_severity)
        return [incident, self._decision(incident, finding.target, source, chosen, why, now_us)]

    def _report_case(self, case: Case, now_us: int) -> list[Incident | Decision]:
        told = ([name for name, _ in case.steps], case.scenario, case.objectives)
        last, last_us = self._cases.get(case.id, (None, 0))
        if told == last and now_us - last_us < REPEAT_US:
            self.counters["folded"] += 1
            return []
        self._remember(self._cases, case.id, (told, now_us))
        level = case_level(case)
        orders = self._blocks_of_case(case, level, now_us)
        # A block takes away what later steps need: tell the case as it is then.
        case = self._scenarios.retell(case, self._memory.get) if orders else case
        incident = self._rater.told(case_incident(case, case_level(case)), case.alerts)
        self.counters["incidents"] += 1
        why = tell_case_block(case, level, self._policy.minimum_severity)
        return [incident] + [self._decision(incident, *order, why, now_us) for order in orders]

    def _blocks_of_case(
        self, case: Case, level: float, now_us: int
    ) -> list[tuple[Address | None, Address, Chosen]]:
        """(attacked host, source, rule) for each source of a case that may be blocked.

        Not those that were attacked in the same case: they are victims, used by the attacker.
        """
        if level < self._policy.minimum_severity:
            return []
        victims = {address for alert in case.alerts for address in alert_hosts(alert)[1]}
        found: dict[Address, tuple[Address | None, Address, Chosen]] = {}
        for alert in case.alerts:
            source = alert.source
            if source is None or not alert.verified_source or source in victims | found.keys():
                continue
            chosen = choose_reaction([alert], self._hosts, self._reactions)
            if blocks(chosen) and self._may_block(source, now_us, new=False):
                found[source] = (alert.target, source, chosen)
                self._scenarios.measure(BLOCK, source)
        return list(found.values())

    def _decision(
        self,
        incident: Incident,
        target: Address | None,
        source: Address,
        chosen: Chosen,
        why: str,
        now_us: int,
    ) -> Decision:
        policy = self._policy
        seconds = block_seconds(chosen, policy.block_duration, policy.maximum_duration)
        self._remember(self._blocks, source, (now_us + seconds * 1_000_000, seconds * 1_000_000))
        self._scenarios.measure(BLOCK, source)
        self.counters["decisions"] += 1
        return make_decision(
            incident,
            source,
            target,
            seconds,
            f"{incident.explanation}\n{tell_reaction(chosen)}\n{why}",
            origin=self._origin,
            now_us=now_us,
        )

    def _may_block(self, source: Address, now_us: int, *, new: bool) -> bool:
        if source in self._hosts or self._is_allowed(source):
            self.counters["protected"] += 1
            return False
        if source.is_multicast or source.is_unspecified or source.is_loopback:
            return False
        if source not in self._blocks:
            return True
        # One block per source; fresh evidence renews it once half of it is over.
        until_us, length_us = self._blocks[source]
        return new and (until_us - now_us) * 2 < length_us

    def _end_blocks(self, now_us: int) -> None:
        for source in [s for s, (until_us, _) in self._blocks.items() if until_us <= now_us]:
            # Whoever attacks on after the block must be a new finding, not a repeat of the old one.
            self.forget_block(source)

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)

    def _remember(self, store: OrderedDict[K, V], key: K, value: V) -> None:
        store[key] = value
        store.move_to_end(key)
        while len(store) > self._capacity:
            store.popitem(last=False)
