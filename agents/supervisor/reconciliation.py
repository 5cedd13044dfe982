"""What gateways have against what they should have: reports in, orders out.

Methods may block (they use the ledger) and are for any thread, one call at a time; times are
arguments.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from uuid import uuid4

from agents.supervisor.bans import Entry
from agents.supervisor.directory import Directory
from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Order, Propagation
from ontology.blocks_in_force import part_of, sum_up
from ontology.records import Block, BlocksInForce, GatewayAddresses

logger = logging.getLogger(__name__)

EVERY_S = 15
"""How often gateways that are up get what they have not confirmed."""
ADOPTION_US = 2_000_000
"""How long a gateway has to report what a correlation agent of its node ordered; then it gets the
order from here."""


class Reconciliation:
    """Keeps the ledger at what gateways report, and gateways at what the ledger wants.

    Args:
        counters: counts here blocks adopted and orders given again.
        now_us: when it begins.
    """

    def __init__(
        self,
        ledger: Ledger,
        propagation: Propagation,
        directory: Directory,
        counters: Counter[str],
        now_us: int,
    ) -> None:
        self._ledger = ledger
        self._propagation = propagation
        self._directory = directory
        self._counters = counters
        self._last_us = now_us
        self._awaited: dict[str, tuple[str, int]] = {}
        """Entry to the gateway that has it from its own node, and when it must have said so."""
        for kernel in ledger.kernels():
            propagation.protect(kernel)

    def report(self, block: Block, now_us: int) -> list[Entry] | None:
        """Take in a gateway's report: the entries that changed; None if it is about no entry.

        A running block that nobody told the supervisor of is adopted as a new entry.
        """
        ledger = self._ledger
        with ledger.transaction():
            named = ledger.entry_of_decision(block.decision)
            current = ledger.active_for(block.source)
            if named is None and current is None:
                adopted = self._adopt(block, now_us)
                if adopted is not None:
                    return [adopted]
            found = named or current or ledger.latest_for(block.source)
            if found is None:
                return None
            # What a gateway ended is ended for what is in force now as well.
            also = current if block.state in ("lifted", "expired") else None
            changed = []
            for entry in {e.id: e for e in (found, also) if e is not None}.values():
                new = self._propagation.on_report(entry, block, now_us)
                if new is not None:
                    ledger.save(new)
                    changed.append(new)
            if changed and block.state in ("refused", "failed"):
                who = self._propagation.gateways[block.gateway]
                ledger.audit(who, f"block {block.state}", found.id, block.detail, now_us)
        return changed

    def expect(self, entry: Entry, gateway: str, now_us: int) -> None:
        """A gateway has the order of this entry from its own node, and will report it."""
        if gateway and entry.state == "active" and not entry.done(gateway):
            self._awaited[entry.id] = (gateway, now_us + ADOPTION_US)

    def clock_set(self, step_us: int) -> None:
        """The clock that ``now_us`` is read from was set: what is waited for is waited for as long
        as before."""
        self._last_us += step_us
        for entry_id, (gateway, due_us) in self._awaited.items():
            self._awaited[entry_id] = (gateway, due_us + step_us)

    def believed(self, gateway: str, now_us: int) -> BlocksInForce:
        """What a gateway has, as far as is known here."""
        digests = sum_up(self._ledger.confirmed(gateway, now_us))
        return BlocksInForce(id=uuid4().urn, node=gateway, part_digests=digests)

    def restore(self, gateway: str, entries: Iterable[Entry], now_us: int) -> tuple[Order, ...]:
        """The orders for a gateway that came (back), of these entries as they are now, whatever it
        said of them before."""
        found = tuple(entries)
        return self._propagation.on_registration(
            gateway,
            [e for e in found if e.state == "active"],
            [e for e in found if e.state == "lifted"],
            fresh=True,
            now_us=now_us,
        )

    def due(self, now_us: int) -> list[Order]:
        """The orders for gateways that are up and ought to have done something by now.

        It mends a failed order, and a lift and a block of one source that overtook each other.
        """
        orders = list(self._unreported(now_us))
        if now_us - self._last_us >= EVERY_S * 1_000_000 or now_us < self._last_us:
            self._last_us = now_us
            orders += self._unconfirmed(now_us)
        self._counters["orders_again"] += len(orders)
        return orders

    def wanted(self, theirs: BlocksInForce, now_us: int, *, new: bool) -> tuple[str, ...]:
        """Ids of entries of which a gateway must be told: what is in force and not confirmed, or in
        parts of which we believe something else; and what was lifted and would else still run.

        Args:
            new: what it refused counts as not confirmed.
        """
        with self._ledger.transaction():
            doubtful = self.believed(theirs.node, now_us).differs_from(theirs)
            lacking = self._ledger.unconfirmed(theirs.node, now_us, refused=new)
            found = {e.id: None for e in lacking}
            if doubtful:
                for name, source in self._ledger.active_names(now_us):
                    if part_of(source) in doubtful:
                        found[name] = None
            return (*found, *(e.id for e in self._ledger.lifted(now_us)))

    def protect(self, kernel: GatewayAddresses, now_us: int) -> list[tuple[Entry, str]]:
        """Let nobody block what a gateway's kernel has; what of it is blocked now, and why it must
        not be."""
        self._propagation.protect(kernel)
        self._ledger.add_kernel(kernel)
        found = []
        for source in (ip_address(text) for _, text in self._ledger.active_names(now_us)):
            refusal = self._propagation.protected.refusal(source)
            if refusal is not None and (entry := self._ledger.active_for(source)) is not None:
                found.append((entry, refusal))
        return found

    def _adopt(self, block: Block, now_us: int) -> Entry | None:
        reporter = self._propagation.gateways.get(block.gateway, "")
        entry = self._propagation.bans.adopt(block, reporter, new_id=uuid4().urn, now_us=now_us)
        if entry is not None:
            logger.info("adopted: %s", entry.cause.reason)
            self._counters["blocks_adopted"] += 1
            self._ledger.save(entry)
            self._ledger.audit(reporter, "block adopted", entry.id, entry.cause.reason, now_us)
        return entry

    def _unreported(self, now_us: int) -> Iterator[Order]:
        """Orders of what gateways ought to have from their own nodes, and say nothing of."""
        for entry_id, (gateway, due_us) in list(self._awaited.items()):
            if due_us > now_us:
                continue
            del self._awaited[entry_id]
            entry = self._ledger.entry(entry_id)
            if entry is not None and entry.state == "active":
                yield from self._propagation.on_registration(
                    gateway, [entry], fresh=False, now_us=now_us
                )

    def _unconfirmed(self, now_us: int) -> Iterator[Order]:
        before_us = now_us - EVERY_S * 1_000_000
        lifted = self._ledger.lifted(now_us)
        for gateway, jid in self._propagation.gateways.items():
            if self._directory.is_up(jid):
                lacking = self._ledger.unconfirmed(gateway, now_us)
                yield from self._propagation.on_registration(
                    gateway,
                    (e for e in lacking if _stands_since(e, gateway) <= before_us),
                    (e for e in lifted if e.ended_us <= before_us),
                    fresh=False,
                    now_us=now_us,
                )


def _stands_since(entry: Entry, gateway: str) -> int:
    state = entry.on(gateway)
    return entry.since_us if state is None else state.since_us
