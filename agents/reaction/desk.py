"""Orders in, reports out: the reaction agent without its messages. Calls block; one at a time.

It remembers every block that should be in force, so that it can say when the kernel ended one and
put back what somebody else took away.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

from agents.base.protected import canonical
from agents.reaction.firewall import Firewall, FirewallError
from agents.reaction.policy import ReactionPolicy, Verdict
from agents.reaction.store import BlockStore, HeldBlock
from ontology.records import Address, Block, BlockState, Decision

logger = logging.getLogger(__name__)


_LONGEST_S = 366 * 86400.0  # of a Decision


@dataclass(frozen=True, slots=True)
class _Held:
    block: HeldBlock
    end: float
    """On the monotonic clock: a step of the wall clock must not lengthen a block."""


class ReactionDesk:
    """One gateway's blocks. Not for several threads at once."""

    def __init__(
        self,
        policy: ReactionPolicy,
        firewall: Firewall,
        store: BlockStore,
        *,
        gateway: str,
        note: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``note``: stands in every report, e.g. that nothing is really blocked."""
        self._policy = policy
        self._firewall = firewall
        self._store = store
        self._gateway = gateway
        self._note = note
        self._clock = clock
        self._held: dict[Address, _Held] = {}
        self._ends: list[tuple[float, int, Address]] = []
        self._order = 0
        self._unreported: list[Block] = []
        self.counters: Counter[str] = Counter()

    @property
    def active(self) -> int:
        """Blocks in force."""
        return len(self._held)

    def start(self, now_us: int) -> list[Block]:
        """Install the rules, restore what should be blocked; reports the blocks in force.

        Raises: FirewallError: the kernel can't be used; nothing else makes sense then.
        """
        self._firewall.install()
        present = self._firewall.blocked()
        ended = []
        for block in self._store.load():
            # The kernel knows better than a wall clock that may have been set meanwhile.
            left = (block.expires_us - now_us) / 1e6
            seconds = min(present.get(block.address, left), _LONGEST_S)
            ours = Decision(
                id=block.decision,
                action="block",
                source=block.address,
                classification="Restored",
                origin=self._gateway,
                decided_us=now_us,
                duration_s=max(1, int(seconds)),
                reason="in force before the agent stopped",
            )
            # The allow-list may have grown meanwhile.
            if seconds > 0 and self._policy.judge(ours, now_us, renewal=True).permitted:
                self._hold(block, seconds)
            else:
                ended.append(block.address)
                if block.address in present:
                    self._firewall.unblock(block.address)
        self._store.remove(ended)
        self.counters["found_in_kernel"] = len(present)
        self._repair()
        return [self._report(held.block, "active", now_us) for held in self._held.values()]

    def handle(self, decisions: Sequence[Decision], now_us: int) -> list[Block]:
        """Judge and do; one report for each decision, in order."""
        return [self._handle(decision, now_us) for decision in decisions]

    def tick(self, now_us: int) -> list[Block]:
        """Call every second or so: reports blocks that the kernel ended, repairs what changed.

        Raises: FirewallError: the kernel could not be asked; it is asked again next time.
        """
        self._collect_ended(now_us)
        if self._firewall.changed():
            self._repair()
        ended, self._unreported = self._unreported, []
        return ended

    def close(self) -> None:
        """Let go; rules and blocks stay in force."""
        self._firewall.close()
        self._store.close()

    def _handle(self, decision: Decision, now_us: int) -> Block:
        renewal = canonical(decision.source) in self._held
        verdict = self._policy.judge(decision, now_us, renewal=renewal)
        if not verdict.permitted:
            self.counters["refused"] += 1
            self.counters[f"refused_{verdict.rule}"] += 1
            logger.warning(
                "refused to block %s (decision %s): %s",
                *(verdict.address, decision.id, verdict.reason),
            )
            return self._state(decision, "refused", now_us, detail=verdict.reason)
        try:
            if decision.action == "unblock":
                return self._unblock(decision, verdict, now_us)
            return self._block(decision, verdict, now_us)
        except FirewallError as e:
            self.counters["failed"] += 1
            logger.error("%s of %s failed: %s", decision.action, verdict.address, e)
            return self._state(decision, "failed", now_us, detail=str(e))

    def _block(self, decision: Decision, verdict: Verdict, now_us: int) -> Block:
        address = verdict.address
        old = self._held.get(address)
        wanted: float = verdict.duration_s
        if old is not None and old.block.decision == decision.id:
            # The same order again, after a crash or a restart: it must not lengthen the block.
            left = old.end - self._clock()
            wanted = min(wanted, left) if left > 0 else wanted
        seconds = self._firewall.block(address, wanted)
        block = HeldBlock(
            address=address,
            decision=decision.id,
            since_us=now_us if old is None else old.block.since_us,
            expires_us=now_us + int(seconds * 1e6),
        )
        self._hold(block, seconds)
        self._store.put([block])
        self.counters["blocked" if old is None else "renewed"] += 1
        logger.info(
            "blocked %s for %.0f s (decision %s, %s)",
            *(address, seconds, decision.id, decision.classification),
        )
        detail = ""
        if verdict.duration_s < decision.duration_s:
            detail = f"cut to the policy's maximum of {verdict.duration_s} s"
        return self._state(decision, "active", now_us, expires_us=block.expires_us, detail=detail)

    def _unblock(self, decision: Decision, verdict: Verdict, now_us: int) -> Block:
        present = self._firewall.unblock(verdict.address)
        self._held.pop(verdict.address, None)
        self._store.remove([verdict.address])
        self.counters["lifted"] += 1
        logger.info("lifted the block of %s (decision %s)", verdict.address, decision.id)
        detail = "" if present else "it was not blocked"
        return self._state(decision, "lifted", now_us, expires_us=now_us, detail=detail)

    def _hold(self, block: HeldBlock, seconds: float) -> None:
        end = self._clock() + seconds
        self._held[block.address] = _Held(block, end)
        self._order += 1  # addresses of two families don't compare
        heapq.heappush(self._ends, (end, self._order, block.address))

    def _collect_ended(self, now_us: int) -> None:
        """Notes blocks whose time is over; the kernel is asked only about these."""
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            end, _, address = self._ends[0]
            held = self._held.get(address)
            if held is None or held.end != end:  # lifted or renewed since
                heapq.heappop(self._ends)
                continue
            seconds = self._firewall.remaining(address)
            heapq.heappop(self._ends)
            if seconds:
                self._hold(held.block, seconds)
                continue
            del self._held[address]
            self._store.remove([address])
            self.counters["expired"] += 1
            block = replace(held.block, expires_us=now_us)
            self._unreported.append(self._report(block, "expired", now_us))
            logger.info("the block of %s ended (decision %s)", address, held.block.decision)

    def _repair(self) -> None:
        now = self._clock()
        wanted = {a: held.end - now for a, held in self._held.items() if held.end > now}
        drift = self._firewall.reconcile(wanted)
        if drift:
            self.counters["drift"] += 1
            self.counters["restored"] += len(drift.restored)
            logger.warning(
                "somebody changed our rules: %s, %d blocks put back",
                *("table made anew" if drift.reinstalled else "table intact", len(drift.restored)),
            )

    def _report(self, block: HeldBlock, state: BlockState, now_us: int) -> Block:
        return self._make(block.decision, block.address, state, now_us, block.expires_us, "")

    def _state(
        self,
        decision: Decision,
        state: BlockState,
        now_us: int,
        *,
        expires_us: int = 0,
        detail: str = "",
    ) -> Block:
        return self._make(decision.id, decision.source, state, now_us, expires_us, detail)

    def _make(
        self,
        decision: str,
        source: Address,
        state: BlockState,
        since_us: int,
        expires_us: int,
        detail: str,
    ) -> Block:
        name = f"{decision}|{self._gateway}|{state}|{since_us}"
        return Block(
            id=f"urn:uuid:{uuid5(NAMESPACE_URL, name)}",
            decision=decision,
            gateway=self._gateway,
            source=source,
            state=state,
            since_us=since_us,
            expires_us=expires_us,
            detail="; ".join(part for part in (detail, self._note) if part),
        )
