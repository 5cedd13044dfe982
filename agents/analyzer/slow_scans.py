"""Scans too slow for the five-minute windows of `agents.analyzer.scans`: one probe now and then.

Per source and host the distinct ports, per source and port (or ping) the distinct hosts, each with
the time it was last tried and whether that went nowhere, for a day. A new source begins as a first
attempt, has an entry in a table of its own when it comes back, and moves to the lasting table when
it has failed at `KNOWN` different things: sources that try once (a forged flood has millions) can't
push out a scanner that comes back for the tenth time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer import scans
from agents.analyzer.features import ACK, ICMP, RST, TCP, UDP
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, listed
from agents.analyzer.first_attempts import Attempt, FirstAttempts
from agents.analyzer.tracks import WINDOW_US as FAST_US
from ontology.records import Alert

WINDOW_US = 24 * 3600 * SECOND
"""A day: ``nmap -T0`` asks every 5 minutes, 100 ports take it 8 hours."""
PORTS = 12
"""Distinct ports of one host that failed. A client with an outdated configuration tries the ports
of its few services; twelve different ones in a day is nobody's configuration."""
HOSTS = 20
"""Distinct hosts that failed on one port. More than `PORTS`: a browser meets dead web servers, a
mail server dead domains, all on one port; therefore also `RATIO`."""
RATIO = 4
"""Failed must be at least so many times the succeeded: Jung 2004 has users succeed four of five
times and scanners fail four of five."""
SPAN_US = 600 * SECOND
"""Evidence spread over less is the fast detector's business."""
KNOWN = 3
MAX_FIRST_ATTEMPTS = 50_000
MAX_NEW = 20_000
MAX_KNOWN = 10_000
MAX_ITEMS = 512
"""Ports or hosts per entry; beyond, the count is a lower bound."""
_VERIFIED_TAG = 128
"""Of keys, beside the protocols' numbers."""


@dataclass(slots=True)
class _Slow:
    finding: Finding = field(default_factory=Finding)
    """Empty until the source has come back."""
    begin_us: int = 0
    tries: dict[int | bytes, tuple[int, bool]] = field(default_factory=dict)
    """Port or host to (last time, failed)."""
    fast: bool = False
    """It once was fast enough for the five-minute windows, and reported there."""

    @classmethod
    def begun(cls, attempt: Attempt, vertical: bool) -> _Slow:
        """The entry of who has tried once."""
        item = attempt.dst_port if vertical else attempt.target
        return cls(begin_us=attempt.end_us, tries={item: (attempt.end_us, True)})

    def take(self, tries: list[tuple[int | bytes, int, bool]], now: int) -> None:
        """Note (port or host, time, failed); begun anew after a day without any."""
        oldest = now - WINDOW_US
        stale = [item for item, (when, _) in self.tries.items() if when < oldest]
        for item in stale:
            del self.tries[item]
        if not self.tries:
            self.begin_us, self.fast, self.finding = tries[0][1], False, Finding()
        for item, when, bad in tries:
            if item in self.tries or len(self.tries) < MAX_ITEMS:
                # What once answered stays answered.
                self.tries[item] = (when, bad and self.tries.get(item, (0, True))[1])

    def tally(self) -> tuple[int, int]:
        """(failed, succeeded)."""
        failed = sum(bad for _, bad in self.tries.values())
        return failed, len(self.tries) - failed

    def recent(self, now: int) -> int:
        """Failed within the fast detector's window."""
        oldest = now - FAST_US
        return sum(bad and when >= oldest for when, bad in self.tries.values())


