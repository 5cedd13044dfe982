"""Content features of KDD Cup 99: what a packet of FTP, Telnet, SMTP or HTTP says in cleartext.

Counts of one packet are bytes; a connection's stay at 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ontology.records import CONTENT_COUNTS, CONTENT_FLAGS

COLUMNS: tuple[str, ...] = (*CONTENT_COUNTS, "content_flags")
"""What a packet can say, as columns of one byte each."""
LOGIN_PORTS = (21, 23, 25, 110, 143, 587)
"""Where servers refuse logins in cleartext."""


def add_counts(
    counts: NDArray[np.uint8], rows: NDArray[np.int64], content: NDArray[np.uint8]
) -> None:
    """Add ``content[i]`` to ``counts[rows[i]]`` in place, both (…, 8); counts stay at 255."""
    owners, inverse = np.unique(rows, return_inverse=True)
    total = counts[owners].astype(np.int64)
    np.add.at(total[:, :-1], inverse, content[:, :-1])
    np.bitwise_or.at(total[:, -1], inverse, content[:, -1])
    counts[owners] = np.minimum(total, 255)
