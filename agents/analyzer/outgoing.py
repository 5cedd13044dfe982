"""Attacks by own hosts: alerts of them get a class that says that the host may be compromised.

An alert whose source is a honeypot or a protected host says that the host may be compromised. It
gets a class under ``OutgoingAttack``: rules that block outsiders ask for ``Scan``, ``BruteForce``,
``Exploit``, … and don't apply, and the reaction agents refuse own addresses in any case
(`agents.reaction.policy`). A honeypot that opens any connection at all has something to explain:
nobody works there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from agents.analyzer.features import ARP, UDP
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, listed, seconds
from ontology.addresses import packed
from ontology.records import Address, Alert
from ontology.taxonomy import superclasses

IDLE_US = 600 * SECOND
MAX_HOSTS = 4096
MAX_PORTS = 1024
SERVICES = (53, 67, 68, 123, 137, 138, 546, 547, 1900, 5353)
"""UDP ports that a system asks by itself: names, time, leases, discovery."""
_CLASSES = {
    "Scan": "OutgoingScan",
    "DenialOfService": "OutgoingFlood",
    "BruteForce": "OutgoingBruteForce",
    "Exploit": "OutgoingExploit",
    "MalwareContact": "OutgoingBeacon",
    "Tunnelling": "OutgoingTunnel",
    "MalwareInstallation": "OutgoingExploit",
    "Spoofing": "OutgoingAttack",
}
"""By the class that `superclasses` names, or the class itself. A visit to a honeypot stays what it
is: whoever looks after it comes from an own host."""


def outgoing_class(classification: str) -> str | None:
    """The class under ``OutgoingAttack`` for an attack by an own host; None: it stays as it is."""
    for name in (classification, *superclasses(classification)):
        if name in _CLASSES:
            return _CLASSES[name]
    return None


@dataclass(slots=True)
class _Contact:
    finding: Finding = field(default_factory=Finding)
    ports: set[int] = field(default_factory=set)


class Outgoing:
    """Connections that a honeypot opens."""

    def __init__(self, honeypots: Iterable[Address]) -> None:
        self._raw = np.array([packed(address) for address in honeypots], dtype="S16")
        self._contacts: Table[_Contact] = Table(_Contact, MAX_HOSTS)

    def counters(self) -> dict[str, int]:
        return {"outgoing_evicted": self._contacts.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        if not len(self._raw):
            return []
        rows = view.rows
        own = np.isin(view.sources, self._raw)[view.source]
        last4 = rows["dst"][:, 12]
        group = (rows["dst"][:, 0] == 0xFF) | ((rows["ip_version"] == 4) & (last4 >= 224))
        housekeeping = group | (view.udp & np.isin(rows["dst_port"], SERVICES))
        # Only what it began: a SYN, a question, an echo. Answers to what the capture missed are
        # left out, as are packets between honeypots' services and their clients.
        began = view.syn | view.echo | (view.udp & (rows["src_port"] >= 1024))
        mask = own & began & view.initiated & ~housekeeping & (rows["protocol"] != ARP)
        alerts = []
        for group_rows in view.groups(mask, view.source, view.verified):
            first = group_rows[0]
            key = view.sources[view.source[first]], bool(view.verified[first])
            contact = self._contacts.get(key)
            begin = int(view.start[group_rows].min())
            if contact.finding.count and begin > contact.finding.end_us + IDLE_US:
                self._contacts.drop(key)
                contact = self._contacts.get(key)
            finding = contact.finding
            finding.add(view, group_rows, reporter.clusters)
            if len(contact.ports) < MAX_PORTS:
                contact.ports.update(rows["dst_port"][group_rows].tolist())
            self._contacts.weigh(key, finding.items + len(contact.ports))
            if not finding.due("OutgoingContact"):
                continue
            ports = sorted(contact.ports)
            protocol = int(rows["protocol"][group_rows[-1]])
            what = "UDP" if protocol == UDP else "TCP and others"
            claim = Claim(
                classification="OutgoingContact",
                explanation=(
                    f"a honeypot opened {finding.count} connections to {len(finding.targets)} "
                    f"hosts ({what}, ports {listed(ports)}) in {seconds(finding)}: nobody works "
                    "there, it may be compromised"
                ),
                # An update of its system looks the same.
                confidence=0.5 if finding.verified else 0.4,
                protocol=protocol,
                target_port=ports[0] if len(ports) == 1 else None,
            )
            alerts.append(reporter.alert(finding, claim))
        return alerts


class OwnHosts:
    """Whose alert it is: the last look at what all detectors found."""

    def __init__(self, honeypots: Iterable[Address], protected: Iterable[Address] = ()) -> None:
        self._pots = frozenset(honeypots)
        self._own = self._pots | frozenset(protected)
        self.renamed = 0
        """Alerts about own hosts so far."""

    def judge(self, alert: Alert) -> Alert:
        """The alert, renamed if an own host is its source."""
        if alert.source not in self._own:
            return alert
        kind = outgoing_class(alert.classification)
        if kind is None or kind == alert.classification:
            return alert
        self.renamed += 1
        what = "honeypot" if alert.source in self._pots else "host"
        return replace(
            alert,
            classification=kind,
            explanation=(
                f"own {what} {alert.source} is the source of {alert.classification} "
                f"(compromised, or its address is forged): {alert.explanation}"
            ),
        )
