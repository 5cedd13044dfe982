"""The sensor without its shell: packets in, `ConnectionBatch` records out."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.sensor.arp_pushes import ArpPushes
from agents.sensor.arp_watch import ArpWatch
from agents.sensor.dhcp_watch import DhcpWatch
from agents.sensor.dns_watch import DnsWatch
from agents.sensor.evidence.citations import Citation
from agents.sensor.evidence.marked import MarkedPackets
from agents.sensor.flows.answered import Answers
from agents.sensor.flows.automaton import Timeouts
from agents.sensor.flows.decode import decode
from agents.sensor.flows.duplicates import Duplicates
from agents.sensor.flows.keys import count_sides
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import TCP, Packets
from agents.sensor.flows.rows import opaque
from agents.sensor.flows.table import FlowTable
from agents.sensor.fragment_watch import FragmentWatch
from agents.sensor.http_watch import HttpWatch
from agents.sensor.neighbour_watch import NeighbourWatch
from agents.sensor.payloads.payload import PayloadReader
from agents.sensor.payloads.reading_shares import ReadingShares
from agents.sensor.sides import SideJudge
from agents.sensor.tunnel_trust import TunnelTrust
from datasets.captures.pcap import RawPackets
from ontology.ordering import stable_order
from ontology.records import CONNECTION, MAX_TIME_US, Alert, ConnectionBatch

BATCH_SPAN_US = 60_000_000
"""The analyzer looks at its windows once a batch. A block of a slow capture, or a log read after a
pause, holds hours, in which five refused logins would be lost among what came later."""
BATCH_CONNECTIONS = 1_400
"""Connections in one batch: 1,400 x 101 bytes stay below 200 kB also in base64."""
MAX_WAITING = 262_144
"""Connections kept between two calls of `SensorCore.take_batches`; more are dropped and counted."""
MAX_ALERTS = 256
"""Alerts kept between two calls of `SensorCore.take_alerts`; more are dropped and counted."""
COUNTS_ONLY_US = 5_000_000
"""A batch without connections, only counts, is sent no more often than this."""
ONE_SIDED = 10
"""So many connections with payload of one end only, at least, make a capture one-sided."""
MAX_LOOSE = 16_384
"""Connections followed in tunnels that prove nothing."""
MAX_LAYER_NAMES = 64
"""Layers that can't be read and are counted by name; senders choose the numbers in the names."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://w3id.org/ontoidps#ConnectionBatch")


