"""Orders in, reports out: the reaction agent without its messages. Calls block; one at a time.

What should be blocked is what somebody claims (`claims`); the firewall is made to agree with it: an
order longer or shorter, an end, a lift, and what somebody else took away from the kernel.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from agents.base.log_limits import ORDER
from agents.base.protected import Protected, canonical
from agents.clock import ClockReading, read_clocks
from agents.reaction.claims import LEAST_VETO_S, AddressClaims, Claim, Claims
from agents.reaction.firewall import Firewall, FirewallError
from agents.reaction.policy import ReactionPolicy, Verdict
from agents.reaction.store import ClaimStore
from agents.settings.modes import HELD
from ontology.blocks_in_force import contradict, part_of, sum_up
from ontology.oversight import USER_PREFIX
from ontology.records import Address, Block, BlockState, Decision

logger = logging.getLogger(__name__)

SLACK_S: Final = 1.0
"""A block that the kernel has for longer than claimed by less than this is left as it is."""
NOTE_EVERY_S: Final = 30.0
"""How often the time is noted on disk while something is blocked: what a reboot can't know."""
_NOT_NOW: Final = frozenset({"rate", "stale", "over", "lifted"})
"""Why an order was not carried out that may be given again."""
_VOID: Final = {
    "lifted": "the block of {} was lifted after this was decided",
    "over": "the time of this block of {} has run out here before",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an order, or that a block ended, and who has a stake in it."""

    block: Block
    claimants: frozenset[str]
    """Bare JIDs of those whose claims on the address it is about, besides who gave the order."""


class Enforcement:
    """One gateway's blocks. Not for several threads at once.

    Args:
        authorities: bare JIDs of the supervisors.
        note: stands in every report, e.g. that nothing is really blocked.
        clocks: reads both clocks.
    """

    def __init__(
        self,
        policy: ReactionPolicy,
        firewall: Firewall,
        store: ClaimStore,
        *,
        gateway: str,
        authorities: Sequence[str],
        note: str = "",
        clocks: Callable[[], ClockReading] = read_clocks,
    ) -> None:
        self._policy = policy
        self._firewall = firewall
        self._store = store
        self._gateway = gateway
        self._authorities = frozenset(authorities)
        self._note = note
        self._clocks = clocks
        self._claims = Claims(self._authorities)
        self._ends: list[tuple[float, int, Address]] = []
        self._order = 0
        self._unreported: list[Report] = []
        self._noted_s = 0.0
        self.counters: Counter[str] = Counter()

    @property
    def active(self) -> int:
        """Addresses that are blocked."""
        return len(self._claims)

    def start(self) -> list[Report]:
        """Install the rules, restore what should be blocked; reports the blocks in force.

        Raises: FirewallError: the kernel can't be used; nothing else makes sense then.
        """
        self._firewall.install()
        present = self._firewall.blocked()
        now = self._clocks()
        for address, stored in self._store.load(now).items():
            state = stored.after(now.steady_s)
            # The allow-list, or what the kernel has, may have grown meanwhile; so may the mode.
            protected = self._policy.protected.judge(address) is not None
            if state.claims and (protected or self._policy.drops_nothing):
                state = AddressClaims(veto=state.veto)
            self._claims.put(address, state)
            if not state.claims and address in present:
                self._firewall.unblock(address)
            elif (latest := state.latest) is not None:
                self._expect(address, latest.end)
                if present.get(address, 0.0) > latest.end - now.steady_s + SLACK_S:
                    self._firewall.reblock(address, latest.end - now.steady_s)
        self._store.rewrite(self._claims.states(), now)
        self._noted_s = now.steady_s
        self.counters["found_in_kernel"] = len(present)
        self._repair(now.steady_s)
        return self.reports(list(self._claims))

    def in_force(self) -> str:
        """`BlocksInForce.part_digests` of what is claimed; after a reboot, by which ends may have
        moved, like nobody's, so that all is told and ordered again."""
        latest = ((address, self._claims.latest(address)) for address in self._claims)
        digests = sum_up((str(address), claim.decision) for address, claim in latest if claim)
        return contradict(digests) if self._store.rebooted else digests

    def blocked_in(self, parts: Container[int]) -> list[Address]:
        """What is blocked in these parts."""
        return [address for address in self._claims if part_of(str(address)) in parts]

    def reports(self, addresses: Iterable[Address]) -> list[Report]:
        """The blocks in force of these addresses."""
        now = self._clocks()
        return [self._report_of(a, "active", now) for a in addresses if a in self._claims]

    def handle(
        self, decisions: Sequence[Decision], claimant: str, age_s: float = 0.0
    ) -> list[Report]:
        """Judge and do what ``claimant`` ordered ``age_s`` seconds ago; one report for each
        decision, in order. A block lasts so much less."""
        return [self._handle(decision, claimant, age_s) for decision in decisions]

    def tick(self) -> list[Report]:
        """Call it every second or so: reports blocks that ended, repairs what changed.

        Raises: FirewallError: the kernel could not be asked; it is asked again next time.
        """
        now = self._clocks()
        self._collect_ended(now)
        if self._firewall.changed():
            self._repair(now.steady_s)
        if self._claims and now.steady_s - self._noted_s >= NOTE_EVERY_S:
            self._store.note(now)
            self._noted_s = now.steady_s
        ended, self._unreported = self._unreported, []
        return ended

    def prove(self) -> str:
        """Whether the kernel drops what is blocked: empty, or what it does instead.

        Raises: FirewallError.
        """
        return self._firewall.prove()

    def protect(self, protected: Protected) -> list[Report]:
        """Judge by this from now on; ends blocks of what it protects, and reports them.

        Raises: FirewallError
        """
        self._policy.protected = protected
        now = self._clocks()
        ended = []
        for address in [a for a in self._claims if protected.judge(a) is not None]:
            ended.append(self._report_of(address, "lifted", now, str(protected.refusal(address))))
            self._firewall.unblock(address)
            self._settle(address, AddressClaims(veto=self._claims.of(address).veto), now)
            self.counters["lifted"] += 1
        return ended

    def close(self) -> None:
        """Let go; rules and blocks stay in force."""
        self._firewall.close()
        self._store.close()

    def _handle(self, decision: Decision, claimant: str, age_s: float) -> Report:
        now = self._clocks()
        renewal = canonical(decision.source) in self._claims
        verdict = self._policy.judge(decision, now.steady_us, age_s=age_s, renewal=renewal)
        if not verdict.permitted:
            return self._refuse(decision, verdict.rule, verdict.reason, now)
        try:
            if decision.action == "unblock":
                return self._unblock(decision, claimant, verdict.address, now)
            return self._block(decision, claimant, verdict, age_s, now)
        except FirewallError as e:
            self.counters["failed"] += 1
            logger.error("%s of %s failed: %s", decision.action, verdict.address, e)
            return self._answer(decision, "failed", now, detail=str(e))

    def _refuse(self, decision: Decision, rule: str, reason: str, now: ClockReading) -> Report:
        self.counters["refused"] += 1
        self.counters[f"refused_{rule}"] += 1
        if rule in HELD.values():
            latest = self._claims.of(canonical(decision.source)).after(now.steady_s).latest
            if latest is not None:
                detail = f"{reason}, for longer than it is blocked already"
                return self._answer(decision, "active", now, end=latest.end, detail=detail)
            held: BlockState = "waiting" if rule == "waiting" else "shadow"
            logger.info("%s: %s (decision %s)", decision.source, reason, decision.id, extra=ORDER)
            return self._answer(decision, held, now, detail=reason)
        logger.warning(
            "refused to block %s (decision %s): %s", decision.source, decision.id, reason
        )
        # Final is only what this gateway never does. What was too late, too much, or overtaken by
        # a lift, a supervisor that still wants it may order again.
        state: BlockState = "failed" if rule in _NOT_NOW else "refused"
        return self._answer(decision, state, now, detail=reason)

    def _block(
        self,
        decision: Decision,
        claimant: str,
        verdict: Verdict,
        age_s: float,
        now: ClockReading,
    ) -> Report:
        address = verdict.address
        decided = now.steady_s - age_s
        before = self._claims.of(address).after(now.steady_s)
        self._claims.put(address, before)
        claim = Claim(
            claimant=claimant,
            decision=decision.id,
            decided_us=decision.decided_us,
            since_us=now.wall_us,
            end=decided + verdict.duration_s,
        )
        if claimant in self._authorities and decision.origin.startswith(USER_PREFIX):
            # A person has the last word: what others claimed until now does not lengthen it.
            self._claims.end(
                address, claimant, decision.decided_us - 1, now=decided, veto_s=LEAST_VETO_S
            )
        joined = self._claims.claim(address, claim, decided=decided)
        latest = self._claims.latest(address)
        if latest is None or joined in _VOID:
            return self._refuse(decision, joined, _VOID[joined].format(address), now)
        try:
            self._enforce(address, latest.end - now.steady_s)
        except FirewallError:
            self._claims.put(address, before)
            raise
        self._expect(address, latest.end)
        self._store.save({address: self._claims.of(address)}, now)
        self.counters["renewed" if before.claims else "blocked"] += 1
        logger.info(
            "blocked %s for %.0f s (decision %s, %s, ordered by %s)",
            *(address, latest.end - now.steady_s, decision.id, decision.classification, claimant),
            extra=ORDER,
        )
        detail = ""
        if verdict.duration_s < decision.duration_s:
            detail = f"cut to the policy's maximum of {verdict.duration_s} s"
        return self._answer(decision, "active", now, end=latest.end, detail=detail)

    def _unblock(
        self, decision: Decision, claimant: str, address: Address, now: ClockReading
    ) -> Report:
        before = self._claims.of(address).after(now.steady_s)
        self._claims.put(address, before)
        self._claims.end(
            address, claimant, decision.decided_us, now=now.steady_s, veto_s=decision.duration_s
        )
        state = self._claims.of(address)
        latest = state.latest
        others = frozenset(c.claimant for c in before.claims if c not in state.claims) - {claimant}
        try:
            if latest is not None:
                self._enforce(address, latest.end - now.steady_s)
                present = True
            else:
                present = self._firewall.unblock(address)
        except FirewallError:
            self._claims.put(address, before)
            raise
        self._settle(address, state, now)
        self.counters["lifted"] += 1
        logger.info("lifted the block of %s (decision %s)", address, decision.id, extra=ORDER)
        if latest is not None:
            detail = f"still blocked for {latest.claimant}"
            return self._answer(decision, "active", now, end=latest.end, detail=detail)
        detail = "" if present else "it was not blocked"
        report = self._answer(decision, "lifted", now, end=now.steady_s, detail=detail)
        return Report(report.block, others)

    def _enforce(self, address: Address, seconds: float) -> None:
        """Make the firewall block for so long: longer than it does, or shorter."""
        if self._firewall.block(address, seconds) > seconds + SLACK_S:
            self._firewall.reblock(address, seconds)

    def _settle(self, address: Address, state: AddressClaims, now: ClockReading) -> None:
        self._claims.put(address, state)
        self._store.save({address: state}, now)
        if (latest := state.latest) is not None:
            self._expect(address, latest.end)

    def _expect(self, address: Address, end: float) -> None:
        self._order += 1  # addresses of two families don't compare
        heapq.heappush(self._ends, (end, self._order, address))

    def _collect_ended(self, now: ClockReading) -> None:
        """Ends the blocks whose time is over; the kernel is asked only about these."""
        while self._ends and self._ends[0][0] <= now.steady_s:
            end, _, address = self._ends[0]
            latest = self._claims.latest(address)
            if latest is None or latest.end != end:  # lifted, or another end since
                heapq.heappop(self._ends)
                continue
            if self._firewall.remaining(address):
                # The kernel counts no time asleep, and not the fraction of a second.
                self._firewall.unblock(address)
            heapq.heappop(self._ends)
            self._unreported.append(self._report_of(address, "expired", now))
            self._settle(address, self._claims.of(address).after(now.steady_s), now)
            self.counters["expired"] += 1
            logger.info("the block of %s ended (decision %s)", address, latest.decision)

    def _repair(self, now: float) -> None:
        wanted = {
            address: latest.end - now
            for address in self._claims
            if (latest := self._claims.latest(address)) is not None and latest.end > now
        }
        drift = self._firewall.reconcile(wanted)
        if drift:
            self.counters["drift"] += 1
            self.counters["restored"] += len(drift.restored)
            logger.warning(
                "somebody changed our rules: %s, %d blocks put back",
                *("table made anew" if drift.reinstalled else "table intact", len(drift.restored)),
            )

    def _report_of(
        self, address: Address, state: BlockState, now: ClockReading, detail: str = ""
    ) -> Report:
        """Of a claimed address, unasked: for all who claim it."""
        found = self._claims.of(address)
        latest = found.latest
        if latest is None:
            raise ValueError(f"nobody claims {address}")
        ends = now.steady_s if state != "active" else latest.end
        block = self._make(latest.decision, address, state, now, ends, detail)
        return Report(block, frozenset(c.claimant for c in found.claims))

    def _answer(
        self,
        decision: Decision,
        state: BlockState,
        now: ClockReading,
        *,
        end: float | None = None,
        detail: str = "",
    ) -> Report:
        block = self._make(decision.id, decision.source, state, now, end, detail)
        return Report(block, frozenset())

    def _make(
        self,
        decision: str,
        source: Address,
        state: BlockState,
        now: ClockReading,
        end: float | None,
        detail: str,
    ) -> Block:
        name = f"{decision}|{self._gateway}|{state}|{now.wall_us}"
        left_us = 0 if end is None else round((end - now.steady_s) * 1e6)
        return Block(
            id=f"urn:uuid:{uuid5(NAMESPACE_URL, name)}",
            decision=decision,
            gateway=self._gateway,
            source=source,
            state=state,
            since_us=now.wall_us,
            expires_us=0 if end is None else now.wall_us + left_us,
            detail="; ".join(part for part in (detail, self._note) if part),
        )
