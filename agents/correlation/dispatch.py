"""Outcomes as messages: decisions with their evidence to the supervisor, all to the archive."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Protocol

from agents.correlation.outcome import Outcome
from agents.messages.acl import AclMessage, MessageError
from agents.settings.honeynet import Settings
from ontology.fragments import FragmentError
from ontology.records import Alert, Record

logger = logging.getLogger(__name__)


class Send(Protocol):
    """`agents.base.BaseAgent.send_many`."""

    def __call__(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
    ) -> Awaitable[tuple[AclMessage, ...]]: ...


class Dispatch:
    """Who hears of an outcome.

    Args:
        send: stores a message for each receiver.
        counters: counts here what could not be sent whole.
    """

    def __init__(self, settings: Settings, send: Send, counters: Counter[str]) -> None:
        self._supervisors = settings.jids("supervisor")
        self._archives = settings.jids("ontology")
        self._send = send
        self._counters = counters

    async def send(self, outcome: Outcome) -> None:
        """Everything if it fits; without the alerts, or at least the orders themselves."""
        incident = outcome.incident
        logger.info(
            "%s from %s, rule %s, severity %.2f, %s",
            incident.classification,
            incident.source,
            incident.rule,
            incident.severity,
            ", ".join(f"block {d.source} for {d.duration_s} s" for d in outcome.decisions)
            or "no block",
        )
        try:
            await self._send_outcome(outcome, outcome.alerts)
        except (MessageError, FragmentError) as e:
            logger.error("incident %s can't be sent whole: %s", incident.id, e)
            self._counters["incidents_cut"] += 1
            await self._send_cut(outcome)

    async def _send_cut(self, outcome: Outcome) -> None:
        """Without alerts (too large, most likely), or at least the orders themselves."""
        try:
            await self._send_outcome(outcome, ())
        except (MessageError, FragmentError) as e:
            self._counters["incidents_unsendable"] += 1
            logger.error("incident %s can't be sent at all: %s", outcome.incident.id, e)
            for decision in outcome.decisions:
                await self._order([decision])

    async def _send_outcome(self, outcome: Outcome, alerts: tuple[Alert, ...]) -> None:
        records: list[Record] = [*outcome.decisions, outcome.incident, *alerts]
        if outcome.decisions:
            await self._order(records)
        else:
            await self._send(self._supervisors, "inform", records, protocol="fipa-subscribe")
        await self._send(self._archives, "inform", records, protocol="fipa-subscribe")

    async def _order(self, records: Sequence[Record]) -> None:
        await self._send(self._supervisors, "request", records, protocol="fipa-request")