class SensorCore:
    """Decodes, follows connections, looks into payloads, packs batches.

    ``sensor`` is the bare JID of the agent, or a plain name offline. ``repeatable``: ids follow
    from the content, so that a replay of the same capture gives the same batches. ``shares``: live,
    reading payloads has a bounded part of the time; None reads all, as a replay does, which can
    take the time that it needs.
    """

    def __init__(
        self,
        sensor: str,
        *,
        repeatable: bool = False,
        timeouts: Timeouts | None = None,
        max_flows: int = 131_072,
        judge: SideJudge | None = None,
        shares: ReadingShares | None = None,
        one_sided: bool = False,
        tunnels: TunnelTrust | None = None,
        evidence: MarkedPackets | None = None,
    ) -> None:
        """``judge``: says which packets can't have come from whom they name. ``tunnels``: which
        prove anything when they come in a tunnel; by default none. ``one_sided``: one
        direction only is captured, so that no conversation is ever proven, and what nobody is seen
        to answer is read as well. ``evidence``: given the packets that something was concluded
        from; None: nobody wants them."""
        self._one_sided = one_sided
        self._evidence = evidence
        self._looked = False
        self._sensor = sensor
        self._repeatable = repeatable
        self._timeouts, self._shares = timeouts, shares
        self._flows = FlowTable(timeouts, max_flows=max_flows)
        self._loose: _Followed | None = None
        """Connections in tunnels that prove nothing; made when the first comes."""
        self._tunnels = tunnels or TunnelTrust()
        self._judge = judge or SideJudge()
        self._arp = ArpWatch(sensor)
        self._citing = DnsWatch(sensor), HttpWatch(sensor)
        """Their alerts rest on single packets."""
        self._watches = (
            ArpPushes(sensor),
            DhcpWatch(sensor),
            FragmentWatch(sensor),
            NeighbourWatch(sensor),
            *self._citing,
        )
        self._alerts: list[Alert] = []
        self._duplicates = Duplicates()
        self._reader = PayloadReader(shares=shares, one_sided=one_sided)
        self._packets = 0
        self._dropped = 0
        self._malformed = 0
        self._begin_us = -1
        self._sequence = 0
        self.last_us = 0
        """Time of the last packet: the clock of a replay."""
        self.counters: Counter[str] = Counter()
        """Totals: packets, dropped, malformed and malformed.KIND, other, evicted, …; ``duplicates``
        (frames captured twice) are not among ``packets``. ``payloads``: read; ``thinned``: not
        read because there was no time for all; ``unanswered``: because nobody had answered."""

    def on_packets(self, raw: RawPackets) -> RawPackets:
        """Take in a block of packets, in order of capture; the packets that count as evidence."""
        if not len(raw):
            return raw
        raw = self._duplicates.drop(raw)
        self.counters["duplicates"] = self._duplicates.frames
        packets = decode(raw)
        malformed = packets.malformed.total()
        self._packets += packets.total
        self._malformed += malformed
        self.counters["packets"] += packets.total
        self.counters["malformed"] += malformed
        self.counters["other"] += packets.other
        for kind, count in packets.malformed.items():
            self.counters[f"malformed.{kind}"] += count
        self._count_layers("unread", packets.unread)
        self._count_layers("unopened", packets.unopened)
        if not len(packets):
            return raw
        if self._begin_us < 0:
            self._begin_us = int(packets.time_us[0])
        self.last_us = int(packets.time_us[-1])
        believed = self._judge.believed(raw, packets)
        if believed is not None:
            self.counters.update(self._judge.take_counters())
            evident = np.ones(len(raw), np.bool_)
            evident[packets.index[~believed]] = False
            places = np.cumsum(evident) - 1
            raw = raw.take(np.flatnonzero(evident))
            packets = packets.take(believed)
            packets = replace(packets, index=places[packets.index])
            if not len(packets):
                return raw

        if self._repeatable and not self._looked:
            # Offline the first block tells what live the settings say.
            self._looked = True
            if _one_sided(*count_sides(packets)):
                self._one_sided = self._reader.one_sided = True
        loose, left = self._tunnels.sort(packets)
        if loose is not None or left is not None:
            packets = self._sort(packets, loose, left)

        said: Marks | None = None

        def read(answers: Answers) -> Marks:
            nonlocal said
            said = self._duplicates.unmark(packets, self._reader.look_up(packets, answers))
            return said

        self._flows.add(packets, read)
        if self._evidence is not None:
            self._evidence.add(raw, packets, said)
            self.counters["evidence.held_back"] = self._evidence.held_back
            self.counters["evidence.lost"] = self._evidence.lost
        self.counters["evicted"] = self._flows.evicted
        self.counters["out_of_window"] = self._flows.rejected
        self._alerts += self._arp.on_packets(packets)
        for watch in self._watches:
            self._alerts += watch.on_packets(packets)
        if self._evidence is not None:
            for watch in self._citing:
                self._evidence.add_told(raw, packets, watch.cited)
        self.counters["watch_evicted"] = sum(watch.evicted for watch in self._watches)
        held_back = sum(watch.alerts.held_back for watch in self._watches)
        self.counters["watch_alerts_held_back"] = held_back
        if len(self._alerts) > MAX_ALERTS:
            self.counters["alerts_lost"] += len(self._alerts) - MAX_ALERTS
            del self._alerts[MAX_ALERTS:]
        self.counters["arp_evicted"] = self._arp.evicted
        self.counters["arp_alerts_held_back"] = self._arp.held_back
        self.counters["retransmitted"] = self._duplicates.segments
        self.counters["unread"] = self._reader.content.forgotten
        self.counters["unanswered"] = self._reader.unanswered
        self.counters["payloads"] = self._reader.payloads
        self.counters["thinned"] = self._reader.thinned
        return raw

    def _sort(
        self, packets: Packets, loose: NDArray[np.bool_] | None, left: NDArray[np.bool_] | None
    ) -> Packets:
        """Follow by itself what came in tunnels that prove nothing; the others without ``left``."""
        keep = np.ones(len(packets), np.bool_)
        if left is not None:
            keep &= ~left
            self.counters["tunnel_rests"] += int(left.sum())
        if loose is not None:
            keep &= ~loose
            self.counters["unverified_tunnels"] += int(loose.sum())
            if self._loose is None:
                self._loose = _Followed(self._timeouts, self._shares)
            self._loose.add(packets.take(loose))
            self.counters["evicted_in_tunnels"] = self._loose.flows.evicted
        return packets.take(keep)

    def _count_layers(self, name: str, layers: Counter[str]) -> None:
        for layer, count in layers.items():
            key = f"{name}.{layer}"
            if key not in self.counters:
                known = sum(other.startswith(f"{name}.") for other in self.counters)
                key = key if known < MAX_LAYER_NAMES else f"{name}.others"
            self.counters[key] += count

    def take_alerts(self) -> list[Alert]:
        """What the sensor has to tell itself since the last call: conflicting ARP claims and what
        else its watches found."""
        alerts, self._alerts = self._alerts, []
        return alerts

    def take_citations(self) -> list[Citation]:
        """The packets that payloads' marks rest on, since the last call."""
        return [] if self._evidence is None else self._evidence.take()

    @property
    def open_flows(self) -> int:
        """Connections in the table just now."""
        return len(self._flows)

    def on_dropped(self, count: int) -> None:
        """Count packets that were lost before they came here."""
        self._dropped += count
        self.counters["dropped"] += count

    def open_since_us(self) -> int:
        """No connection still to come from `take_batches` starts before this."""
        since = min(self._flows.open_since_us(), self.last_us)
        return since if self._loose is None else min(since, self._loose.flows.open_since_us())

    def take_batches(self, now_us: int, *, final: bool = False) -> list[ConnectionBatch]:
        """Everything due by ``now_us``; with ``final`` also what is still open.

        ``now_us``: not after packets still to come; a replay passes `last_us` after each block.
        """
        now_us = min(max(now_us, 0), MAX_TIME_US)
        done = self._flows.advance(now_us)
        if final:
            done = np.concatenate((opaque(done), opaque(self._flows.flush()))).view(CONNECTION)
            done = done.take(stable_order(done["start_us"]))
        if self._loose is not None:
            found = self._loose.take(now_us, final=final)
            done = np.concatenate((opaque(done), opaque(found))).view(CONNECTION)
            done = done.take(stable_order(done["start_us"]))
        if self._one_sided:
            done["conversation"] = 0
        self._count_sides(done)
        if len(done) > MAX_WAITING:
            self.on_dropped(int(_packets(done[MAX_WAITING:])))
            done = done[:MAX_WAITING]
        counted = self._packets or self._dropped
        if not len(done) and not (counted and (final or now_us - self._begin_us >= COUNTS_ONLY_US)):
            return []
        begin_us = min(self._begin_us if self._begin_us >= 0 else now_us, now_us)
        batches = []
        parts = batch_parts(done) if len(done) else [(0, done)]
        for _, part in parts:
            batches.append(self._batch(begin_us, now_us, part))
            self._packets = self._dropped = self._malformed = 0  # counted once, in the first
        self._begin_us = now_us
        self.counters["connections"] += len(done)
        self.counters["batches"] += len(batches)
        return batches

    def _count_sides(self, done: NDArray[np.void]) -> None:
        tcp = done["protocol"] == TCP
        answered = (done["orig_packets"] > 0) & (done["resp_packets"] > 0)
        self.counters["two_sided"] += int((tcp & answered).sum())
        talked = (done["orig_bytes"] > 0) | (done["resp_bytes"] > 0)
        self.counters["one_sided"] += int((tcp & talked & ~answered).sum())

    @property
    def one_sided(self) -> bool:
        """Whether the capture seems to see one direction only, or is said to: of the connections in
        which something was said nearly none has packets of both ends."""
        one, both = self.counters["one_sided"], self.counters["two_sided"]
        return self._one_sided or _one_sided(one, both)

    def _batch(self, begin_us: int, end_us: int, connections: NDArray[np.void]) -> ConnectionBatch:
        self._sequence += 1
        identity = uuid.uuid4()
        if self._repeatable:
            content = hashlib.sha256(connections.tobytes()).hexdigest()
            identity = uuid.uuid5(_NAMESPACE, f"{self._sensor}/{self._sequence}/{content}")
        return ConnectionBatch(
            id=f"urn:uuid:{identity}",
            sensor=self._sensor,
            begin_us=begin_us,
            end_us=end_us,
            packets=self._packets,
            dropped=self._dropped,
            malformed=self._malformed,
            connections=np.ascontiguousarray(connections, CONNECTION),
        )


