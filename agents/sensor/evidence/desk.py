"""What a sensor answers when it is asked for the packets that an alert rests on."""

from __future__ import annotations

import base64
import logging
import uuid
from collections.abc import Callable

from cachetools import LRUCache

from agents.sensor.evidence.store import EvidenceStore, Kept
from datasets.captures.pcap import CaptureError
from ontology.records import Alert, PacketEvidence

logger = logging.getLogger(__name__)

REMEMBERED = 32
"""Dissections: each takes a process and a second or two."""
NOTHING = (
    "no packet is kept for this alert: it rests on counts or on another tool's log, or its packet "
    "had to make room"
)


class EvidenceDesk:
    """Looks up, has scapy read the cited packet, and makes the record. Blocks; one at a time."""

    def __init__(self, store: EvidenceStore, dissect: Callable[[bytes, int], str]) -> None:
        """``dissect``: (frame, link type) to lines; raises CaptureError."""
        self._store = store
        self._dissect = dissect
        self._told: LRUCache[tuple[bytes, int], str] = LRUCache(REMEMBERED)

    def answer(self, alert: Alert) -> PacketEvidence:
        """What is kept for an alert, or that nothing is."""
        kept = self._store.find(alert)
        if kept is None:
            return PacketEvidence(
                id=uuid.uuid4().urn,
                alert=alert.id,
                evidence_packets=0,
                cited_packet=0,
                omitted_packets=0,
                dissection="",
                capture_data="",
                explanation=NOTHING,
            )
        return PacketEvidence(
            id=uuid.uuid4().urn,
            alert=alert.id,
            evidence_packets=kept.packets,
            cited_packet=kept.cited,
            omitted_packets=kept.omitted,
            dissection=self._dissection(kept),
            capture_data=base64.b64encode(kept.capture).decode("ascii"),
            explanation=_words(kept),
        )

    def _dissection(self, kept: Kept) -> str:
        key = kept.frame, kept.link_type
        told = self._told.get(key)
        if told is None:
            try:
                told = self._told[key] = self._dissect(kept.frame, kept.link_type)
            except CaptureError as e:
                logger.warning("%s", e)
                told = str(e)
        return told


def _words(kept: Kept) -> str:
    what = f"signature {kept.signature} matched" if kept.signature else "what it says was counted"
    return (
        f"packet {kept.cited} of {kept.packets}: {what}; "
        f"{kept.omitted} packets of the conversation are left out"
    )
