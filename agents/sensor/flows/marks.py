"""What payload look-up says of packets, as the flow table adds it to their connections.

`agents.sensor.payloads` finds it, `agents.sensor.flows` counts it; this module is all that the two
rooms share, so that payloads may know flows and not the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import Ints
from ontology.records import CONTENT_COUNTS

CONTENT_COLUMNS: tuple[str, ...] = (*CONTENT_COUNTS, "content_flags")
"""What the content of a packet can count for, as columns of one byte each."""
LOGIN_PORTS = (21, 23, 25, 110, 143, 587)
"""Where servers refuse logins in cleartext."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What payload look-up found: sparse, one entry per packet that says something."""

    index: Ints
    """Positions in `Packets`, ascending."""
    failed_logins: Ints
    login_attempts: Ints
    indicators: Ints
    """Bits as in ``records.INDICATORS``."""
    content: NDArray[np.uint8] | None = None
    """(len(index), 7), columns as `CONTENT_COLUMNS`; None: no packet has any."""
    by_server: NDArray[np.bool_] | None = None
    """Whether that content counts only from the responder (True) or the originator."""

    def take(self, keep: NDArray[np.bool_]) -> Marks:
        """The entries to keep."""
        if keep.all():
            return self
        return Marks(
            self.index[keep],
            self.failed_logins[keep],
            self.login_attempts[keep],
            self.indicators[keep],
            None if self.content is None else self.content[keep],
            None if self.by_server is None else self.by_server[keep],
        )


def add_counts(
    counts: NDArray[np.uint8], rows: NDArray[np.int64], content: NDArray[np.uint8]
) -> None:
    """Add ``content[i]`` to ``counts[rows[i]]`` in place, both (…, 7); counts stay at 255."""
    owners, inverse = np.unique(rows, return_inverse=True)
    total = counts[owners].astype(np.int64)
    np.add.at(total[:, :-1], inverse, content[:, :-1])
    np.bitwise_or.at(total[:, -1], inverse, content[:, -1])
    counts[owners] = np.minimum(total, 255)
