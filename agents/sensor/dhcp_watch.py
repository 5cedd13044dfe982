"""DHCP starvation: leases asked for under made-up hardware addresses until there are none left.

The hardware addresses, and 0.0.0.0 as source, say nothing of who asks: nobody is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache

from agents.sensor.flows.packets import UDP, Packets
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from datasets.captures.pcap import rows
from ontology.addresses import to_address
from ontology.records import Alert

SERVER, CLIENT = 67, 68
CLIENTS = 100
"""Different hardware addresses that ask in the window; a /24 has no lease left after 254. A hall
whose power comes back asks so too where it has more hosts than that."""
WINDOW_US = 60 * SECOND
MAX_RELAYS = 256
"""Segments told apart by the relay in the request (0.0.0.0: this one)."""
MAX_CLIENTS = 1000
"""Kept per segment; beyond, the count is a lower bound."""
_FIXED, _COOKIE = 236, b"\x63\x82\x53\x63"


@dataclass(slots=True)
class _Segment:
    window: int
    begin_us: int
    clients: set[bytes] = field(default_factory=set)
    requests: int = 0
    reported: int = 0


class DhcpWatch:
    """Who asks for leases, by segment. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._segments: LRUCache[bytes, _Segment] = LRUCache(MAX_RELAYS)
        self._server: bytes | None = None
        """Who offered a lease last."""
        self.evicted = 0
        """Segments forgotten for want of room."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that a block brings about."""
        which = np.flatnonzero(
            (packets.protocol == UDP) & np.isin(packets.dst_port, (SERVER, CLIENT))
            & (packets.payload_length >= _FIXED + 7) & (packets.ip_version == 4)
        )  # fmt: skip
        if not len(which):
            return []
        fixed = rows(packets.data, packets.payload_offset[which], _FIXED + 7)
        # BOOTP's operation, then DHCP's cookie and the message type, which clients put first
        # (RFC 2131, table 1; RFC 2132, section 9.6).
        dhcp = (fixed[:, 236:240] == np.frombuffer(_COOKIE, np.uint8)).all(axis=1)
        kind = np.where(dhcp & (fixed[:, 240] == 53), fixed[:, 242], 0)
        offers = np.flatnonzero((fixed[:, 0] == 2) & (kind == 2))
        if len(offers):
            self._server = packets.src[which[offers[-1]]].tobytes()
        alerts = []
        asks = np.flatnonzero((fixed[:, 0] == 1) & np.isin(kind, (1, 3)))
        windows = packets.time_us[which[asks]] // WINDOW_US
        # Window by window: a block of a slow capture holds hours.
        for window in np.unique(windows).tolist():
            here = asks[windows == window]
            for relay in np.unique(fixed[here, 24:28], axis=0):
                own = here[(fixed[here, 24:28] == relay).all(axis=1)]
                alert = self._on_requests(
                    relay.tobytes(), window, fixed[own, 28:34], packets.time_us[which[own]]
                )
                alerts += [] if alert is None else [alert]
        return alerts

    def _on_requests(
        self, relay: bytes, window: int, hardware: np.ndarray, times: np.ndarray
    ) -> Alert | None:
        now = int(times.max())
        segment = self._segments.get(relay)
        if segment is None or window != segment.window:
            self.evicted += segment is None and len(self._segments) == self._segments.maxsize
            segment = self._segments[relay] = _Segment(window, begin_us=int(times.min()))
        segment.requests += len(times)
        room = MAX_CLIENTS - len(segment.clients)
        names = np.unique(hardware, axis=0)[: max(room, 0)]
        segment.clients.update(name.tobytes() for name in names)
        if len(segment.clients) < CLIENTS or segment.requests < 2 * segment.reported:
            return None
        segment.reported = segment.requests
        seconds = (now - segment.begin_us) / SECOND
        return self.alerts.alert(
            Sighting(
                classification="DhcpStarvation",
                key=relay.hex(),
                source=None,
                target=None if self._server is None else to_address(self._server),
                begin_us=segment.begin_us,
                end_us=now,
                count=segment.requests,
                # 0.6 at the threshold, 0.9 from the tenfold.
                confidence=0.6 + 0.3 * min(len(segment.clients) / MAX_CLIENTS, 1.0),
                explanation=(
                    f"{len(segment.clients)} different hardware addresses or more asked for a "
                    f"lease in {seconds:.1f} s ({segment.requests} requests)"
                ),
                protocol=UDP,
                target_port=SERVER,
                source_count=len(segment.clients),
            )
        )
