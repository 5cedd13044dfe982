"""Outcomes as messages. The gateway of this node comes first: nobody is asked before it acts. Then
decisions go with their evidence to the supervisor and to the other cells, all of it to the archive.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from agents.base.log_limits import ORDER
from agents.correlation.outcome import Outcome
from agents.knowledge.following import ontology_agent_of
from agents.messages.acl import AclMessage, MessageError
from agents.settings.honeynet import Settings
from ontology.fragments import FragmentError
from ontology.records import Alert, Decision, Record

logger = logging.getLogger(__name__)

ORDERS_PER_MESSAGE: Final = 50
"""Some kB each: where a part of them is too large for one message, it is halved."""
SHORT_REASON: Final = 2000
"""Characters of the reason of an order that is too large for a message of its own."""


class Send(Protocol):
    """`agents.base.BaseAgent.send_many`."""

    def __call__(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        within_s: float | None = None,
    ) -> Awaitable[tuple[AclMessage, ...]]: ...


class Dispatch:
    """Who hears of an outcome.

    Args:
        node: of this correlation agent; its reaction agent is ordered directly.
        send: stores a message for each receiver.
        subscribers: bare JIDs of the other cells that want to hear of decisions.
        counters: counts here what could not be sent whole.
    """

    def __init__(
        self,
        settings: Settings,
        node: str,
        send: Send,
        counters: Counter[str],
        subscribers: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        gateway = settings.jid("reaction", node)
        self._gateways = tuple(jid for jid in settings.jids("reaction") if jid == gateway)
        self._subscribers = subscribers
        self._supervisors = settings.jids("supervisor")
        self._modes = settings.modes()
        archive = ontology_agent_of(settings, node)
        self._archives = (archive,) if archive else ()
        self._send = send
        self._counters = counters

    async def send(self, outcome: Outcome) -> None:
        """Everything if it fits; without the alerts, or at least the orders themselves."""
        incident = outcome.incident
        values = (incident.classification, incident.source, incident.rule, incident.severity)
        if outcome.decisions:
            logger.info(
                "%s from %s, rule %s, severity %.2f, %s",
                *values,
                ", ".join(f"block {d.source} for {d.duration_s} s" for d in outcome.decisions),
                extra=ORDER,
            )
        else:
            logger.info("%s from %s, rule %s, severity %.2f, no block", *values)
        # Of a mode that a rule has, the gateway can't know: it sees no incident.
        if self._modes.of_reason(incident.classification, incident.rule).mode == "enforce":
            await self.order_own_gateway(outcome.decisions)
        try:
            await self._send_outcome(outcome, outcome.alerts)
        except (MessageError, FragmentError) as e:
            logger.error("incident %s can't be sent whole: %s", incident.id, e)
            self._counters["incidents_cut"] += 1
            await self._send_cut(outcome)

    async def order_own_gateway(self, decisions: Sequence[Decision]) -> None:
        """At once; there is nothing to do if this node is no gateway."""
        for start in range(0, len(decisions), ORDERS_PER_MESSAGE):
            part = decisions[start : start + ORDERS_PER_MESSAGE]
            await self._order(self._gateways, part, _longest_s(part))

    async def _order(
        self, receivers: Sequence[str], part: Sequence[Decision], within_s: float | None = None
    ) -> None:
        """In one message or more: no order is lost because it goes along with others."""
        try:
            await self._to(receivers, "request", part, "fipa-request", within_s)
        except (MessageError, FragmentError) as e:
            if len(part) > 1:
                half = len(part) // 2
                await self._order(receivers, part[:half], within_s)
                await self._order(receivers, part[half:], within_s)
            elif len(part[0].reason) > SHORT_REASON:
                short = replace(part[0], reason=part[0].reason[:SHORT_REASON])
                await self._order(receivers, [short], within_s)
            else:
                self._counters["orders_unsendable"] += 1
                logger.error("the order to block %s can't be sent: %s", part[0].source, e)

    async def _send_cut(self, outcome: Outcome) -> None:
        """With half of the alerts, a quarter, none; or at least the orders themselves."""
        alerts = outcome.alerts
        while alerts:
            alerts = alerts[-(len(alerts) // 2) :] if len(alerts) > 1 else ()
            try:
                await self._send_outcome(outcome, alerts)
            except (MessageError, FragmentError):
                continue
            return
        self._counters["incidents_unsendable"] += 1
        logger.error("incident %s can't be sent at all", outcome.incident.id)
        for decision in outcome.decisions:
            await self._order(self._supervisors, [decision])

    async def _send_outcome(self, outcome: Outcome, alerts: tuple[Alert, ...]) -> None:
        records: list[Record] = [*outcome.decisions, outcome.incident, *alerts]
        if outcome.decisions:
            await self._to(self._supervisors, "request", records, "fipa-request")
            within_s = _longest_s(outcome.decisions)
            await self._to(self._subscribers(), "inform", records, "fipa-subscribe", within_s)
        else:
            await self._to(self._supervisors, "inform", records, "fipa-subscribe")
        await self._to(self._archives, "inform", records, "fipa-subscribe")

    async def _to(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        protocol: str,
        within_s: float | None = None,
    ) -> None:
        if receivers:
            await self._send(receivers, performative, records, protocol=protocol, within_s=within_s)


def _longest_s(decisions: Sequence[Decision]) -> int:
    """When the last of these blocks is over: nobody needs to hear of it later."""
    return max(decision.duration_s for decision in decisions)
