"""Citations of what payloads say by themselves: refused logins, forms, attack strings, names and
cookies that the sensor's own alerts are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.sensor.evidence.citation_shares import CitationShares
from agents.sensor.evidence.citations import Citation, cite
from agents.sensor.evidence.recent import RecentPackets, ends_of, frame_of
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import Packets
from datasets.captures.pcap import RawPackets
from ontology.records import INDICATORS

MAX_LOOKED_AT = 64
"""Marked packets of one block that may be cited, spread over it: a flood of refused logins costs no
more than a few of them."""
MAX_WAITING = 128
"""Citations kept between two calls of `MarkedPackets.take`; more are counted and left out."""
_ORDINARY = 1 << INDICATORS.index("SshBanner")
"""What everybody's SSH client says."""


class MarkedPackets:
    """Blocks and their marks in, citations out. Not thread-safe."""

    def __init__(self) -> None:
        self._recent = RecentPackets()
        self._shares = CitationShares()
        self._made: list[Citation] = []
        self.lost = 0
        """Citations that nobody took in time."""

    @property
    def held_back(self) -> int:
        """Citations that were not made, since there were enough."""
        return self._shares.held_back

    def add(self, raw: RawPackets, packets: Packets, marks: Marks | None) -> None:
        """``marks``: by their ``index`` of ``packets``, those of repeated segments taken out."""
        self._recent.add(raw)
        if marks is None or not len(marks.index):
            return
        said = (marks.failed_logins > 0) | (marks.login_attempts > 0)
        said |= (marks.indicators & ~_ORDINARY) != 0
        if marks.content is not None:
            said |= marks.content.any(axis=1)
        some = np.flatnonzero(said)
        step = -(-len(some) // MAX_LOOKED_AT)
        for row in some[::step].tolist() if step else ():
            refused = bool(marks.failed_logins[row])
            self._cite(raw, packets, int(marks.index[row]), refused=refused)

    def add_told(self, raw: RawPackets, packets: Packets, numbers: Sequence[int]) -> None:
        """Packets of the block added last that an alert of the sensor itself rests on."""
        for number in numbers[:MAX_LOOKED_AT]:
            self._cite(raw, packets, number, refused=False)

    def _cite(self, raw: RawPackets, packets: Packets, number: int, *, refused: bool) -> None:
        ends = ends_of(packets, number)
        answers = ends.one_port < ends.other_port
        # A server's own refusal is no invention; what is said in a client's name may be one.
        proven = answers and refused
        if answers:
            ends = ends.turned()
        now_us = int(packets.time_us[number])
        # What was tried and what was refused: each for itself.
        place = ends.other, ends.other_port, refused
        if not self._shares.take(ends.one, place, proven=proven, now_us=now_us):
            return
        if len(self._made) >= MAX_WAITING:
            self.lost += 1
            return
        cited = frame_of(raw, int(packets.index[number]))
        around = self._recent.conversation(ends, raw.link_type, now_us, packets)
        self._made.append(cite(ends, cited, around, link_type=raw.link_type, proven=proven))

    def take(self) -> list[Citation]:
        """Those made since the last call."""
        made, self._made = self._made, []
        return made
