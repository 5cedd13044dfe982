"""Keeps the ledger's ends right when the wall clock is set, and the clock over a restart."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from agents.base.steady_clock import STEP_US, SteadyClock, described
from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Propagation

logger = logging.getLogger(__name__)

NOTE_EVERY_US: Final = 15_000_000
"""How often the clock is noted on disk: what a reboot can't know."""


class Timekeeper:
    """The steady clock of a ledger and of the orders that come from it. Calls may block."""

    def __init__(self, clock: SteadyClock, ledger: Ledger, propagation: Propagation) -> None:
        self._clock = clock
        self._ledger = ledger
        self._propagation = propagation
        self._noted_us = 0

    def tick(self) -> int:
        """Call it every second or so. Microseconds by which the wall clock was set since; 0: not.

        What runs in the ledger then ends as much later or sooner: what remains of it stays.
        """
        clock = self._clock
        step_us = clock.step_us()
        stepped = abs(step_us) > STEP_US
        if stepped:
            logger.warning("the wall clock was set %s; blocks end as before", described(step_us))
            with self._ledger.transaction():
                self._ledger.move_ends(step_us, clock() + step_us)
                self._note(step_us)
            clock.move(step_us)
        elif clock() - self._noted_us >= NOTE_EVERY_US:
            clock.move(step_us)
            self._note(0)
        return step_us if stepped else 0

    def _note(self, step_us: int) -> None:
        reading = self._clock.reading()
        reading = replace(reading, wall_us=reading.wall_us + step_us)
        self._ledger.note_clock(reading, self._propagation.last_order_us)
        self._noted_us = reading.wall_us
