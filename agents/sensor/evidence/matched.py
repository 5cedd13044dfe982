"""Citations of signatures' matches: the frame is copied when it matches, and cited with the alert,
a little later, when the answer to it has been seen as well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from agents.sensor.evidence.citation_shares import CitationShares
from agents.sensor.evidence.citations import Citation, Ends, Frame, cite
from agents.sensor.evidence.recent import RecentPackets, ends_of, frame_of
from agents.sensor.flows.packets import Packets
from datasets.captures.pcap import RawPackets

HELD_BYTES = 4 << 20
"""Of frames that wait for their alert: of those in proven conversations, and of others again."""
HELD_PER_SOURCE = 64
"""Frames of one source that wait."""
MAX_WAITING = 128
"""Citations kept between two calls of `MatchedPackets.take`; more are counted and left out."""


@dataclass(frozen=True, slots=True)
class Held:
    """A frame that matched and waits for its alert."""

    ends: Ends
    frame: Frame
    link_type: int
    real: bool


class MatchedPackets:
    """Blocks and matches in, citations out. Not thread-safe."""

    def __init__(self) -> None:
        self._recent = RecentPackets()
        self._shares = CitationShares()
        self._made: list[Citation] = []
        self._bytes: Counter[bool] = Counter()
        self._sources: Counter[tuple[bool, bytes]] = Counter()
        self.counters: Counter[str] = Counter()
        """unheld: matches whose frame could not wait; held_back, lost: citations not made, since
        there were enough, or nobody took them."""

    def add(self, raw: RawPackets) -> None:
        """A block, before what matched in it."""
        self._recent.add(raw)

    def hold(
        self, raw: RawPackets, packets: Packets, number: int, *, answers: bool, real: bool
    ) -> Held | None:
        """Copy the frame of packet ``number``; None if too much waits already.

        ``answers``: it was sent to the one whose doing it is. ``real``: in a proven conversation;
        the others don't take its room.
        """
        ends = ends_of(packets, number)
        ends = ends.turned() if answers else ends
        size = int(raw.lengths[packets.index[number]])
        if (
            self._bytes[real] + size > HELD_BYTES
            or self._sources[real, ends.one] >= HELD_PER_SOURCE
        ):
            self.counters["unheld"] += 1
            return None
        held = Held(ends, frame_of(raw, int(packets.index[number])), raw.link_type, real)
        self._bytes[real] += len(held.frame.data)
        self._sources[real, ends.one] += 1
        return held

    def let_go(self, held: Held) -> None:
        """It waits no longer."""
        self._bytes[held.real] -= len(held.frame.data)
        whose = held.real, held.ends.one
        self._sources[whose] -= 1
        if self._sources[whose] <= 0:
            del self._sources[whose]

    def cite(self, held: Held, signature: str, *, proven: bool) -> None:
        """Its alert is made: it is cited, if its source has not had enough, and waits no longer."""
        self.let_go(held)
        ends = held.ends
        place = ends.other, ends.other_port, signature
        now_us = held.frame.time_us
        if not self._shares.take(ends.one, place, proven=proven, now_us=now_us):
            self.counters["held_back"] = self._shares.held_back
            return
        if len(self._made) >= MAX_WAITING:
            self.counters["lost"] += 1
            return
        self._made.append(
            cite(
                ends,
                held.frame,
                self._recent.conversation(ends, held.link_type, now_us),
                link_type=held.link_type,
                signature=signature,
                proven=proven,
            )
        )

    def take(self) -> list[Citation]:
        """Those made since the last call."""
        made, self._made = self._made, []
        return made
