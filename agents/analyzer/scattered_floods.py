"""Floods over a whole network at once ("carpet bombing"), from forged sources: no host of it gets
enough to stand out.

What tells them from many scanners of that network: a scanner comes back, to the next host; a forged
source is drawn anew for each packet. One that floods under its own address asks many hosts in vain
and is found as a sweep.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ACK, FIN, ICMP, RST, SYN, TCP, UDP
from agents.analyzer.findings import Claim, Reporter, Table, View, seconds
from agents.analyzer.floods import FLOW, IDLE_US, PACKETS, SPOOFED_SOURCES, WINDOW_S, Flow
from ontology.records import Alert

HOSTS = 10
"""So many hosts of the network at least; fewer are floods of hosts."""
ONCE = 2
"""Flows per source, and packets per flow, at most: sources that are drawn at random seldom come
twice, and nothing is answered."""
NETWORK = {4: 14, 6: 6}
"""Bytes of an address in a record that name its network: a /16, an IPv6 /48, which hold the
prefixes of a site; carpet bombing goes over a /24 to a /20 of one."""
MAX_NETWORKS = 512


class ScatteredFloods:
    """SYN, UDP, ICMP and ACK floods to random hosts of a network."""

    def __init__(self) -> None:
        self._flows = Table(Flow, MAX_NETWORKS, entry=FLOW, shed=Flow.shed)

    def counters(self) -> dict[str, int]:
        return {"scattered_flood_evicted": self._flows.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        silent = rows["resp_packets"] == 0
        group = (rows["dst"][:, 0] == 0xFF) | (
            (rows["ip_version"] == 4) & (rows["dst"][:, 12] >= 224)
        )
        # From a service's port to a high one: answers to what the capture missed.
        answers = (rows["src_port"] < 1024) & (rows["dst_port"] >= 1024)
        alone = rows["orig_packets"] <= ONCE
        flags = rows["orig_flags"]
        # What the victims answer (SYN-ACK, RST, an echo) does not matter: nobody gets it.
        bare = view.tcp & alone & (rows["orig_bytes"] == 0)
        alerts = []
        for kind, protocol, mask in (
            ("SynFlood", TCP, bare & (flags & ~np.uint8(RST) == SYN)),
            ("AckFlood", TCP, bare & (flags & (SYN | RST | FIN | ACK) == ACK) & ~answers),
            ("UdpFlood", UDP, view.udp & silent & alone & ~answers),
            ("IcmpFlood", ICMP, view.echo & alone),
        ):
            # A flood of one host is told by itself.
            chosen = mask & ~group & ~view.crowd & ~view.verified
            if np.count_nonzero(chosen) >= SPOOFED_SOURCES // 10:
                alerts += self._look(view, reporter, kind, protocol, chosen)
        return alerts

    def _look(
        self, view: View, reporter: Reporter, kind: str, protocol: int, mask: NDArray[np.bool_]
    ) -> list[Alert]:
        alerts = []
        table = view.rows
        four = table["ip_version"] == 4
        for version, here in ((4, mask & four), (6, mask & ~four)):
            if not here.any():
                continue
            names = np.ascontiguousarray(table["dst"][:, : NETWORK[version]])
            networks, number = np.unique(
                names.view(f"V{NETWORK[version]}").reshape(-1), return_inverse=True
            )
            for rows in view.groups(here, number.reshape(-1)):
                network = networks[number.reshape(-1)[rows[0]]].item()
                flow = self._flow((kind, version, network), view, rows)
                flow.take(view, rows, reporter.clusters)
                alerts += self._judge(flow, reporter, kind, protocol)
        return alerts

    def _flow(self, key: tuple[str, int, bytes], view: View, rows: NDArray[np.int64]) -> Flow:
        flow = self._flows.get(key)
        self._flows.weigh(key, flow.items)
        if flow.finding.count and view.first_us(rows) > flow.finding.end_us + IDLE_US:
            self._flows.drop(key)
            flow = self._flows.get(key)
        return flow

    def _judge(self, flow: Flow, reporter: Reporter, kind: str, protocol: int) -> list[Alert]:
        packets, _, _ = flow.rate()
        finding = flow.finding
        sources, hosts = finding.source_count, len(finding.targets)
        if packets < PACKETS or sources < SPOOFED_SOURCES or hosts < HOSTS:
            return []
        if finding.count > ONCE * sources or not finding.due(kind):
            return []
        finding.verified = False
        claim = Claim(
            classification=kind,
            explanation=(
                f"{packets:.0f} packets in {WINDOW_S} s to {hosts} hosts of one network from "
                f"{sources} sources that seldom come twice (forged); {flow.packets} packets in "
                f"{finding.count} flows in {seconds(finding)}"
            ),
            confidence=0.6 + 0.3 * min(float(np.log2(packets / PACKETS)) / 4, 1.0),
            protocol=protocol,
            source_known=False,
        )
        return [reporter.alert(finding, claim)]