class SlowScans:
    """Ports of a host, and hosts with a port, over a day."""

    def __init__(self) -> None:
        self._attempts = FirstAttempts(MAX_FIRST_ATTEMPTS)
        self._new: Table[_Slow] = Table(_Slow, MAX_NEW)
        self._known: Table[_Slow] = Table(_Slow, MAX_KNOWN)

    def counters(self) -> dict[str, int]:
        return {
            "slow_scan_evicted": self._known.evicted,
            "slow_scan_new_evicted": self._new.evicted + self._attempts.evicted,
        }

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        port = rows["dst_port"].astype(np.int64)
        tcp_failed = (view.unanswered_syn | view.probe | self._stealth(view)) & ~view.crowd
        # From a service's port to high ones: answers to questions that the capture missed.
        answers = (rows["src_port"] < 1024) & (port >= 1024)
        trace = (port >= scans.TRACEROUTE[0]) & (port <= scans.TRACEROUTE[1])
        last4 = rows["dst"][:, 12]
        group = (rows["dst"][:, 0] == 0xFF) | ((rows["ip_version"] == 4) & (last4 >= 224))
        asked = view.udp & ~answers & ~trace & ~group & (port > 0) & ~view.crowd
        udp_failed = asked & (rows["resp_packets"] == 0)
        alerts: list[Alert] = []
        used = view.completed & ~view.probe
        real = view.verified
        pinged = view.echo & ~group
        silent = pinged & (rows["resp_packets"] == 0)
        both = (True, False)
        for protocol, tag, failed, good, ways in (
            (TCP, TCP, tcp_failed & ~real, used, both),
            # Probes that can't be forged make a finding of their own.
            (TCP, _VERIFIED_TAG, tcp_failed & real, used & real, both),
            (UDP, UDP, udp_failed, asked & ~udp_failed, both),
            # The monitor of a network pings all day as well, but most of its hosts answer.
            (ICMP, ICMP, silent, pinged & ~silent, (False,)),
        ):
            for vertical in ways:
                alerts += self._look(view, reporter, protocol, tag, failed, good, vertical)
        return alerts

    @staticmethod
    def _stealth(view: View) -> NDArray[np.bool_]:
        """First packets that no stack sends: FIN, none, Xmas."""
        rows = view.rows
        out: NDArray[np.bool_] = (
            view.tcp
            & np.isin(rows["orig_flags"], scans.STEALTH_FLAGS)
            & (rows["resp_flags"] & ~np.uint8(RST | ACK) == 0)
            & (rows["orig_bytes"] == 0)
            & (rows["orig_packets"] <= 2)
        )
        return out

    def _look(
        self,
        view: View,
        reporter: Reporter,
        protocol: int,
        tag: int,
        failed: NDArray[np.bool_],
        good: NDArray[np.bool_],
        vertical: bool,
    ) -> list[Alert]:
        port = view.rows["dst_port"]
        names = view.target_names
        ports = port.tolist()
        ends, bad = view.ends, failed.tolist()
        items: list[int] | list[bytes] = ports if vertical else names
        alerts = []
        for key, group in self._groups(view, tag, failed, good, vertical):
            rows = group.tolist()
            place = names[rows[0]] if vertical else ports[rows[0]]
            known = key in self._known
            attempt = self._attempts.pop(key)
            if attempt is not None:
                self._new.put(key, _Slow.begun(attempt, vertical))
            # Ordinary use alone begins no entry: clients outnumber scanners by far.
            elif not known and key not in self._new and not any(bad[row] for row in rows):
                continue
            track = self._known.get(key) if known else self._new.get(key)
            now = max(ends[row] for row in rows)
            track.take([(items[row], ends[row], bad[row]) for row in rows], now)
            if not known:
                if len(track.tries) < KNOWN:
                    continue
                self._new.drop(key)
                self._known.put(key, track)
            evidence = group[failed[group]]
            finding = track.finding
            if len(evidence):
                finding.add(view, evidence, reporter.clusters)
                finding.begin_us = min(finding.begin_us, track.begin_us)
            self._known.weigh(key, len(track.tries) + finding.items)
            if finding.verified:
                self._known.prove(key)
            if finding.count:
                alerts += self._judge(track, reporter, protocol, vertical, place)
        return alerts

    def _groups(
        self,
        view: View,
        tag: int,
        failed: NDArray[np.bool_],
        good: NDArray[np.bool_],
        vertical: bool,
    ) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
        """What needs a look, by its key; failed tries that are the first and only ones are noted.

        Successes of who never failed are passed over as well.
        """
        port = view.rows["dst_port"]
        rows, bounds = view.runs(failed | good, view.source, view.target if vertical else port)
        first = rows[bounds[:-1]]
        if vertical:
            keys = view.pair_keys(tag, first)
        else:
            keys = view.port_keys(tag, first, port)
        new, known, attempts = self._new.keys(), self._known.keys(), self._attempts.keys()
        held = np.array([key in attempts or key in new or key in known for key in keys], bool)
        alone = np.diff(bounds) == 1
        # What is noted as a first attempt could be forged.
        real = failed[first] & view.verified[first]
        for number in np.flatnonzero(held | ~alone | real).tolist():
            yield keys[number], rows[bounds[number] : bounds[number + 1]]
        fresh = np.flatnonzero(alone & ~held & failed[first] & ~real)
        if len(fresh):
            kept = [keys[n] for n in fresh.tolist()]
            self._attempts.put(kept, view.attempts(first[fresh], failed))

    def _judge(
        self,
        track: _Slow,
        reporter: Reporter,
        protocol: int,
        vertical: bool,
        place: int | bytes,
    ) -> list[Alert]:
        failed, succeeded = track.tally()
        needed = PORTS if vertical else HOSTS
        finding = track.finding
        quick = scans.PORTS if vertical else scans.SILENT_HOSTS
        track.fast = track.fast or track.recent(finding.end_us) >= quick
        if track.fast or failed < needed or failed < RATIO * succeeded:
            return []
        kind = "SlowPortScan" if vertical else "SlowSweep"
        if finding.end_us - finding.begin_us < SPAN_US or not finding.due(kind):
            return []
        # Of the tries before the source was known only this much is left.
        finding.count = max(finding.count, failed)
        if not vertical:
            finding.targets.update(item for item in track.tries if isinstance(item, bytes))
        hours = (finding.end_us - finding.begin_us) / (3600 * SECOND)
        what = "TCP" if protocol == TCP else "UDP"
        if vertical:
            ports = sorted(int(item) for item in track.tries)
            text = f"{failed} {what} ports without use ({listed(ports)})"
        elif protocol == ICMP:
            text = f"{failed} hosts pinged in vain"
        else:
            text = f"{failed} hosts asked in vain on {what} port {place!r}"
        share = min((failed - needed) / (4 * needed), 1.0)
        claim = Claim(
            classification=kind,
            explanation=(
                f"{text} in {hours:.1f} h, never {quick} in five minutes; {succeeded} succeeded"
            ),
            # Less sure than a fast scan: in a day more can happen by accident.
            confidence=0.55 + 0.3 * share,
            protocol=protocol,
            target_port=None if vertical or protocol == ICMP else int(place),
        )
        return [reporter.alert(finding, claim)]
