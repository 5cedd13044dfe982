"""The packets that an alert rests on, asked of the sensor that saw them."""

from __future__ import annotations

from agents.base.conversations import NoAnswer, RefusedByPeer
from agents.console.action_errors import ActionError
from agents.console.asking import Ask
from agents.settings.honeynet import Settings
from ontology.records import Alert, PacketEvidence

LIMIT_S = 30.0
MAX_ASKED = 4
"""Questions under way at once: each has a sensor start a process."""


class Evidence:
    """Questions of logged-in people. Nothing is kept here."""

    def __init__(self, ask: Ask, settings: Settings) -> None:
        self._ask = ask
        self._sensors = frozenset(settings.jids("sensor"))
        self._open = 0

    async def of(self, alert: Alert) -> PacketEvidence:
        """What its sensor has kept for an alert. Raises: ActionError"""
        if alert.sensor not in self._sensors:
            raise ActionError("refused", "the sensor of this alert is not one of this honeynet")
        if self._open >= MAX_ASKED:
            raise ActionError("unanswered", "too many ask for packets just now; try again")
        self._open += 1
        try:
            reply = await self._ask("sensor", "query-ref", alert, LIMIT_S, name=alert.sensor)
        except RefusedByPeer as e:
            raise ActionError("unanswered", f"{alert.sensor} can't say just now") from e
        except NoAnswer as e:
            raise ActionError(
                "unanswered", f"{alert.sensor} has not answered within {LIMIT_S:g} s"
            ) from e
        except (RuntimeError, ValueError) as e:
            raise ActionError("unanswered", f"{alert.sensor} can't be asked just now") from e
        finally:
            self._open -= 1
        for record in reply.records:
            if isinstance(record, PacketEvidence) and record.alert == alert.id:
                return record
        raise ActionError("unanswered", f"{alert.sensor} has answered nothing that fits")
