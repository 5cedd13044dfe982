"""TCP sequence numbers sampled, and sessions forged with them (Morris 1985, Shimomura 1995).

The steps of Mitnick's attack, each seen by itself and then together: a trusted host is silenced by
unanswered SYNs, a target's initial sequence numbers are sampled by half-open connections at a
steady pace, and a remote shell is opened at the target in the trusted host's name, blindly.

What the target does cannot tell the forged session from a real one (the handshake completes, the
shell answers), so `SpoofedLogin` rests on what happened around it, names nobody as source and is
never verified; the trusted host stands in ``sources`` as the name that was used.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ACK, RST, SYN, TCP
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
from ontology.records import INDICATORS, Alert

SAMPLES = 6
"""Half-open connections to one port, none completed: nmap's ``-O`` sends six (SEQ probes), Mitnick
sent twenty. A SYN scan asks an open port once or twice."""
GAP_US = (20_000, 2_500_000)
"""Pause between two samples, microseconds. Shorter is a flood; load balancers that check a service
by half-open connections do so every five seconds or more."""
STEADY = 0.5
"""Standard deviation of the pauses over their mean: a program's pace. Users' is near 1."""
SCANNED, SCAN_US = 2, 10 * SECOND
"""Who asks more ports of the target at the same time scans it, and left the open ones half open."""
SHELLS = (512, 513, 514)
"""rexec, rlogin, rsh: trust by address (RFC 1282; rsh(1)). 514/tcp is also syslog's."""
SILENCING = 20
"""Unanswered SYNs to one host: Mitnick sent 30, more than the backlog of his time (8)."""
MEMORY_US = 600 * SECOND
"""How long after the sampling or silencing a session counts as part of the same attack."""
MAX_PAIRS = 10_000
MAX_HOSTS = 10_000
MAX_TIMES = 64
TRUST_CHANGE = np.uint32(1 << INDICATORS.index("TrustChange"))


@dataclass(slots=True)
class _Sampling:
    finding: Finding = field(default_factory=Finding)
    times: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_TIMES))


@dataclass(slots=True)
class _Silenced:
    times: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_TIMES))
    """(time, unanswered SYNs)."""


@dataclass(slots=True)
class _Sampled:
    """Who sampled a target last, and when."""

    sampler: bytes = b""
    when: int = 0


@dataclass(slots=True)
class _Login:
    finding: Finding = field(default_factory=Finding)
    reasons: dict[str, str] = field(default_factory=dict)


