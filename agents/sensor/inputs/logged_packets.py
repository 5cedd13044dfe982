"""Packets that another tool logged with its alerts, cited as the sensor's own are: in bounds, and
fairly by source."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from agents.sensor.evidence.citation_shares import CitationShares
from agents.sensor.evidence.citations import MAX_FRAME, Citation, Ends, Frame, cite
from agents.sensor.inputs.sightings import Claim

MAX_WAITING: Final = 128
"""Citations kept between two calls of `LoggedPackets.take`; more are counted and left out."""


class LoggedPackets:
    """Claims in, citations out. Not thread-safe."""

    def __init__(self) -> None:
        self._shares = CitationShares()
        self._made: list[Citation] = []
        self.lost = 0
        """Citations not made: nobody took those before, or the packet can't be read."""

    @property
    def held_back(self) -> int:
        """Citations not made, since there were enough."""
        return self._shares.held_back

    def add(self, claim: Claim) -> None:
        """Cite its packet, if it has one and its source has not had enough."""
        packet, target, named = claim.packet, claim.target, claim.named
        if packet is None or target is None or named is None or not named.signature:
            return
        place = target.packed, packet.target_port, named.signature
        if not self._shares.take(
            claim.source.packed, place, proven=claim.verified, now_us=claim.at_us
        ):
            return
        if len(self._made) >= MAX_WAITING:
            self.lost += 1
            return
        try:
            data = base64.b64decode(packet.data, validate=True)
        except (binascii.Error, ValueError):
            self.lost += 1
            return
        ends = Ends(
            claim.protocol,
            claim.source.packed,
            packet.source_port,
            target.packed,
            packet.target_port,
        )
        frame = Frame(data=data[:MAX_FRAME], time_us=claim.at_us, wire_length=len(data))
        self._made.append(
            cite(
                ends,
                frame,
                [frame],
                link_type=packet.link_type,
                signature=named.signature,
                proven=claim.verified,
            )
        )

    def take(self) -> list[Citation]:
        """Those made since the last call."""
        made, self._made = self._made, []
        return made
