"""What clear HTTP shows beyond single requests: sessions that two use, and tunnels in bodies.

Heads of requests and answers are told by their first bytes; of bodies only those of connections in
which something was sent are looked at. Connection records hold none of this, so the watch is part
of the sensor; what it finds leaves as alerts, never verified.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cachetools import LRUCache

from agents.sensor.cookie_sessions import CookieSessions, Use
from agents.sensor.flows.packets import TCP, Ints, Packets
from agents.sensor.http_tunnels import SAMPLE, SMALL, HttpTunnels, binary, explained
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from datasets.captures.pcap import rows
from ontology.records import Alert

MAX_HEAD = 2048
"""Read of a head."""
SECOND_ROWS, BURST_ROWS = 500, 750
"""Heads and pieces read in a second of packet time, and at once after a pause: together they cost a
few per cent of what packets cost on a link full of requests. More are thinned evenly, counted."""
MAX_FLOWS = 1024
"""Connections whose bodies are looked at."""
MAX_ASKED = 4096
_LEAST = 16
_LEAST_PIECE = 4
_NO_ROWS: Final[Ints] = np.zeros(0, np.int64)


def _word(text: bytes) -> int:
    return int.from_bytes(text, "little")


_ANSWER = _word(b"HTTP")
_SENDING = (_word(b"POST"), _word(b"PUT "))
_WORDS = np.array(sorted((_ANSWER, _word(b"GET "), _word(b"HEAD"), *_SENDING)), np.uint32)
_PAIRS = np.zeros(1 << 16, np.bool_)
_PAIRS[_WORDS & 0xFFFF] = True

_Flow = tuple[bytes, int, bytes, int]
"""Client and server, each with its port."""


class HttpWatch:
    """Reads heads and pieces of bodies. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._sessions = CookieSessions()
        self._tunnels = HttpTunnels()
        self._flows: LRUCache[_Flow, list[bool]] = LRUCache(MAX_FLOWS)
        """Whether the client's bodies, and the server's, are looked at just now, and whether the
        client's head called its own binary."""
        self._asked: dict[tuple[bytes, bytes, int], int] = {}
        """The client's port of whose last request no answer has been looked at."""
        self.cited: list[int] = []
        """Packets of the last block that an alert rests on."""
        self._passed = 0
        self._left = float(BURST_ROWS)
        self._last_us = 0

    @property
    def evicted(self) -> int:
        """Sessions and pairs forgotten, heads and pieces passed over, for want of room."""
        return self._passed + self._sessions.evicted + self._tunnels.evicted

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that a block brings about."""
        self.cited = []
        some = np.flatnonzero((packets.payload_length >= _LEAST) & (packets.protocol == TCP))
        if not len(some):
            return []
        first = rows(packets.data, packets.payload_offset[some], 4).view("<u4")[:, 0]
        likely = np.flatnonzero(_PAIRS.take(first & 0xFFFF))
        likely = likely[np.isin(first[likely], _WORDS)]
        heads, words = some[likely], first[likely]
        sending = np.isin(words, _SENDING)
        pieces = self._pieces(packets, heads[sending], heads[~sending & (words != _ANSWER)])
        if not len(heads) and not len(pieces):
            return []
        which = np.union1d(heads, pieces) if len(pieces) else heads
        found: list[Sighting] = []
        alerts: list[Alert] = []
        block = packets.data.data
        which = self._thinned(which, int(packets.time_us[-1]))
        places = np.minimum(np.searchsorted(heads, which), max(len(heads) - 1, 0))
        told = np.zeros(len(which), np.uint32)
        if len(heads):
            told = np.where(heads[places] == which, words[places], told)
        begins = packets.payload_offset[which]
        ends = begins + np.minimum(packets.payload_length[which], MAX_HEAD)
        for row, begin, end, word in zip(
            which.tolist(), begins.tolist(), ends.tolist(), told.tolist(), strict=True
        ):
            if not word:
                self._piece(packets, row, begin, end, found)
            else:
                head = block[begin:end].tobytes()
                cookie = b"ookie:" in head
                if cookie or word != _ANSWER or self._flows:
                    self._head(packets, row, head, word, cookie, found)
            if found:
                made = [alert for seen in found if (alert := self.alerts.alert(seen)) is not None]
                self.cited += [row] * bool(made)
                alerts += made
                found.clear()
        return alerts

    def _thinned(self, which: Ints, now_us: int) -> Ints:
        """As many as there is time for, from all of the block."""
        if self._last_us:
            earned = max(now_us - self._last_us, 0) * SECOND_ROWS / SECOND
            self._left = min(self._left + earned, max(BURST_ROWS, earned))
        self._last_us = max(now_us, self._last_us)
        most = min(int(self._left), len(which))
        self._left -= most
        if most < len(which):
            self._passed += len(which) - most
            which = which[np.linspace(0, len(which) - 1, most).astype(np.int64)]
        return which

    def _pieces(self, packets: Packets, sending: Ints, asking: Ints) -> Ints:
        """Packets that may be of bodies to look at: by a client's port, which is cheap to ask."""
        if not self._flows and not len(sending):
            return _NO_ROWS
        senders = {client for client, _, _, _ in self._flows}
        senders.update(map(bytes, packets.src[sending]))
        sources = np.ascontiguousarray(packets.src[asking]).view("S16")[:, 0]
        asking = asking[np.isin(sources, np.array(list(senders), "S16"))]
        ports = np.zeros(1 << 16, np.bool_)
        ports[[port for _, port, _, _ in self._flows]] = True
        ports[packets.src_port[sending]] = True
        ports[packets.src_port[asking]] = True
        near = ports.take(packets.src_port) | ports.take(packets.dst_port)
        near &= (packets.payload_length >= _LEAST_PIECE) & (packets.protocol == TCP)
        return np.flatnonzero(near)

    def _head(
        self,
        packets: Packets,
        row: int,
        text: bytes,
        word: int,
        cookie: bool,
        found: list[Sighting],
    ) -> None:
        head, end, body = text.partition(b"\r\n\r\n")
        head += end[:2]  # each line of a whole head ends
        answer = word == _ANSWER
        flow = _flow(packets, row, up=not answer)
        client, _, server, port = flow
        at_us = int(packets.time_us[row])
        if cookie:
            use = Use(client, server, port, at_us)
            if answer:
                self._sessions.on_given(use, head)
            else:
                found += self._sessions.on_request(use, head)
        looked = self._flows.get(flow) if self._flows else None
        if answer:
            if looked is None:
                return
            looked[1] = not explained(head)
        elif word in _SENDING:
            if explained(head):
                if looked is not None:
                    looked[:] = False, False, False
                return
            looked = self._flows[flow] = [True, True, binary(head)]
        elif self._tunnels.sends(client, server, port):
            looked = self._flows[flow] = [False, True, False]
        else:
            # One answer may take as long as a tunnel lasts.
            if len(self._asked) >= MAX_ASKED:
                del self._asked[next(iter(self._asked))]
            self._asked[client, server, port] = flow[1]
            if looked is None:
                return
            looked[:] = False, False, False
        if body and looked[answer]:
            size = int(packets.payload_length[row]) - len(text) + len(body)
            self._add(packets, flow, row, body, size, found, up=not answer)

    def _piece(
        self, packets: Packets, row: int, begin: int, end: int, found: list[Sighting]
    ) -> None:
        for up in (True, False):
            flow = _flow(packets, row, up=up)
            looked = self._flows.get(flow)
            if looked is None:
                continue
            if looked[not up]:
                sample = packets.data[begin : min(end, begin + SAMPLE)].tobytes()
                size = int(packets.payload_length[row])
                self._add(packets, flow, row, sample, size, found, up=up)
            return

    def _add(
        self,
        packets: Packets,
        flow: _Flow,
        row: int,
        body: bytes,
        size: int,
        found: list[Sighting],
        *,
        up: bool,
    ) -> None:
        if not _LEAST_PIECE <= size <= SMALL or not body:
            return
        client, _, server, port = flow
        sample = np.frombuffer(body[:SAMPLE], np.uint8)
        at_us = int(packets.time_us[row])
        named = up and self._flows[flow][2]
        seen = self._tunnels.on_piece(client, server, port, at_us, sample, size, up=up, named=named)
        if seen is not None:
            found.append(seen)
        if up and self._tunnels.sends(client, server, port):
            asked = self._asked.pop((client, server, port), None)
            if asked is not None and (client, asked, server, port) not in self._flows:
                self._flows[client, asked, server, port] = [False, True, False]


def _flow(packets: Packets, row: int, *, up: bool) -> _Flow:
    source, target = packets.src[row].tobytes(), packets.dst[row].tobytes()
    ports = int(packets.src_port[row]), int(packets.dst_port[row])
    if up:
        return source, ports[0], target, ports[1]
    return target, ports[1], source, ports[0]
