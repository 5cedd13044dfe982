"""Port scans of one host and sweeps over many.

The counting follows Zeek's scan policy (distinct ports, distinct hosts in five minutes) and the
idea of threshold random walk (Jung, Paxson, Berger, Balakrishnan 2004): a scanner's first contacts
mostly fail and a user's mostly succeed, so successes count against the suspicion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ACK, ARP, FIN, ICMP, PSH, RST, STATE, SYN, TCP, UDP, URG
from agents.analyzer.findings import Claim, Reporter, View, listed, seconds
from agents.analyzer.tracks import MAX_ITEMS, Track, Tracks, certainty
from ontology.records import INDICATORS, Alert

PORTS = 15
"""Zeek's ``port_scan_threshold``; also Snort sfPortscan's medium sensitivity."""
HOSTS = 25
"""Zeek's ``addr_scan_threshold``."""
SILENT_HOSTS = 10
"""Enough hosts when none answers. Jung 2004 needs ``log(99) / log(0.8 / 0.2)``, about 4 failures in
a row for 1 % errors; 10 leaves room for a host list that is partly out of date."""
WALK = 4
"""By so many must failures outnumber successes (the same 4 of Jung 2004)."""
STEALTH_PORTS = 5
"""FIN, NULL and Xmas first packets do not occur in ordinary traffic: five ports will do."""
PROTOCOLS = 5
"""Distinct IP protocols besides TCP, UDP and ICMP; hosts that talk two (ESP, GRE) are common."""
ACK_PACKETS = 3
"""Of one connection that ask whether a host lives; nmap repeats a ping once, masscan twice."""
PROBED_PORTS = 2
"""Ports with a version probe in the payload; one may be a health check."""
MAX_PAIRS = 10_000
MAX_FIRST_ATTEMPTS = 32_768
"""Of hosts that have no track; a forged flood pushes out its own kind."""
TRACEROUTE = (33434, 33534)
"""UDP ports that traceroute counts through (traceroute(8)); unanswered by design."""

_VERSION_PROBE = np.uint32(1 << INDICATORS.index("VersionProbe"))
_STEALTH = {
    FIN: "FinScan",
    0: "NullScan",
    FIN | PSH | URG: "XmasScan",
    FIN | ACK: "MaimonScan",
    ACK: "AckScan",
}
STEALTH_FLAGS = tuple(flags for flags in _STEALTH if flags not in (ACK, FIN | ACK))
"""Flags of first packets that no stack sends."""
# Uses of one table, besides TCP and UDP.
_STEALTH_TAG, _VERIFIED_TAG, _PROTOCOLS_TAG = 64, 128, 255
# Of the other table, besides the protocols' numbers.
_ACK_TAG = 64
# Both also end connections that began before the capture did.
_LATE = ("AckScan", "MaimonScan")
_FLAG_WORDS = {
    "FinScan": "FIN only",
    "NullScan": "no flags",
    "XmasScan": "FIN, PSH, URG",
    "MaimonScan": "FIN and ACK",
    "AckScan": "ACK only (nmap -sA and -sW send the same packets)",
}


