"""The packets that an alert rests on, as a sensor hands them out when it is asked."""

from __future__ import annotations

from dataclasses import dataclass

MAX_CAPTURE = 64 << 10
"""Bytes of a capture: in base64, beside a dissection, it fits into one message."""
MAX_DISSECTION = 16_000
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketEvidence:
    """The packet that an alert rests on, and the conversation around it as far as it was kept."""

    id: str
    alert: str
    """Id of the alert that was asked about."""
    evidence_packets: int
    """Packets in the capture."""
    cited_packet: int
    """Which of them the alert rests on, from 1; 0 if none was kept."""
    omitted_packets: int
    """Packets of the conversation that were seen and are not in the capture, as it is bounded."""
    dissection: str
    """The cited packet layer by layer, as scapy reads it: printable lines."""
    capture_data: str
    """The conversation as pcap file (draft-ietf-opsawg-pcap) in base64 (RFC 4648)."""
    explanation: str
    """What was kept, or why nothing was, in a sentence."""

    def __post_init__(self) -> None:
        if not 0 <= self.cited_packet <= self.evidence_packets:
            raise ValueError(
                f"cited_packet must lie in [0, {self.evidence_packets}], got {self.cited_packet}"
            )
        if self.omitted_packets < 0:
            raise ValueError(f"omitted_packets must not be negative, got {self.omitted_packets}")
        if len(self.dissection) > MAX_DISSECTION:
            raise ValueError(f"dissection of more than {MAX_DISSECTION} characters")
        if len(self.capture_data) > (MAX_CAPTURE + 2) // 3 * 4:
            raise ValueError(f"capture_data of more than {MAX_CAPTURE} bytes")
