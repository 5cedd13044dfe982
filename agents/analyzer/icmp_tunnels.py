"""Tunnels in ICMP echo: replies that are not what was asked.

A host returns the data of a request as they are (RFC 792, "Echo or Echo Reply Message"), one reply
for each. A tunnel has something else to say: replies of another length, or without a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.analyzer.features import ICMP, ICMPV6
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, seconds
from ontology.records import Alert

REPLIES = 20
"""Fewer carry no session; a broken stack's odd reply is one."""
BYTES = 1000
"""By which replies differ from what requests of their number would bring back."""
SHARE = 0.2
"""And that is so much of all that was sent: duplicates of a looping network are whole replies, few
among many."""
WINDOW_US = 300 * SECOND
MAX_PAIRS = 4096


@dataclass(slots=True)
class _Pair:
    finding: Finding = field(default_factory=Finding)
    requests: int = 0
    replies: int = 0
    asked: int = 0
    """Bytes of the requests' data."""
    answered: int = 0

    def excess(self) -> float:
        """Bytes that no echo explains: in replies longer than the requests on average, and in those
        beyond the number of requests. Shorter ones may be all that a narrow path let back."""
        lengths = (self.answered / self.replies - self.asked / self.requests) * self.replies
        beyond = max(self.replies - self.requests, 0) * self.answered / self.replies
        return max(lengths, beyond)


class IcmpTunnels:
    """Echo requests and replies by pair of hosts."""

    def __init__(self) -> None:
        self._pairs: Table[_Pair] = Table(_Pair, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"icmp_tunnel_evicted": self._pairs.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        table = view.rows
        first = table["dst"][:, 0] == 0xFF
        # Many answer for a group.
        group = first | ((table["ip_version"] == 4) & (table["dst"][:, 12] >= 224))
        mask = view.echo & (table["resp_packets"] > 0) & (table["orig_packets"] > 0) & ~group
        alerts = []
        for rows in view.groups(mask, view.source, view.target):
            key = view.pair_keys(0, rows[:1])[0]
            pair = self._pairs.get(key)
            if pair.finding.count and view.first_us(rows) > pair.finding.end_us + WINDOW_US:
                self._pairs.drop(key)
                pair = self._pairs.get(key)
            pair.finding.add(view, rows, reporter.clusters)
            pair.requests += int(table["orig_packets"][rows].sum())
            pair.replies += int(table["resp_packets"][rows].sum())
            pair.asked += int(table["orig_bytes"][rows].sum())
            pair.answered += int(table["resp_bytes"][rows].sum())
            excess = pair.excess()
            if pair.replies < REPLIES or excess < BYTES:
                continue
            if excess < SHARE * (pair.asked + pair.answered):
                continue
            if not pair.finding.due("Tunnelling"):
                continue
            pair.finding.verified = False
            four = int(table["ip_version"][rows[0]]) == 4
            claim = Claim(
                classification="Tunnelling",
                explanation=(
                    f"{pair.requests} echo requests with {pair.asked} bytes, {pair.replies} "
                    f"replies with {pair.answered} in {seconds(pair.finding)}: an echo returns "
                    "what it was sent"
                ),
                # 0.6 at the threshold, 0.8 from 10 kB.
                confidence=0.6 + 0.2 * min(excess / (10 * BYTES), 1.0),
                protocol=ICMP if four else ICMPV6,
            )
            alerts.append(reporter.alert(pair.finding, claim))
        return alerts
