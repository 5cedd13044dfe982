"""Correlation without a shell: the rooms in their order of work.

intake → filtration (junior) → fusion (senior) → memory and reasoning (windows to Pellet) → findings
and cases → belief → decider → outcomes. Alerts and the time in, outcomes out; no thread of its own.

No alert is lost without a count (`agents.correlation.reasoning`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from agents.base.protected import Protected
from agents.correlation.belief import case_level, finding_level
from agents.correlation.cases import Case
from agents.correlation.decider import REPEAT_US, Decider, Recommendation, wanted
from agents.correlation.filtration import AllowList, Filtration
from agents.correlation.fusion import Fuser
from agents.correlation.inference_findings import CANDIDATES, Finding, collect_findings
from agents.correlation.intake import Intake
from agents.correlation.known_sources import KnownSourcesJudge, SourceTable
from agents.correlation.measures import Measures
from agents.correlation.memory import AlertMemory
from agents.correlation.outcome import Graph, Outcome
from agents.correlation.probation import Probation
from agents.correlation.ratings import Rater
from agents.correlation.reasoning import Reasoning, Submit, in_turn
from agents.correlation.reports import case_incident, make_incident
from agents.correlation.response import by_address, describe_reaction
from agents.correlation.rhythms import Rhythms
from agents.correlation.scenario_memory import Row
from agents.correlation.scenarios import CANDIDATE, ScenarioTracker
from agents.correlation.shares import SharedTable, owner_of_all
from agents.correlation.touch_counts import PROBE
from agents.settings.honeynet import Policy
from agents.settings.source_sections import KnownSources
from ontology.chainer.joins import Joins
from ontology.reasoner.inferences import Reasoner
from ontology.records import Address, Alert, Block, HostProfile, Incident
from ontology.rule_outcomes import Outcomes
from rules.reactions.reaction_rules import Reactions, shipped_reactions
from rules.scenarios.compile import Compiled
from rules.shipped_files import shipped_models, shipped_outcomes

HORIZON_US = 86_400_000_000
"""How far back rules look (the 86,400 s of ``correlation.owl``)."""
BLOCK = "block-source"
"""What a block is called in ``attacks.owl``."""


class CorrelationEngine:
    """All state of correlation; not thread-safe: one call at a time.

    Args:
        hosts: what is known of hosts; their own addresses are never blocked.
        policy: allow-list, minimum severity and duration of blocks.
        protected: who is never blocked; by default the allow-list of the policy.
        origin: who decides: bare JID of the agent.
        reasoner: blocks while it works, so the agent calls `on_alerts` in a thread.
        submit: takes windows to that reasoner without waiting for it; by default each is waited
            for.
        reason_timeout_s: time limit of one window.
        reactions: which response an attack gets; the shipped rules by default.
        scenarios: cases of known scenarios; made from the shipped models by default.
        joins: which alerts can meet in the rules of the reasoner; by default any that share a host.
        reads: what those rules read of alerts and hosts (`Theory.reads`); windows hold no more.
        outcomes: what becomes of each rule's conclusions; the shipped rules' by default.
        probation: of new rules; by default they stay whatever windows they fail.
        sources: what is known of sources; nothing by default.
    """

    def __init__(
        self,
        hosts: Sequence[HostProfile],
        policy: Policy,
        *,
        origin: str,
        reasoner: Reasoner,
        submit: Submit | None = None,
        reason_timeout_s: float = 5.0,
        capacity: int = 50_000,
        reactions: Reactions | None = None,
        scenarios: ScenarioTracker | None = None,
        joins: Joins | None = None,
        reads: Set[str] = frozenset(),
        protected: Protected | None = None,
        outcomes: Outcomes | None = None,
        probation: Probation | None = None,
        sources: Sequence[KnownSources] = (),
    ) -> None:
        reactions = shipped_reactions() if reactions is None else reactions
        if scenarios is None:
            scenarios = ScenarioTracker(shipped_models(), capacity=capacity)
        self.counters: Counter[str] = Counter()
        self._policy = policy
        self._outcomes = shipped_outcomes() if outcomes is None else outcomes
        self._intake = Intake(capacity, self.counters)
        protected = Protected(policy.allow) if protected is None else protected
        self._filtration = Filtration((AllowList(protected.allow),), self.counters)
        self._fuser = Fuser(capacity=capacity)
        self._memory = AlertMemory(horizon_us=HORIZON_US, capacity=capacity, joins=joins)
        self._joins = joins
        by_host = by_address(hosts)
        table = SourceTable(sources)
        self._sources = KnownSourcesJudge(table, self._memory.naming)
        self._rater = Rater(policy, by_host, self._memory, reactions, reads, table, joins)
        self._reasoning = Reasoning(
            in_turn(reasoner) if submit is None else submit,
            self._memory,
            self._rater,
            joins=joins,
            counters=self.counters,
            timeout_s=reason_timeout_s,
            capacity=capacity,
            probation=probation,
        )
        self._scenarios = scenarios
        self._measures = Measures(capacity)
        self.rhythms = Rhythms(policy, capacity)
        """How often sources came."""
        self._decider = Decider(
            by_host,
            policy,
            protected,
            reactions,
            origin=origin,
            counters=self.counters,
            capacity=capacity,
            rhythms=self.rhythms,
        )
        scenarios.set_surroundings(self._decider.is_known_host, self._memory.naming)
        self._seen: SharedTable[tuple[str, str, str], None] = SharedTable(capacity)
        self._reported: SharedTable[
            tuple[str, Address | None, Address | None], tuple[int, float]
        ] = SharedTable(capacity)
        self._cases: SharedTable[str, tuple[object, int]] = SharedTable(capacity)

    @property
    def pending(self) -> int:
        """Alerts that still wait for a reasoner; call `on_alerts` again, with or without more."""
        return len(self._reasoning.pending)

    @property
    def quarantine(self) -> Mapping[str, str]:
        """Ids of alerts that the reasoner could not digest, and why; the latest 1,000."""
        return self._reasoning.quarantine

    def on_alerts(
        self, alerts: Iterable[Alert], now_us: int, steady_us: int | None = None
    ) -> list[Outcome]:
        """Take alerts in; what is to be said of them, in order.

        Args:
            now_us: epoch microseconds; offline, the time within the capture.
            steady_us: the same by a clock that nobody sets; None: ``now_us`` is one.
        """
        for source in self._measures.end(now_us):
            self._measure_ended(source)
        outcomes: list[Outcome] = []
        touched: set[str] = set()
        for part, inferences in self._reasoning.infer(
            self._fresh(alerts, now_us if steady_us is None else steady_us)
        ):
            touched |= self._scenarios.add(inferences, self._memory.get)
            findings = [
                finding
                for finding in collect_findings(part, inferences, self._memory.get, self._outcomes)
                if finding.rule not in self._scenarios.rules
            ]
            for finding in sorted(findings, key=self._strength, reverse=True):
                outcomes += self._report(finding, now_us)
        for case in self._scenarios.cases(touched, self._memory.get):
            outcomes += self._report_case(case, now_us)
        return outcomes

    def on_blocks(self, reports: Iterable[Block], now_us: int) -> list[Outcome]:
        """Take reports of what is in force in; the cases that look different now, as incidents.

        A block takes away what later steps of its source need.
        """
        changed: dict[Address, None] = {}
        for report in reports:
            change = self._measures.take(report)
            if change == "begun":
                self._measure_begun(report.source)
            elif change == "ended":
                self._measure_ended(report.source)
            if change is not None:
                changed[report.source] = None
        outcomes: dict[str, Outcome] = {}
        for source in changed:
            for case in self._scenarios.cases_of(source, self._memory.get):
                if case.id in self._cases:
                    outcomes[case.id] = self._case_outcome(case)
        return list(outcomes.values())

    def clock_set(self, step_us: int) -> None:
        """The clock that ``now_us`` is read from was set by so much: what was said a minute ago
        was said a minute ago. Alerts keep their times."""
        self._measures.clock_set(step_us)
        self._decider.clock_set(step_us)
        self._reported.change(lambda told: (told[0] + step_us, told[1]))
        self._cases.change(lambda told: (told[0], told[1] + step_us))

    def set_rules(
        self,
        compiled: Compiled,
        reactions: Reactions,
        joins: Joins | None = None,
        reads: Set[str] = frozenset(),
        outcomes: Outcomes | None = None,
    ) -> None:
        """From now on work with these models, reaction rules, joins, terms and outcomes."""
        self._joins = joins
        if outcomes is not None:
            self._outcomes = outcomes
        self._memory.set_joins(joins)
        self._reasoning.set_joins(joins)
        self._rater.set_rules(reactions, reads, joins)
        self._decider.set_reactions(reactions)
        self._scenarios.set_models(compiled)

    def set_hosts(self, hosts: Sequence[HostProfile]) -> None:
        """Other knowledge of hosts, from the next window on."""
        by_host = by_address(hosts)
        self._rater.set_hosts(by_host)
        self._decider.set_hosts(by_host)

    def set_protected(self, protected: Protected) -> None:
        """Other knowledge of who is never blocked, from the next decision on."""
        self._decider.set_protected(protected)

    def restore(
        self,
        alerts: Iterable[Alert],
        now_us: int,
        conclusions: Iterable[Row] = (),
        steady_us: int | None = None,
    ) -> None:
        """Remember alerts that were reported on before a restart, without concluding anew.

        Args:
            now_us, steady_us: as in `on_alerts`.
            conclusions: what was concluded of scenarios then, oldest first.
        """
        steady_us = now_us if steady_us is None else steady_us
        for fused in self._fuser.add(self._juniors(alerts)):
            age_us = min(max(now_us - fused.alert.end_us, 0), HORIZON_US)
            self._memory.put(fused.alert, fused.replaces, come_us=steady_us - age_us)
        self._memory.prune(steady_us)
        self._scenarios.restore(conclusions, self._memory.get)

    def conclusions(self) -> list[Row]:
        """What was concluded of scenarios since the last call, to be stored for `restore`."""
        return self._scenarios.changes()

    def called_for(self, alerts: Sequence[Alert]) -> frozenset[str]:
        """Ids of those alerts whose sources the rules want blocked, on these alerts alone.

        What is asked about is not remembered, and nothing is reported of it. Alerts must have
        passed `check_alert`. Raises: ReasonerError.
        """
        found = self._reasoning.ask(alerts)
        steps = self._scenarios.sound(found, {a.id: a for a in alerts}.get)
        return frozenset(
            m.individual
            for m in found.members
            if m.name in CANDIDATES and (m.name != CANDIDATE or m.individual in steps)
        )

    def has_seen(self, source: Address) -> bool:
        """Whether an alert from this source is remembered that could not be forged."""
        return self._memory.has_verified(source)

    def is_known_host(self, address: Address) -> bool:
        """Whether an address is one of the hosts that settings or assertions know as ours."""
        return self._decider.is_known_host(address)

    def alerts_of(self, incident: Incident) -> tuple[Alert, ...]:
        """The senior alerts that an incident rests on, as far as they are still remembered."""
        found = (self._memory.get(i) for i in incident.alerts)
        return tuple(alert for alert in found if alert is not None)

    def _juniors(self, alerts: Iterable[Alert]) -> list[Alert]:
        juniors = self._filtration.juniors(self._intake.take(alerts))
        self.rhythms.take(juniors)
        self.counters["junior"] += len(juniors)
        return juniors

    def _fresh(self, alerts: Iterable[Alert], steady_us: int) -> list[Alert]:
        """The senior alerts to reason about: new, changed, or still waiting."""
        pending = self._reasoning.pending
        waiting = list(pending)
        for fused in self._fuser.add(self._juniors(alerts)):
            self._memory.put(fused.alert, fused.replaces, come_us=steady_us)
            self.counters["senior"] += 1
            if not (fused.changed or (self._joins is not None and self._joins.reads_growth)):
                self.counters["repeats"] += 1
            elif not (self._memory.matters(fused.alert) or self._rater.riskiest(fused.alert)):
                self.counters["spared"] += 1
            else:
                waiting.append(fused.alert.id)
        self.counters["fused"] = self._fuser.formed
        self._memory.prune(steady_us)
        fresh = [a for i in dict.fromkeys(waiting) if (a := self._memory.get(i)) is not None]
        for gone in pending.keys() - {a.id for a in fresh}:
            # Replaced by a merged alert (which is in), or waited longer than the horizon.
            del pending[gone]
        return fresh

    def _measure_begun(self, source: Address) -> None:
        # In a dry run gateways report blocks that stop nobody.
        if not self._policy.dry_run:
            # The models may not have a step of that name.
            with contextlib.suppress(KeyError):
                self._scenarios.measure(BLOCK, source)

    def _measure_ended(self, source: Address) -> None:
        self._scenarios.lift(BLOCK, source)
        # Whoever attacks on after a block must be a new finding, not a repeat of the old one.
        self._fuser.close(source)
        self._decider.forget(source)

    def _level(self, finding: Finding) -> float:
        return finding_level(finding, self._outcomes)

    def _strength(self, finding: Finding) -> tuple[float, bool]:
        """With the first one a block is explained; of equals with the one that calls for it."""
        return self._level(finding), bool(finding.block_rule)

    def _report(self, finding: Finding, now_us: int) -> list[Outcome]:
        kind = self._outcomes.of(finding.rule)
        if kind.classification == PROBE and finding.source is not None:
            finding.rest_on(self._rater.touching(finding.source))
        new = {fact for fact in finding.facts if fact not in self._seen}
        soft = self._sources.soften(finding.source, finding.later, self._outcomes)
        level = self._level(finding) * soft.factor
        chosen, advice = self._decider.judge_finding(
            finding, level, now_us, fresh=bool(new), outcome=kind, soft=soft
        )
        if not new and advice is None:
            return []
        owner = owner_of_all(finding.later)
        for fact in new:
            self._seen.put(fact, None, owner)
        key = (finding.rule, finding.source, finding.target if kind.per_target else None)
        last_us, last_level = self._reported.get(key, (0, -1.0))
        if (
            not (advice is not None and advice.first)
            and now_us - last_us < REPEAT_US
            and level <= last_level
        ):
            self.counters["folded"] += 1
            return []
        self._reported.put(key, (now_us, level), owner)
        incident = self._rater.with_rating(
            make_incident(finding, kind.classification, level), finding.later
        )
        if soft.why:
            explanation = "\n".join((incident.explanation, *soft.why))
            incident = replace(incident, explanation=explanation)
        if not wanted(chosen, kind):
            # That no block comes is explained, too.
            explanation = f"{incident.explanation}\n{describe_reaction(chosen)}"
            incident = replace(incident, explanation=explanation)
        elif not kind.may_block:
            explanation = f"{incident.explanation}\nRule {finding.rule} may not block."
            incident = replace(incident, explanation=explanation)
        self.counters["incidents"] += 1
        advised = () if advice is None else (advice,)
        return [self._outcome(incident, advised, now_us, finding.graph)]

    def _report_case(self, case: Case, now_us: int) -> list[Outcome]:
        factor, softened = self._sources.soften_case(case.alerts, self._outcomes)
        level = case_level(case) * factor
        call = self._scenarios.call_for_block
        advice = self._decider.judge_case(case, level, now_us, call, softened)
        state = (
            [name for name, _ in case.steps],
            case.scenario,
            case.objectives,
            case.missed,
            sorted(case.doubts),
        )
        last, last_us = self._cases.get(case.id, (None, 0))
        if not any(one.first for one in advice) and state == last and now_us - last_us < REPEAT_US:
            self.counters["folded"] += 1
            return []
        self._cases.put(case.id, (state, now_us), owner_of_all(case.alerts))
        self.counters["incidents"] += 1
        return [self._case_outcome(case, advice, now_us)]

    def _case_outcome(
        self, case: Case, advice: Iterable[Recommendation] = (), now_us: int = 0
    ) -> Outcome:
        factor, softened = self._sources.soften_case(case.alerts, self._outcomes)
        made = self._rater.with_rating(case_incident(case, case_level(case) * factor), case.alerts)
        known = [line for source in sorted(softened, key=str) for line in softened[source].why]
        incident = replace(made, explanation="\n".join((made.explanation, *known)))
        return self._outcome(incident, advice, now_us, case.graph)

    def _outcome(
        self, incident: Incident, advice: Iterable[Recommendation], now_us: int, graph: Graph
    ) -> Outcome:
        decisions = tuple(self._decider.decide(incident, one, now_us) for one in advice)
        return Outcome(incident, decisions, self.alerts_of(incident), *graph)
