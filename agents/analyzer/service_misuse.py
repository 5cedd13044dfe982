"""Services that are misused, by marks of `agents.sensor.payloads`: a table of marks and classes.

Some marks are an attack wherever they are found. Others are somebody's daily work elsewhere, and an
attack on a honeypot, where nobody works. Different marks of one class in one finding support each
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.familiar_masters import FamiliarMasters
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, seconds
from ontology.addresses import packed
from ontology.connection_batch import CONTENT_FLAGS
from ontology.records import INDICATORS, Address, Alert

IDLE_US = 600 * SECOND
MAX_PAIRS = 10_000
REPEATS = 0.15
"""What repeats add to a confidence at most."""
SEVERAL = 0.15
"""What a second mark of the same class adds."""
ACTIONABLE = 0.5
_FLAGS = 32
"""Place of the first flag of the content among the marks; the indicators have 32 bits."""
_VERIFIED = 128
"""In the tag of a key: what is verified is a finding of its own."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an indicator, or a flag of the content, says of a connection."""

    indicator: str
    classification: str
    words: str
    anywhere: float
    """Confidence; 0: none but at a honeypot."""
    at_honeypot: float
    by_strangers: bool = False
    """Whether it counts elsewhere only from who is no master of that controller."""

    @property
    def bit(self) -> int:
        """Of `_marks`."""
        if self.indicator in CONTENT_FLAGS:
            return 1 << _FLAGS + CONTENT_FLAGS.index(self.indicator)
        return 1 << INDICATORS.index(self.indicator)


MARKS: tuple[Mark, ...] = (
    Mark("SipScanner", "SipScan", "messages of a SIP scanner", 0.7, 0.75),
    Mark("NumberCalled", "TollFraud", "a telephone number called", 0.0, 0.6),
    Mark("TollFraud", "TollFraud", "one number called with several prefixes", 0.75, 0.8),
    Mark("BotProbe", "MalwareInstallation", "a bot's probes typed into a shell", 0.65, 0.7),
    Mark("HostLookedOver", "MalwareInstallation", "a host looked over from a shell", 0.0, 0.6),
    Mark("ProgramDropped", "MalwareInstallation", "a program brought by a shell", 0.65, 0.75),
    Mark("SmbHoleTried", "RemoteOverflow", "MS17-010 tried (EternalBlue)", 0.75, 0.8),
    Mark("ProxyAsked", "Tunnelling", "asked to pass a connection on (proxy)", 0.0, 0.6),
    Mark("OldSmbAsked", "VersionScan", "SMB 1 asked for, and nothing newer", 0.3, 0.55),
    Mark("RdpHoleTried", "RemoteOverflow", "CVE-2019-0708 tried (BlueKeep)", 0.75, 0.8),
    Mark("ProgramOnAdminShare", "RemoteShell", "a program put on ADMIN$ or C$", 0.4, 0.7),
    # Elsewhere it is whose work it is to have one.
    Mark("RootShell", "RootAccess", "a shell with all rights", 0.0, 0.75),
    Mark("ServiceCreated", "RemoteShell", "a service created from afar", 0.4, 0.7),
    *(
        Mark(name, "ControlSystemAbuse", words, anywhere, at_honeypot, by_strangers=True)
        for name, words, anywhere, at_honeypot in (
            ("ControllerAsked", "a controller asked who it is, or for its program", 0.4, 0.6),
            ("ControllerWritten", "a controller's values written", 0.4, 0.7),
            ("ControllerHalted", "a controller stopped, silenced or given a program", 0.65, 0.8),
        )
    ),
)
_KINDS = tuple(dict.fromkeys(mark.classification for mark in MARKS))
_OF_KIND = {kind: tuple(m for m in MARKS if m.classification == kind) for kind in _KINDS}
_ALL = np.uint64(sum(mark.bit for mark in MARKS))


def _marks(view: View) -> NDArray[np.uint64]:
    """(n,) indicators, and above them the flags of the content."""
    flags = view.rows["content_flags"].astype(np.uint64) << np.uint64(_FLAGS)
    return np.asarray(view.rows["indicators"].astype(np.uint64) | flags)


@dataclass(slots=True)
class _Misuse:
    finding: Finding = field(default_factory=Finding)
    marks: int = 0
    """Bits of all that was marked so far."""


class ServiceMisuse:
    """Marked connections by source, target and class."""

    def __init__(self, honeypots: Iterable[Address]) -> None:
        self._pots = np.array([packed(address) for address in honeypots], dtype="S16")
        self._found: Table[_Misuse] = Table(_Misuse, MAX_PAIRS)
        self._masters = FamiliarMasters()

    def counters(self) -> dict[str, int]:
        return {
            "service_misuse_evicted": self._found.evicted,
            "masters_evicted": self._masters.evicted,
        }

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        marks = _marks(view)
        familiar = self._masters.on_view(view, (marks & _ALL) > 0)
        if not (marks & _ALL).any():
            return []
        pots = np.isin(view.targets, self._pots)[view.target]
        alerts = []
        for number, kind in enumerate(_KINDS):
            mask = np.zeros(len(marks), np.bool_)
            for mark in _OF_KIND[kind]:
                some = (marks & np.uint64(mark.bit)) > 0
                if not mark.anywhere:
                    some &= pots
                mask |= some & (pots | ~familiar) if mark.by_strangers else some
            for rows in view.groups(mask, view.source, view.target, view.verified):
                alerts += self._look(view, reporter, rows, number, bool(pots[rows[0]]))
        return alerts

    def _look(
        self, view: View, reporter: Reporter, rows: NDArray[np.int64], number: int, pot: bool
    ) -> list[Alert]:
        kind = _KINDS[number]
        verified = bool(view.verified[rows[0]])
        key = view.pair_keys(number | _VERIFIED * verified, rows[:1])[0]
        misuse = self._found.get(key)
        if misuse.finding.count and view.first_us(rows) > misuse.finding.end_us + IDLE_US:
            self._found.drop(key)
            misuse = self._found.get(key)
        finding = misuse.finding
        finding.add(view, rows, reporter.clusters)
        misuse.marks |= int(np.bitwise_or.reduce(_marks(view)[rows]))
        if finding.verified:
            self._found.prove(key)
        if not finding.due(kind):
            return []
        seen = [m for m in _OF_KIND[kind] if misuse.marks & m.bit and (pot or m.anywhere)]
        confidence = max(mark.at_honeypot if pot else mark.anywhere for mark in seen)
        confidence += SEVERAL * (len(seen) > 1)
        if confidence >= ACTIONABLE:  # what is low stays low, however often
            confidence += REPEATS * min((finding.count - 1) / 10, 1.0)
        port = int(view.rows["dst_port"][rows[-1]])
        claim = Claim(
            classification=kind,
            explanation=(
                f"{'; '.join(mark.words for mark in seen)}: {finding.count} connections to port "
                f"{port}{' of a honeypot' if pot else ''} in {seconds(finding)}"
            ),
            confidence=min(confidence, 0.95),
            protocol=int(view.rows["protocol"][rows[-1]]),
            target_port=port,
        )
        return [reporter.alert(finding, claim)]