class PortScans:
    """Many ports of one host, by way of asking."""

    def __init__(self) -> None:
        self._tracks = Tracks(MAX_PAIRS, MAX_FIRST_ATTEMPTS)

    def counters(self) -> dict[str, int]:
        return {"port_scan_evicted": self._tracks.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        alerts = self._tcp(view, reporter)
        alerts += self._stealth(view, reporter)
        alerts += self._udp(view, reporter)
        alerts += self._protocols(view, reporter)
        return alerts

    def _tcp(self, view: View, reporter: Reporter) -> list[Alert]:
        rows_ = view.rows
        probe = view.unanswered_syn | view.probe
        asking = (rows_["indicators"] & _VERSION_PROBE) > 0
        relevant = (probe | view.completed) & ~view.crowd
        light = view.unanswered_syn & ~asking & ~view.verified
        # Probes that could be forged in the name of somebody who probes a little are judged apart
        # from his; his ordinary connections speak for him.
        others = relevant & ~(view.verified & (probe | asking))
        alerts = self._ports(view, reporter, others, TCP, probe, asking, light)
        real = view.verified & (probe | asking)
        if real.any():
            probers = np.zeros(len(view.sources), np.bool_)
            probers[view.source[real]] = True
            own = relevant & view.verified & probers[view.source]
            alerts += self._ports(view, reporter, own, _VERIFIED_TAG, probe, asking, light)
        return alerts

    def _ports(
        self,
        view: View,
        reporter: Reporter,
        mask: NDArray[np.bool_],
        tag: int,
        probe: NDArray[np.bool_],
        asking: NDArray[np.bool_],
        light: NDArray[np.bool_],
    ) -> list[Alert]:
        """Probes in ``mask``, and what else there is of their sources."""
        rows_ = view.rows
        alerts = []
        for key, rows in self._tracks.pairs(view, mask, tag, failed=probe, light=light):
            track = self._tracks.open(key, view, rows, "dst_port", reporter.clusters)
            probes = rows[probe[rows]]
            known = bool(track.finding.reported)
            # Before a scan is known, ordinary connections are only counted against it.
            evidence = rows if known else probes
            if len(evidence):
                track.finding.add(view, evidence, reporter.clusters)
            now = max(track.finding.end_us, int(view.end[rows].max()))
            ports = rows_["dst_port"][rows].tolist()
            track.take(ports, probe[rows].tolist(), view.end[rows].tolist(), now)
            self._tracks.weigh(key, track)
            answered = rows_["resp_flags"][probes] & (SYN | ACK) == SYN | ACK
            dropped = rows_["orig_flags"][probes] & (RST | ACK) == RST
            track.half_open += int((answered & dropped).sum())
            track.handshakes += int(view.completed[probes].sum())
            track.refused += int((rows_["state"][probes] == STATE["REJ"]).sum())
            if len(track.source_ports) < MAX_ITEMS:
                track.source_ports.update(rows_["src_port"][probes].tolist())
            asked = rows[asking[rows]]
            track.probed.update(rows_["dst_port"][asked].tolist()[:MAX_ITEMS])
            alerts += self._judge_tcp(track, reporter)
            if len(asked) and not track.finding.count:
                track.finding.add(view, asked, reporter.clusters)
            if len(track.probed) >= (1 if track.finding.reported else PROBED_PORTS):
                alerts += self._version(track, reporter)
        return alerts

    def _judge_tcp(self, track: Track, reporter: Reporter) -> list[Alert]:
        failed, succeeded = track.tally()
        if failed < PORTS or failed - succeeded < WALK:
            return []
        # The kernel's connect() takes a new source port each time and ends open ones with ACK and
        # RST; raw SYN scanners keep one or two source ports and never send that ACK.
        # A few dropped handshakes also come from a connect() scanner in a hurry.
        few_ports = len(track.source_ports) * 4 <= len(track.tries)
        raw = few_ports or track.half_open > 2 * track.handshakes + 2
        kind = "SynScan" if raw else "ConnectScan"
        if not track.finding.due(kind):
            return []
        how = (
            f"{track.half_open} half open, {track.handshakes} empty handshakes, "
            f"{track.refused} refused, {len(track.source_ports)} source ports"
        )
        ports = sorted(int(p) for p in track.tries)
        claim = Claim(
            classification=kind,
            explanation=(
                f"{failed} TCP ports without use in {seconds(track.finding)} "
                f"({how}; {succeeded} used): {listed(ports)}"
            ),
            confidence=certainty(failed, succeeded, PORTS),
            protocol=TCP,
        )
        return [reporter.alert(track.finding, claim)]

    def _version(self, track: Track, reporter: Reporter) -> list[Alert]:
        if not track.finding.due("VersionScan"):
            return []
        claim = Claim(
            classification="VersionScan",
            explanation=(
                f"version probes on {len(track.probed)} ports ({listed(sorted(track.probed))}) "
                f"among {len(track.tries)} tried in {seconds(track.finding)}"
            ),
            confidence=0.8 if len(track.tries) >= PORTS else 0.6,
            protocol=TCP,
        )
        return [reporter.alert(track.finding, claim)]

    def _stealth(self, view: View, reporter: Reporter) -> list[Alert]:
        rows_ = view.rows
        alerts = []
        silent = (rows_["resp_flags"] & ~np.uint8(RST | ACK)) == 0
        for flags, kind in _STEALTH.items():
            mask = view.tcp & (rows_["orig_flags"] == flags) & silent & (rows_["orig_bytes"] == 0)
            mask &= ~view.verified
            if kind in _LATE:
                # A server that ends idle connections of a client that is gone.
                mask &= (rows_["src_port"] >= 1024) | (rows_["dst_port"] < 1024)
            tag = _STEALTH_TAG + flags
            for key, rows in self._tracks.pairs(view, mask, tag, failed=mask, light=mask):
                track = self._tracks.open(key, view, rows, "dst_port", reporter.clusters)
                track.finding.add(view, rows, reporter.clusters)
                ports = rows_["dst_port"][rows].tolist()
                track.take(ports, [True] * len(rows), view.end[rows].tolist(), track.finding.end_us)
                self._tracks.weigh(key, track)
                needed = PORTS if kind in _LATE else STEALTH_PORTS
                failed, _ = track.tally()
                if failed < needed or not track.finding.due(kind):
                    continue
                claim = Claim(
                    classification=kind,
                    explanation=(
                        f"first packets with {_FLAG_WORDS[kind]} to {failed} TCP ports in "
                        f"{seconds(track.finding)}: {listed(sorted(int(p) for p in track.tries))}"
                    ),
                    confidence=0.3 + certainty(failed, 0, needed) * 0.65,
                    protocol=TCP,
                )
                alerts.append(reporter.alert(track.finding, claim))
        return alerts

    def _udp(self, view: View, reporter: Reporter) -> list[Alert]:
        rows_ = view.rows
        port = rows_["dst_port"]
        trace = (port >= TRACEROUTE[0]) & (port <= TRACEROUTE[1])
        # From a service's port to high ones: answers to questions that the capture missed.
        answers = (rows_["src_port"] < 1024) & (port >= 1024)
        relevant = view.udp & ~trace & ~answers & (port > 0) & ~view.crowd
        alerts = []
        silent = rows_["resp_packets"] == 0
        for key, rows in self._tracks.pairs(view, relevant, UDP, failed=silent, light=relevant):
            track = self._tracks.open(key, view, rows, "dst_port", reporter.clusters)
            # Answered ports belong to the scan as well (DNS, SNMP found open).
            track.finding.add(view, rows, reporter.clusters)
            now = track.finding.end_us
            track.take(port[rows].tolist(), silent[rows].tolist(), view.end[rows].tolist(), now)
            self._tracks.weigh(key, track)
            failed, succeeded = track.tally()
            if failed < PORTS or failed - succeeded < WALK or not track.finding.due("UdpScan"):
                continue
            claim = Claim(
                classification="UdpScan",
                explanation=(
                    f"{failed} UDP ports without an answer, {succeeded} with one in "
                    f"{seconds(track.finding)}: {listed(sorted(int(p) for p in track.tries))}"
                ),
                confidence=certainty(failed, succeeded, PORTS),
                protocol=UDP,
            )
            alerts.append(reporter.alert(track.finding, claim))
        return alerts

    def _protocols(self, view: View, reporter: Reporter) -> list[Alert]:
        protocol = view.rows["protocol"]
        mask = ~(view.tcp | view.udp | view.icmp | view.arp)
        alerts = []
        for key, rows in self._tracks.pairs(view, mask, _PROTOCOLS_TAG, failed=mask, light=mask):
            track = self._tracks.open(key, view, rows, "protocol", reporter.clusters)
            track.finding.add(view, rows, reporter.clusters)
            numbers = protocol[rows].tolist()
            track.take(numbers, [True] * len(rows), view.end[rows].tolist(), track.finding.end_us)
            self._tracks.weigh(key, track)
            if len(track.tries) < PROTOCOLS or not track.finding.due("ProtocolScan"):
                continue
            claim = Claim(
                classification="ProtocolScan",
                explanation=(
                    f"{len(track.tries)} IP protocols in {seconds(track.finding)}: "
                    f"{listed(sorted(int(p) for p in track.tries))}"
                ),
                confidence=certainty(len(track.tries), 0, PROTOCOLS),
                protocol=int(numbers[0]),
            )
            alerts.append(reporter.alert(track.finding, claim))
        return alerts


class Sweeps:
    """One question to many hosts."""

    def __init__(self) -> None:
        self._tracks = Tracks(MAX_PAIRS, MAX_FIRST_ATTEMPTS)

    def counters(self) -> dict[str, int]:
        return {"sweep_evicted": self._tracks.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        unanswered = rows["resp_packets"] == 0
        port = rows["dst_port"]
        nowhere = np.zeros(len(rows), np.int64)
        alerts = self._sweep(view, reporter, "IcmpSweep", ICMP, view.echo, unanswered, nowhere)
        # Any two-way packet shows that the host lives; only use of the port is a success of TCP.
        failed = ~view.completed
        alerts += self._sweep(
            view, reporter, "TcpSweep", TCP, view.syn & view.initiated & ~view.crowd, failed, port
        )
        alerts += self._ack_pings(view, reporter)
        alerts += self._sweep(view, reporter, "UdpSweep", UDP, self._asked(view), unanswered, port)
        alerts += self._sweep(view, reporter, "ArpSweep", ARP, view.arp, unanswered, nowhere)
        return alerts

    def _ack_pings(self, view: View, reporter: Reporter) -> list[Alert]:
        """Lone ACKs to one port of many hosts: who lives answers RST, whatever runs there.

        Keep-alives of connections that the capture never saw begin look alike one by one, but each
        comes from a port of its own; who makes packets by hand uses few.
        """
        table = view.rows
        mask = (
            view.tcp
            & (table["orig_flags"] == ACK)
            & (table["resp_flags"] & ~np.uint8(RST) == 0)
            & (table["orig_bytes"] == 0)
            & (table["orig_packets"] <= ACK_PACKETS)
            & ~((table["src_port"] < 1024) & (table["dst_port"] >= 1024))
            & ~view.verified
        )
        alerts = []
        port = table["dst_port"]
        for key, rows in self._tracks.ports(view, mask, _ACK_TAG, port, failed=mask, light=mask):
            track = self._tracks.open(key, view, rows, "target", reporter.clusters)
            track.finding.add(view, rows, reporter.clusters)
            hosts = view.targets[view.target[rows]].tolist()
            track.take(hosts, [True] * len(rows), view.end[rows].tolist(), track.finding.end_us)
            if len(track.source_ports) < MAX_ITEMS:
                track.source_ports.update(table["src_port"][rows].tolist())
            self._tracks.weigh(key, track)
            asked, _ = track.tally()
            made = len(track.source_ports) * 4 <= asked
            if asked < SILENT_HOSTS or not made or not track.finding.due("TcpSweep"):
                continue
            number = int(port[rows[0]])
            claim = Claim(
                classification="TcpSweep",
                explanation=(
                    f"ACKs that belong to no connection to port {number} of {asked} hosts in "
                    f"{seconds(track.finding)}, from {len(track.source_ports)} source ports"
                ),
                confidence=certainty(asked, 0, SILENT_HOSTS),
                protocol=TCP,
                target_port=number,
            )
            alerts.append(reporter.alert(track.finding, claim))
        return alerts

    @staticmethod
    def _asked(view: View) -> NDArray[np.bool_]:
        first = view.rows["dst"][:, 0] == 0xFF  # IPv6 multicast
        last4 = view.rows["dst"][:, 12]
        group = (view.rows["ip_version"] == 4) & (last4 >= 224)  # multicast and broadcast
        answers = (view.rows["src_port"] < 1024) & (view.rows["dst_port"] >= 1024)
        mask: NDArray[np.bool_] = view.udp & ~first & ~group & ~answers & ~view.crowd
        return mask

    def _sweep(
        self,
        view: View,
        reporter: Reporter,
        kind: str,
        protocol: int,
        mask: NDArray[np.bool_],
        failed_mask: NDArray[np.bool_],
        port: NDArray[np.integer],
    ) -> list[Alert]:
        alerts = []
        for key, rows in self._tracks.ports(
            view, mask, protocol, port, failed=failed_mask, light=~view.verified
        ):
            number = int(port[rows[0]])
            track = self._tracks.open(key, view, rows, "target", reporter.clusters)
            track.finding.add(view, rows, reporter.clusters)
            hosts = view.targets[view.target[rows]].tolist()
            bad = failed_mask[rows].tolist()
            track.take(hosts, bad, view.end[rows].tolist(), track.finding.end_us)
            self._tracks.weigh(key, track)
            failed, succeeded = track.tally()
            silent = failed >= SILENT_HOSTS and failed - succeeded >= WALK
            # Pinging many hosts that answer is still a sweep; using a service of many is not.
            many = kind == "IcmpSweep" and failed + succeeded >= HOSTS
            if not (silent or many) or not track.finding.due(kind):
                continue
            where = f" on port {number}" if protocol in (TCP, UDP) else ""
            # ARP looks the same as a gateway that looks for the hosts of somebody else's sweep.
            sure = 0.45 if kind == "ArpSweep" else certainty(failed, succeeded, SILENT_HOSTS)
            claim = Claim(
                classification=kind,
                explanation=(
                    f"{failed + succeeded} hosts asked{where} in {seconds(track.finding)}, "
                    f"{failed} of them in vain"
                ),
                confidence=sure,
                protocol=protocol,
                target_port=number if protocol in (TCP, UDP) else None,
            )
            alerts.append(reporter.alert(track.finding, claim))
        return alerts
