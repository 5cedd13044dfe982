"""The decider: from findings and cases to recommendations, and those to decisions.

That a source may be blocked at all is the reasoner's word (``reaction.owl``); severity, the
reaction rule and who is never blocked are judged here. It keeps no blocks: what was recommended is
recommended again when there is fresh evidence, at most once in `REPEAT_US`, and the supervisor says
whether that lengthens anything.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.base.protected import Protected, canonical
from agents.correlation.cases import Case
from agents.correlation.inference_findings import Finding
from agents.correlation.known_sources import NOTHING, Soft
from agents.correlation.reports import block_reason, case_block_reason, make_decision
from agents.correlation.response import block_seconds, blocks, choose_reaction, describe_reaction
from agents.correlation.rhythms import Rhythms
from agents.settings.honeynet import Policy
from ontology.records import Address, Alert, Decision, HostProfile, Incident
from ontology.rule_outcomes import Outcome
from rules.reactions.reaction_rules import Chosen, Reactions

REPEAT_US = 60_000_000
"""What was said of an incident or a source is said again after this long, or at once if it got
worse."""
CallForBlock = Callable[[Alert], tuple[str, str] | None]
"""(label, comment) of the rule that wants the source of a step blocked."""


def wanted(chosen: Chosen, outcome: Outcome | None) -> bool:
    """Does the reaction rule call for a block, or the rule itself, by saying for how long?"""
    return blocks(chosen) or (outcome is not None and outcome.block_s is not None)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """That one source be blocked."""

    source: Address
    target: Address | None
    """The attacked host, where there is one."""
    chosen: Chosen
    """The reaction rule: how long, and why."""
    why: str
    """The rule that calls for it and the limit that was reached, in a line."""
    first: bool
    """Nothing was recommended of this source before."""
    block_s: int | None = None
    """How long by the rule's own word; None: as the reaction rule says."""
    at_most_s: int | None = None
    """How long at most, for what is known of the source."""