def _one_sided(one: int, both: int) -> bool:
    return one >= ONE_SIDED and both * 50 <= one


class _Followed:
    """Connections of which none is ever proven, apart from those that may be: who writes both ends
    of one must not add to what a real one has shown."""

    def __init__(self, timeouts: Timeouts | None, shares: ReadingShares | None) -> None:
        self.flows = FlowTable(timeouts, max_flows=MAX_LOOSE)
        self._reader = PayloadReader(shares=shares)
        self._repeated = Duplicates()

    def add(self, packets: Packets) -> None:
        def read(answers: Answers) -> Marks:
            return self._repeated.unmark(packets, self._reader.look_up(packets, answers))

        self.flows.add(packets, read)

    def take(self, now_us: int, *, final: bool) -> NDArray[np.void]:
        done = self.flows.advance(now_us)
        if final:
            done = np.concatenate((opaque(done), opaque(self.flows.flush()))).view(CONNECTION)
        done["conversation"] = 0
        return done


def batch_parts(table: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.void]]]:
    """(first row, rows) of each batch of a table in order of ``start_us``."""
    starts = np.ascontiguousarray(table["start_us"])
    begin = 0
    while begin < len(table):
        near = starts[begin : begin + BATCH_CONNECTIONS]
        end = begin + int(np.searchsorted(near, near[0] + BATCH_SPAN_US, side="right"))
        yield begin, table[begin:end]
        begin = end


def _packets(connections: NDArray[np.void]) -> np.int64:
    total: np.int64 = (
        connections["orig_packets"].astype(np.int64) + connections["resp_packets"]
    ).sum()
    return total
