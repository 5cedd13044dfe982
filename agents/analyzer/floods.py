"""Floods of one host, and reflected (amplified) traffic.

Rates are packets in the last `WINDOW_S` seconds of the packets' own time. A flood's source is named
only when a single one stands behind it; even then it is never verified, since no flood packet needs
an answer to arrive at its sender.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ACK, FIN, ICMP, RST, SYN, TCP, UDP
from agents.analyzer.findings import (
    SECOND,
    Claim,
    Finding,
    Reporter,
    Table,
    View,
    seconds,
    to_address,
)
from agents.analyzer.view import FEW
from ontology.records import Alert

WINDOW_S = 10
SYN_PACKETS = 100
"""Unanswered SYNs to one port in the window. A backlog (``somaxconn`` was 128 for decades) is full
then; a person's browser retrying a dead server sends a handful."""
PACKETS = 1000
"""100 packets/s of ICMP echo, bare ACK or unanswered UDP to one port: what ``ping -f`` sends at
least, and far above monitoring."""
SPREAD_PACKETS = 10_000
"""The same over all ports of a host together, where no port stands out; above a fast UDP scan."""
FLOWS = 100
"""So many flows at least, or `SINGLE_FLOW_PACKETS`: a one-way video stream is a single flow."""
SINGLE_FLOW_PACKETS = 50_000
SPOOFED_SOURCES = 50
"""From so many sources at once a flood over many ports isn't a port scan with decoys (nmap -D)."""
AMPLIFIED_PACKETS = 100
AMPLIFIED_BYTES = 50_000
"""In the window. Late answers to a busy resolver are a few a second of 100 bytes."""
AMPLIFIERS = {
    17: "QOTD",
    19: "CHARGEN",
    53: "DNS",
    111: "portmap",
    123: "NTP",
    137: "NetBIOS",
    161: "SNMP",
    389: "CLDAP",
    520: "RIP",
    1900: "SSDP",
    3702: "WS-Discovery",
    5353: "mDNS",
    11211: "memcached",
}
"""UDP services that answer at length (US-CERT alert TA14-017A; later memcached, WS-Discovery)."""
MAX_TARGETS = 4096
FLOW = 32
"""Items that an empty one counts for: twice that of others, for its seconds."""
KEPT = 8
"""Sources and ports that each target keeps when all of them hold too many."""
IDLE_US = 60 * SECOND
"""After so long a silence the next packet begins another flood."""