class Decider:
    """Recommends blocks; bounded.

    Args:
        hosts: what is known of hosts; their own addresses are never blocked.
        policy: minimum severity and duration of blocks.
        protected: who is never blocked.
        origin: who decides: bare JID of the agent.
        counters: counts here.
        capacity: sources remembered.
        rhythms: how often sources come; by default that is not known.
    """

    def __init__(
        self,
        hosts: Mapping[Address, HostProfile],
        policy: Policy,
        protected: Protected,
        reactions: Reactions,
        *,
        origin: str,
        counters: Counter[str],
        capacity: int,
        rhythms: Rhythms | None = None,
    ) -> None:
        self._rhythms = Rhythms(policy, capacity) if rhythms is None else rhythms
        self._hosts = hosts
        self._policy = policy
        self._protected = protected
        self._reactions = reactions
        self._origin = origin
        self._counters = counters
        self._capacity = capacity
        self._said: OrderedDict[Address, int] = OrderedDict()
        """Source → when a block was last recommended."""

    def set_hosts(self, hosts: Mapping[Address, HostProfile]) -> None:
        """Other knowledge of hosts, from the next decision on."""
        self._hosts = hosts

    def set_protected(self, protected: Protected) -> None:
        """Other knowledge of who is never blocked, from the next decision on."""
        self._protected = protected

    def set_reactions(self, reactions: Reactions) -> None:
        """Other reaction rules, from the next decision on."""
        self._reactions = reactions

    def forget(self, source: Address) -> None:
        """A measure against the source has ended: what it does next is recommended on anew."""
        self._said.pop(source, None)

    def clock_set(self, step_us: int) -> None:
        """The clock by which we are told the time was set: what was said was said as long ago."""
        for source in self._said:
            self._said[source] += step_us

    def judge_finding(
        self,
        finding: Finding,
        level: float,
        now_us: int,
        *,
        fresh: bool,
        outcome: Outcome | None = None,
        soft: Soft = NOTHING,
    ) -> tuple[Chosen, Recommendation | None]:
        """The reaction rule of a finding, and the block of its source if that is called for.

        Args:
            level: severity of the finding, softened.
            fresh: it holds a conclusion that was not there before.
            outcome: what the ontology says of the rule; None: nothing.
            soft: what is known of the source softens.
        """
        chosen = choose_reaction(finding.later, self._hosts, self._reactions)
        source = finding.source
        if (
            not finding.block_candidate
            or (outcome is not None and not outcome.may_block)
            or not soft.may_block
            or source is None
            or level < self._policy.minimum_severity
            or not wanted(chosen, outcome)
            or not self._due(source, now_us, fresh=fresh)
            or not self._may_block(source)
        ):
            return chosen, None
        why = block_reason(finding, level, self._policy.minimum_severity)
        first = source not in self._said
        block_s = None if outcome is None else outcome.block_s
        return chosen, Recommendation(
            source, finding.target, chosen, why, first, block_s, soft.at_most_s
        )

    def judge_case(
        self,
        case: Case,
        level: float,
        now_us: int,
        call: CallForBlock,
        softened: Mapping[Address, Soft] | None = None,
    ) -> list[Recommendation]:
        """A block of each source of a case that a rule wants blocked.

        Not of those that were attacked in the same case: they are victims, used by the attacker.
        No rule can say that, as SWRL has no *not*. And not on a step that is doubtful.
        """
        limit = self._policy.minimum_severity
        if level < limit:
            return []
        found: dict[Address, Recommendation] = {}
        for alert in case.alerts:
            source, rule = alert.source, call(alert)
            if source is None or rule is None or source in case.victims | found.keys():
                continue
            soft = (softened or {}).get(source, NOTHING)
            if alert.id in case.doubtful or not soft.may_block:
                continue
            chosen = choose_reaction([alert], self._hosts, self._reactions)
            if blocks(chosen) and self._due(source, now_us, fresh=True) and self._may_block(source):
                why = case_block_reason(case, *rule, level, limit)
                first = source not in self._said
                found[source] = Recommendation(
                    source, alert.target, chosen, why, first, at_most_s=soft.at_most_s
                )
        return list(found.values())

    def decide(self, incident: Incident, recommendation: Recommendation, now_us: int) -> Decision:
        """The decision that an incident and a recommendation make."""
        one = recommendation
        self._said[one.source] = now_us
        self._said.move_to_end(one.source)
        while len(self._said) > self._capacity:
            self._said.popitem(last=False)
        self._counters["decisions"] += 1
        maximum_s = self._policy.maximum_duration
        lines = [incident.explanation, describe_reaction(one.chosen)]
        if one.block_s is not None:
            seconds = min(one.block_s, maximum_s)
            # Without it the reason of a block might end with "observe".
            lines.append(f"Rule {incident.rule} says itself for how long: {seconds} s (blocksFor).")
        else:
            length_s, how = self._rhythms.length(one.source)
            seconds = block_seconds(one.chosen, length_s, maximum_s)
            lines += [f"{how} With the rule's factor: {seconds} s, at most {maximum_s}."] * bool(
                how
            )
        if one.at_most_s is not None:
            # However often it came before: what is shared is not blocked for long.
            seconds = min(seconds, one.at_most_s)
        return make_decision(
            incident,
            one.source,
            one.target,
            seconds,
            "\n".join((*lines, one.why)),
            origin=self._origin,
            now_us=now_us,
        )

    def _due(self, source: Address, now_us: int, *, fresh: bool) -> bool:
        last_us = self._said.get(source)
        return last_us is None or (fresh and now_us - last_us >= REPEAT_US)

    def is_known_host(self, address: Address) -> bool:
        """Whether an address is one of ``hosts``."""
        return canonical(address) in self._hosts

    def _may_block(self, source: Address) -> bool:
        if self.is_known_host(source) or self._protected.judge(source) is not None:
            self._counters["protected"] += 1
            return False
        return True
