"""What each gateway must be told: pure, from a ruling and what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from agents.base.protected import Protected
from agents.settings.honeynet import Settings
from agents.settings.modes import Modes
from agents.supervisor.bans import Bans, Entry, GatewayState, Outcome, expired
from ontology.records import Block, Decision, GatewayAddresses

__all__ = ["Entry", "GatewayState", "Order", "Outcome", "Plan", "Propagation", "expired"]

MIN_REMAINING_S = 1
"""A block with less than this to go isn't sent again: it would outlive its end."""


@dataclass(frozen=True, slots=True)
class Order:
    """One decision for one reaction agent."""

    gateway: str
    receiver: str
    """Bare JID."""
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write into the ledger, and what to send."""

    outcome: Outcome
    entry: Entry | None
    """The entry as it must stand after; None when there is nothing to write."""
    orders: tuple[Order, ...] = ()
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """False when the answer is ``refuse``."""
        return self.outcome != "refused"


class Propagation:
    """The orders that keep every gateway at what is wanted.

    The times of orders only ever grow, also when the clock is set back: a gateway goes by the
    newest order.

    Args:
        gateways: node name to bare JID of its reaction agent.
        protected: who must never be blocked.
        maximum_s: the longest block, in seconds from now.
        modes: what is carried out where.
        waiting_s: how long a decision waits for a person.
    """

    def __init__(
        self,
        gateways: Mapping[str, str],
        protected: Protected,
        maximum_s: int,
        *,
        modes: Modes | None = None,
        waiting_s: int = 3600,
    ) -> None:
        self.gateways = dict(sorted(gateways.items()))
        self.bans = Bans(self.gateways, protected, maximum_s, modes, waiting_s)
        self.last_order_us = 0
        """``decided_us`` of the newest order; to be kept over a restart."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Propagation:
        """Every node with a reaction agent is a gateway."""
        nodes = (node for role, node in settings.agents() if role == "reaction")
        return cls(
            {node: settings.jid("reaction", node) for node in nodes},
            Protected.from_settings(settings),
            settings.policy.maximum_duration,
            modes=settings.modes(),
            waiting_s=settings.policy.approval_time,
        )

    @property
    def maximum_s(self) -> int:
        """The longest block, in seconds."""
        return self.bans.maximum_s

    @property
    def protected(self) -> Protected:
        """Who must never be blocked."""
        return self.bans.protected

    def protect(self, kernel: GatewayAddresses) -> None:
        """From now on nobody may block what this gateway's kernel has, either."""
        self.bans.protected = self.bans.protected.with_kernel(kernel)

    def on_decision(
        self,
        decision: Decision,
        current: Entry | None,
        last: Entry | None = None,
        *,
        new_id: str,
        now_us: int,
        ordered_at: str = "",
        rule: str = "",
        grace_s: int = 0,
    ) -> Plan:
        """Plan a decision that the ledger doesn't know yet.

        Args:
            current: the active entry of the same source, if there is one.
            last: the newest entry of the same source, active or not.
            new_id: id for an entry, should one be made.
            ordered_at: gateway that has the order already, from a correlation agent of its node.
            rule: label of the rule that the decision's incident rests on.
            grace_s: how long the lift of ``last`` holds against the same.
        """
        ruling = self.bans.rule(
            decision, current, last, new_id=new_id, now_us=now_us, rule=rule, grace_s=grace_s
        )
        entry = ruling.entry
        orders: tuple[Order, ...] = ()
        if ruling.outcome in ("blocked", "extended") and entry is not None:
            # The ledger keeps when it was decided; a gateway counts from when it was ordered.
            order = replace(
                entry.decision,
                decided_us=self._stamp(now_us),
                duration_s=entry.remaining_s(now_us),
            )
            names = (n for n in self.gateways if n != ordered_at and not entry.done(n))
            orders = self._orders(order, names)
        elif ruling.outcome in ("unblocked", "vetoed"):
            orders = self._orders(replace(decision, decided_us=self._stamp(now_us)), self.gateways)
        elif ruling.outcome == "covered" and current is not None:
            # Shorter than what stands: only a gateway that doesn't do its part is told again.
            lacking = [n for n in self.gateways if n != ordered_at and not current.done(n)]
            again = self._again(current, now_us)
            orders = self._orders(again, lacking) if again else ()
        return Plan(ruling.outcome, entry, orders, ruling.detail)

    def on_registration(
        self,
        gateway: str,
        active: Iterable[Entry],
        lifted: Iterable[Entry] = (),
        *,
        fresh: bool,
        now_us: int,
    ) -> tuple[Order, ...]:
        """The active blocks that a gateway lacks, each with what remains of it, and the lifts that
        it has not confirmed (a crash may have come between the ledger and the order).

        A block that the gateway refused is not sent again, unless it is a new process.

        Args:
            lifted: entries that were lifted and would else still run, active ones excluded.
            fresh: the reaction agent is a new process (its host may have rebooted, the kernel's
                table may be gone), so that what it confirmed before no longer counts.
        """
        orders: list[Order] = []
        if gateway not in self.gateways:
            return ()
        for entry in active:
            again = fresh and entry.reach == "everywhere" and entry.wants(gateway)
            if entry.lacks(gateway) or again:
                order = self._again(entry, now_us)
                if order is not None:
                    orders.append(Order(gateway, self.gateways[gateway], order))
        for entry in lifted:
            if entry.expires_us > now_us and entry.runs(gateway):
                lift = replace(unblock_of(entry), decided_us=self._stamp(now_us))
                orders.append(Order(gateway, self.gateways[gateway], lift))
        return tuple(orders)

    def again(self, entry: Entry, now_us: int) -> tuple[Order, ...]:
        """The entry's order, for every gateway that shall block."""
        order = self._again(entry, now_us)
        names = [name for name in self.gateways if entry.wants(name)]
        return () if order is None else self._orders(order, names)

    def on_report(self, entry: Entry, report: Block, now_us: int) -> Entry | None:
        """The entry after a gateway's report; None if the report changes nothing."""
        return self.bans.on_report(entry, report, now_us)

    def _again(self, entry: Entry, now_us: int) -> Decision | None:
        remaining = entry.remaining_s(now_us)
        if remaining < MIN_REMAINING_S:
            return None
        # Ordered anew: with its first time a half-used block would look stale to the gateway.
        return replace(entry.decision, decided_us=self._stamp(now_us), duration_s=remaining)

    def _stamp(self, now_us: int) -> int:
        self.last_order_us = max(now_us, self.last_order_us + 1)
        return self.last_order_us

    def _orders(self, decision: Decision, gateways: Iterable[str]) -> tuple[Order, ...]:
        return tuple(Order(name, self.gateways[name], decision) for name in gateways)


def unblock_of(entry: Entry) -> Decision:
    """The order that ends a lifted entry on a gateway that still runs it; its id is determined."""
    return Decision(
        id=uuid5(UUID(entry.id.removeprefix("urn:uuid:")), "unblock").urn,
        action="unblock",
        source=entry.source,
        classification=entry.cause.classification,
        origin=entry.ended_by,
        decided_us=entry.ended_us,
        duration_s=0,
        reason="lifted",
    )