@dataclass(slots=True)
class Flow:
    """Traffic of one kind to one target (and port)."""

    finding: Finding = field(default_factory=Finding)
    buckets: dict[int, tuple[float, float, int]] = field(default_factory=dict)
    """Second to (packets, payload bytes, flows)."""
    packets: int = 0
    payload: int = 0
    """Bytes."""
    ports: Counter[int] = field(default_factory=Counter)
    """Flows per destination port (amplification: per source port, which is the service)."""
    per_source: Counter[bytes] = field(default_factory=Counter)

    def take(
        self, view: View, rows: NDArray[np.int64], clusters: int, port: str = "dst_port"
    ) -> None:
        self.finding.add(view, rows, clusters)
        if len(rows) <= FEW:
            self._take_few(view, rows.tolist(), view.rows[port][rows].tolist())
        else:
            self._take_many(view, rows, view.rows[port][rows].tolist())
        oldest = max(self.buckets) - WINDOW_S
        if min(self.buckets) <= oldest:
            self.buckets = {when: v for when, v in self.buckets.items() if when > oldest}

    def _take_few(self, view: View, rows: list[int], ports: list[int]) -> None:
        room = len(self.per_source) < MAX_TARGETS
        for row in rows:
            packets, size = view.sent[row]
            end = view.ends[row]
            self.packets += packets
            self.payload += size
            # A long flow's packets count as far as they can lie in one window.
            share = min(1.0, WINDOW_S * SECOND / max(end - view.starts[row], 1))
            had = self.buckets.get(end // SECOND, (0.0, 0.0, 0))
            now = (had[0] + packets * share, had[1] + size * share, had[2] + 1)
            self.buckets[end // SECOND] = now
            if room:
                self.per_source[view.source_names[row]] += packets
        if len(self.ports) < MAX_TARGETS:
            for number in ports:
                self.ports[number] += 1

    def _take_many(self, view: View, rows: NDArray[np.int64], ports: list[int]) -> None:
        """The same with numpy."""
        packets, size = view.packets[rows], view.rows["orig_bytes"][rows].astype(np.int64)
        self.packets += int(packets.sum())
        self.payload += int(size.sum())
        length = np.maximum(view.end[rows] - view.start[rows], 1)
        share = np.minimum(1.0, WINDOW_S * SECOND / length)
        second = view.end[rows] // SECOND
        for when in np.unique(second).tolist():
            here = second == when
            had = self.buckets.get(when, (0.0, 0.0, 0))
            self.buckets[when] = (
                had[0] + float((packets * share)[here].sum()),
                had[1] + float((size * share)[here].sum()),
                had[2] + int(here.sum()),
            )
        sources, where = np.unique(view.source[rows], return_inverse=True)
        if len(self.per_source) < MAX_TARGETS:
            sums = np.bincount(where.reshape(-1), packets)
            for index, total in zip(sources.tolist(), sums.tolist(), strict=True):
                self.per_source[view.sources[index]] += int(total)
        if len(self.ports) < MAX_TARGETS:
            self.ports.update(ports)

    @property
    def items(self) -> int:
        """What it holds, for `Table.weigh`."""
        return self.finding.items + len(self.per_source) + len(self.ports)

    def shed(self) -> int:
        """Keep the busiest sources and ports only; returns the items left."""
        self.finding.shed(KEPT)
        self.per_source = Counter(dict(self.per_source.most_common(KEPT)))
        self.ports = Counter(dict(self.ports.most_common(KEPT)))
        return self.items

    def rate(self) -> tuple[float, float, int]:
        """(packets, payload bytes, flows) in the last `WINDOW_S` seconds."""
        packets, size, flows = 0.0, 0.0, 0
        for p, s, f in self.buckets.values():
            packets, size, flows = packets + p, size + s, flows + f
        return packets, size, flows


class Floods:
    """SYN, UDP, ICMP, ACK floods and amplification."""

    def __init__(self) -> None:
        self._flows = Table(Flow, MAX_TARGETS, entry=FLOW, shed=Flow.shed)

    def counters(self) -> dict[str, int]:
        return {"flood_evicted": self._flows.evicted, "flood_lightened": self._flows.lightened}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        one_way = rows["resp_packets"] == 0
        group = (rows["dst"][:, 0] == 0xFF) | (
            (rows["ip_version"] == 4) & (rows["dst"][:, 12] >= 224)
        )
        known = np.isin(rows["src_port"], list(AMPLIFIERS))
        # Fragments after the first have no ports.
        portless = (rows["src_port"] == 0) & (rows["dst_port"] == 0)
        reflected = view.udp & one_way & (known | portless) & (rows["orig_bytes"] > 0)
        bare_ack = (
            view.tcp
            & (rows["orig_flags"] & (SYN | RST | FIN | ACK) == ACK)
            & (rows["orig_bytes"] == 0)
            & (rows["resp_bytes"] == 0)
        )
        lonely = view.udp & one_way & ~group & ~known
        alerts = []
        for kind, protocol, mask, least in (
            ("SynFlood", TCP, view.unanswered_syn, SYN_PACKETS),
            ("UdpFlood", UDP, lonely, PACKETS),
            ("AckFlood", TCP, bare_ack, PACKETS),
        ):
            alerts += self._ports(view, reporter, kind, protocol, mask, least)
        alerts += self._echo(view, reporter)
        alerts += self._reflected(view, reporter, reflected & ~group)
        return alerts

    def _flow(self, kind: str, port: int, view: View, rows: NDArray[np.int64]) -> Flow:
        key = (kind, view.targets[view.target[rows[0]]], port)
        flow = self._flows.get(key)
        finding = flow.finding
        # As it was after its last batch: a batch adds little.
        self._flows.weigh(key, flow.items)
        if finding.count and view.first_us(rows) > finding.end_us + IDLE_US:
            self._flows.drop(key)
            flow = self._flows.get(key)
        return flow

    def _ports(
        self,
        view: View,
        reporter: Reporter,
        kind: str,
        protocol: int,
        mask: NDArray[np.bool_],
        least: int,
    ) -> list[Alert]:
        alerts = []
        for rows in view.groups(mask, view.target):
            ports = view.rows["dst_port"][rows]
            # A scan asks each port once or twice and needs no track per port here.
            asked = Counter(ports.tolist())
            often = min(4, len(rows))
            for port in sorted([port for port, count in asked.items() if count >= often]):
                own = rows[ports == port]
                flow = self._flow(kind, port, view, own)
                flow.take(view, own, reporter.clusters)
                packets, _, flows = flow.rate()
                single = kind != "SynFlood" and flows < FLOWS and packets < SINGLE_FLOW_PACKETS
                if packets >= least and not single:
                    alerts += self._report(flow, reporter, kind, protocol, packets, least, port)
            flow = self._flow(kind, -1, view, rows)
            flow.take(view, rows, reporter.clusters)
            packets, _, flows = flow.rate()
            forged = flow.finding.source_count >= SPOOFED_SOURCES
            if packets >= (PACKETS if forged else SPREAD_PACKETS) and flows >= FLOWS:
                spread = max(flow.ports.values()) * 2 < flow.finding.count
                if spread and (forged or kind != "SynFlood"):
                    alerts += self._report(flow, reporter, kind, protocol, packets, PACKETS, None)
        return alerts

    def _echo(self, view: View, reporter: Reporter) -> list[Alert]:
        alerts = []
        for rows in view.groups(view.echo, view.target):
            flow = self._flow("IcmpFlood", 0, view, rows)
            flow.take(view, rows, reporter.clusters)
            packets, _, _ = flow.rate()
            if packets >= PACKETS:
                alerts += self._report(flow, reporter, "IcmpFlood", ICMP, packets, PACKETS, None)
        return alerts

    def _report(
        self,
        flow: Flow,
        reporter: Reporter,
        kind: str,
        protocol: int,
        packets: float,
        least: int,
        port: int | None,
    ) -> list[Alert]:
        finding = flow.finding
        if not finding.due(kind):
            return []
        raw, most = flow.per_source.most_common(1)[0]
        count = finding.source_count
        total = sum(flow.per_source.values())
        # A client that tries the flooded service in vain must not hide the one that floods it.
        single = most * 10 >= total * 9
        whom = f"{count} sources" if not single else f"{to_address(raw)} (may be forged)"
        where = f" to port {port}" if port is not None else ""
        claim = Claim(
            classification=kind,
            explanation=(
                f"{packets:.0f} packets in {WINDOW_S} s{where} from {whom}; {flow.packets} packets "
                f"in {finding.count} flows in {seconds(finding)}"
            ),
            # 0.6 at the threshold, 0.9 from 16 times the threshold.
            confidence=0.6 + 0.3 * min(float(np.log2(packets / least)) / 4, 1.0),
            protocol=protocol,
            target_port=port,
            source_known=single,
        )
        if single:
            finding.sources = {raw}
        finding.verified = False
        return [reporter.alert(finding, claim)]

    def _reflected(self, view: View, reporter: Reporter, mask: NDArray[np.bool_]) -> list[Alert]:
        alerts = []
        kind = "AmplificationFlood"
        for rows in view.groups(mask, view.target):
            flow = self._flow(kind, 0, view, rows)
            flow.take(view, rows, reporter.clusters, port="src_port")
            packets, size, _ = flow.rate()
            services = [name for port, name in AMPLIFIERS.items() if flow.ports[port]]
            if packets < AMPLIFIED_PACKETS or size < AMPLIFIED_BYTES or not services:
                continue
            if not flow.finding.due(kind):
                continue
            claim = Claim(
                classification=kind,
                explanation=(
                    f"{packets:.0f} unrequested {'/'.join(services)} answers and fragments with "
                    f"{size / 1000:.0f} kB in {WINDOW_S} s from {flow.finding.source_count} "
                    f"reflectors; {flow.payload / 1000:.0f} kB in {seconds(flow.finding)}"
                ),
                confidence=0.65 + 0.25 * min(packets / (10 * AMPLIFIED_PACKETS), 1.0),
                protocol=UDP,
                source_known=False,
            )
            alerts.append(reporter.alert(flow.finding, claim))
        return alerts