class SequencePrediction:
    """Sampling of sequence numbers, and logins forged after it."""

    def __init__(self) -> None:
        self._sampling: Table[_Sampling] = Table(_Sampling, MAX_PAIRS)
        self._asked: Table[dict[int, int]] = Table(dict, MAX_PAIRS)
        """Ports that a source asked a target in vain, and when: a scanner is no sampler."""
        self._sampled: Table[_Sampled] = Table(_Sampled, MAX_HOSTS)
        self._silenced: Table[_Silenced] = Table(_Silenced, MAX_HOSTS, contents=200_000)
        self._logins: Table[_Login] = Table(_Login, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        tables = (self._asked, self._sampling, self._sampled, self._silenced, self._logins)
        return {"sequence_evicted": sum(table.evicted for table in tables)}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        half_open = (
            view.tcp
            & (rows["orig_flags"] & (SYN | RST | ACK) == SYN | RST)
            & (rows["resp_flags"] & (SYN | ACK) == SYN | ACK)
            & (rows["orig_bytes"] == 0)
        )
        alerts: list[Alert] = []
        if half_open.any():
            samplers = np.zeros(len(view.sources), bool)
            samplers[view.source[half_open]] = True
            mask = view.unanswered_syn & samplers[view.source]
            for group in view.groups(mask, view.source, view.target):
                self._ask(view, group)
        for group in view.groups(half_open, view.source, view.target, rows["dst_port"]):
            alerts += self._sample(view, reporter, group)
        shell = view.tcp & np.isin(rows["dst_port"], SHELLS)
        # A whole flood adds up to one entry per host.
        for group in view.groups(view.unanswered_syn & (rows["resp_packets"] == 0), view.target):
            self._silence(view, group)
        opened = shell & (view.completed | ((rows["indicators"] & TRUST_CHANGE) > 0))
        for group in view.groups(opened, view.source, view.target):
            alerts += self._login(view, reporter, group)
        return alerts

    def _ask(self, view: View, rows: NDArray[np.int64]) -> None:
        key = view.sources[view.source[rows[0]]], view.targets[view.target[rows[0]]]
        asked = self._asked.get(key)
        ports, times = view.rows["dst_port"][rows].tolist(), view.end[rows].tolist()
        for port, when in zip(ports[-MAX_TIMES:], times[-MAX_TIMES:], strict=True):
            asked.pop(port, None)
            asked[port] = when
            if len(asked) > MAX_TIMES:
                asked.pop(next(iter(asked)))
        self._asked.weigh(key, len(asked))

    def _sample(self, view: View, reporter: Reporter, rows: NDArray[np.int64]) -> list[Alert]:
        sampler, target = view.sources[view.source[rows[0]]], view.targets[view.target[rows[0]]]
        port = int(view.rows["dst_port"][rows[0]])
        begin = int(view.start[rows].min())
        asked = self._asked.get((sampler, target))
        if sum(when >= begin - SCAN_US for when in asked.values()) > SCANNED:
            return []
        key = (sampler, target, port)
        track = self._sampling.get(key)
        for row in rows[np.argsort(view.start[rows], kind="stable")].tolist():
            when = int(view.start[row])
            # A pause out of range begins the count anew: only a steady run is sampling.
            if track.times and not GAP_US[0] <= when - track.times[-1] <= GAP_US[1]:
                track.times.clear()
                if when > track.finding.end_us + MEMORY_US:
                    track.finding = Finding()
            track.times.append(when)
            track.finding.add(view, np.array([row]), reporter.clusters)
        self._sampling.weigh(key, len(track.times))
        if len(track.times) < SAMPLES:
            return []
        finding = track.finding
        seen = self._sampled.get(target)
        seen.sampler, seen.when = sampler, finding.end_us
        gaps = np.diff(np.array(track.times))
        steady = float(gaps.std() / gaps.mean())
        if not finding.due("SequencePrediction"):
            return []
        more = min((len(track.times) - SAMPLES) / (2 * SAMPLES), 1.0)
        claim = Claim(
            classification="SequencePrediction",
            explanation=(
                f"{len(track.times)} half-open connections to port {port}, one every "
                f"{gaps.mean() / SECOND:.2f} s (spread {steady:.0%}), each reset: the initial "
                "sequence numbers are sampled (nmap -O does so, too)"
            ),
            confidence=(0.5 + 0.3 * more) if steady <= STEADY else 0.35,
            protocol=TCP,
            target_port=port,
        )
        return [reporter.alert(finding, claim)]

    def _silence(self, view: View, rows: NDArray[np.int64]) -> None:
        host = view.targets[view.target[rows[0]]]
        track = self._silenced.get(host)
        track.times.append((int(view.end[rows].max()), int(view.packets[rows].sum())))
        self._silenced.weigh(host, len(track.times))

    def _silent(self, host: bytes, now: int) -> int:
        """Unanswered SYNs to the host before ``now``."""
        if host not in self._silenced:
            return 0
        times = self._silenced.get(host).times
        return sum(count for when, count in times if now - MEMORY_US <= when <= now)

    def _login(self, view: View, reporter: Reporter, rows: NDArray[np.int64]) -> list[Alert]:
        name, target = view.sources[view.source[rows[0]]], view.targets[view.target[rows[0]]]
        begin = int(view.start[rows].min())
        reasons = self._circumstances(view, rows, name, target, begin)
        key = (name, target)
        if not reasons and key not in self._logins:
            return []
        login = self._logins.get(key)
        if login.finding.count and begin > login.finding.end_us + MEMORY_US:
            self._logins.drop(key)
            if not reasons:
                return []
            login = self._logins.get(key)
        finding = login.finding
        # A session comes in several reports; only one of them may hold the command.
        login.reasons |= reasons
        finding.add(view, rows, reporter.clusters)
        finding.verified = False
        self._logins.weigh(key, finding.items)
        if not finding.due("SpoofedLogin"):
            return []
        port = int(view.rows["dst_port"][rows[-1]])
        claim = Claim(
            classification="SpoofedLogin",
            explanation=(
                f"remote shell on port {port} in the name of {to_address(name)}: "
                + "; ".join(login.reasons.values())
                + f" ({finding.count} records in {seconds(finding)})"
            ),
            # One circumstance may be chance (or, with a mark, a careless administrator).
            confidence=(0.4, 0.7, 0.9)[len(login.reasons) - 1],
            protocol=TCP,
            target_port=port,
            source_known=False,
        )
        return [reporter.alert(finding, claim)]

    def _circumstances(
        self,
        view: View,
        rows: NDArray[np.int64],
        name: bytes,
        target: bytes,
        begin: int,
    ) -> dict[str, str]:
        """What speaks against a shell in the name of ``name``."""
        reasons = {}
        if target in self._sampled:
            seen = self._sampled.get(target)
            if abs(begin - seen.when) <= MEMORY_US and seen.sampler != name:
                reasons["sampled"] = (
                    f"its sequence numbers were sampled by {to_address(seen.sampler)}"
                )
        silent = self._silent(name, begin + SECOND)
        if silent >= SILENCING:
            reasons["silenced"] = f"{to_address(name)} was silenced by {silent} unanswered SYNs"
        if ((view.rows["indicators"][rows] & TRUST_CHANGE) > 0).any():
            reasons["trust"] = "the command makes the host trust everybody (.rhosts)"
        return reasons
