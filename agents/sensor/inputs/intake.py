"""Lines of one log in, records out: what parsers saw becomes batches and alerts with stable ids."""

from __future__ import annotations

import logging
import struct
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from agents.sensor.core import batch_parts
from agents.sensor.inputs.bundles import documents
from agents.sensor.inputs.events import (
    HEADING,
    UNRELATED,
    Claim,
    LineRefused,
    Parser,
    Traces,
    clean,
    host,
    text_of,
)
from agents.sensor.inputs.foreign_alerts import told_by
from agents.sensor.inputs.host_sightings import Budget, HostSighting, make_event
from agents.sensor.inputs.logged_packets import LoggedPackets
from agents.sensor.inputs.observed_traces import observed_data
from agents.sensor.inputs.record_ids import urn
from agents.sensor.inputs.sightings import Named, Refused
from ontology.host_event import account_names
from ontology.records import (
    CONNECTION,
    MAX_TIME_US,
    Address,
    Alert,
    ConnectionBatch,
    HostEvent,
    ObservedData,
)

logger = logging.getLogger(__name__)

FromLog = ConnectionBatch | Alert | HostEvent | ObservedData
"""What lines of logs become."""
MAX_AHEAD_US = 86_400_000_000
"""A line from further in the future lies, or its clock does: it would push true ones out of every
window."""
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What a parser with a mistake in it raises; ours don't (tested), another package's may."""
REASONS = {
    "address": "without a readable address",
    "ambiguous": "with two readings of who it was",
    "bundled": "that were one too many in a line that holds several",
    "fault": "on which the parser failed",
    "flags": "without readable TCP flags",
    "future": "more than a day in the future",
    "header": "before a header that names the columns",
    "json": "that are no JSON object",
    "number": "with a number out of range",
    "overlong": "too long",
    "port": "without a readable port",
    "protocol": "of an unknown protocol",
    "report": "reports of a manager",
    "session": "of an unknown session",
    "shape": "in an unknown form",
    "state": "of an unknown connection state",
    "time": "without a readable time",
    "timezone": "in a time zone that is not the input's",
    "translated": "whose source is the decoy's own gateway: it is behind address translation,"
    " which hides who came, and nobody can be blocked",
}
"""What each reason means, behind a number of lines."""
_SOURCE = slice(16, 32)
"""Of a row (`CONNECTION`): behind start and duration."""
_NAMES = 16
"""Of one alert, of each kind."""
_TOLD = 4
_SHOWN = 160
"""Characters of an example."""
_REASONS = 32
"""Examples kept: our parsers have a dozen reasons, another package's may have more."""
_NAMESPACE = uuid.UUID("0d1ef9c6-6f0a-5a3e-9f43-3ad0a3d5c1b7")


class Intake:
    """Drives one parser. ``sensor``: bare JID of the sensor (a plain name offline)."""

    def __init__(self, parser: Parser, *, sensor: str, relays: Collection[Address] = ()) -> None:
        """``relays``: proxies of our own, which nothing in the log accuses."""
        self._relays = frozenset(host(str(relay)).packed for relay in relays)
        self.parser = parser
        self._sensor = sensor
        self._whole = bool(getattr(parser, "record_bytes", 0))
        """Records of fixed length, not lines."""
        self._bundled = 0
        self._complained = False
        self._budget = Budget()
        self.packets = LoggedPackets()
        """What alerts of the log rest on, for the evidence."""
        self.counters: Counter[str] = Counter()
        """lines, rows, relayed (connections by relays of our own, left out), claims, host_events,
        held_back (host events, too many came), traces (what visitors left), traces_left_out,
        silent (understood, nothing to say), unrelated (of another kind of log), heading, refused
        and refused.REASON."""
        self.understood = 0
        """Lines that were of this kind of log, headings apart."""
        self.examples: dict[str, str] = {}
        """Of each reason the first line that was refused for it, printable and short."""
        self.unrelated_example = ""
        self.not_understood = 0
        """Lines refused since the last one that was understood …"""
        self.last_refusal = ""
        """… and why the latest of them was."""

    def on_lines(self, lines: Sequence[bytes], mark: str, now_us: int) -> list[FromLog]:
        """Records of some lines.

        ``mark`` names this stretch of this file: ids follow from it, so that the same stretch read
        again gives the same ids.
        """
        self.parser.now_us = now_us
        rows: list[bytes] = []
        claims: list[Claim] = []
        happened: list[HostSighting] = []
        traces: list[Traces] = []
        foreign: list[Alert] = []
        refused: Counter[str] = Counter()
        silent = unrelated = headings = understood = 0
        on_line = self.parser.on_line
        self._bundled = 0
        for line in lines if self._whole else self._single(lines, refused):
            if not line:
                continue
            try:
                seen = on_line(line)
                if seen is UNRELATED:
                    unrelated += 1
                    if not self.unrelated_example:
                        self.unrelated_example = clean(text_of(line[:_SHOWN]), _SHOWN)
                    continue
                if seen is HEADING:
                    headings += 1
                    continue
                seen = tuple(seen)
            except LineRefused as e:
                refused[e.reason] += 1
                self.not_understood += 1
                self.last_refusal = e.reason
                if e.reason not in self.examples and len(self.examples) < _REASONS:
                    self.examples[e.reason] = clean(text_of(line[:_SHOWN]), _SHOWN)
                continue
            except _FAULTS as e:
                # A parser's mistake: one line of one input is lost, not the input.
                refused["fault"] += 1
                self.not_understood += 1
                self.last_refusal = "fault"
                if not self._complained:
                    self._complained = True
                    logger.exception("parser %s failed: %s", self.parser.kind, type(e).__name__)
                continue
            self.not_understood = 0
            understood += not seen or type(seen[0]) is not Refused
            silent += not seen
            for sighting in seen:
                if isinstance(sighting, bytes):
                    rows.append(sighting)
                elif isinstance(sighting, Claim):
                    claims.append(sighting)
                elif isinstance(sighting, HostSighting):
                    happened.append(sighting)
                elif isinstance(sighting, Alert):
                    foreign.append(sighting)
                elif isinstance(sighting, Refused):
                    refused[sighting.reason] += 1
                    self.examples.setdefault(sighting.reason, clean(sighting.detail, _SHOWN))
                else:
                    traces.append(sighting)
        if self._relays:
            # Completed or refused, connections would count against the relay.
            came = len(rows)
            rows = [row for row in rows if row[_SOURCE] not in self._relays]
            self.counters["relayed"] += came - len(rows)
            traces = [
                one._replace(verified=False) if one.source.packed in self._relays else one
                for one in traces
            ]
        out: list[FromLog] = []
        horizon = min(now_us + MAX_AHEAD_US, MAX_TIME_US)
        if rows:
            out += self._batches(rows, mark, horizon, refused)
        out += self._alerts(claims, mark, horizon, refused)
        self.counters["claims"] += len(foreign)
        out += told_by(foreign, sensor=self._sensor, relays=self._relays)
        out += self._host_events(happened, horizon, refused)
        counters = self.counters
        if traces:
            # What came with a row or claim of the future is left out with it.
            out += observed_data(
                (one for one in traces if one.at_us <= horizon),
                input_kind=self.parser.kind,
                sensor=self._sensor,
                mark=mark,
                counters=counters,
            )
        counters["lines"] += len(lines) + self._bundled
        counters["silent"] += silent
        counters["unrelated"] += unrelated
        counters["heading"] += headings
        self.understood += understood
        counters["refused"] += refused.total()
        for reason, count in refused.items():
            counters[f"refused.{reason}"] += count
        return out

    def _single(self, lines: Sequence[bytes], refused: Counter[str]) -> Iterator[bytes]:
        """A line for each event."""
        for line in lines:
            first = line[:1]
            several = documents(line) if first == b"{" or first == b"[" else None
            if several is None:
                yield line
                continue
            found, left_out = several
            self._bundled += len(found) + left_out - 1
            refused["bundled"] += left_out
            yield from found

    def trouble(self) -> str:
        """Why nothing came of any line so far, if that is so and there were some: it is another
        kind of log, or in a form that isn't known. One line."""
        counters = self.counters
        rejected = counters["refused"] + counters["unrelated"]
        if self.understood or not rejected:
            return ""
        if not counters["refused"]:
            return (
                f"none of {rejected} lines says anything to input {self.parser.kind}"
                f" (e.g. {self.unrelated_example!r})"
            )
        return f"none of {rejected} lines can be used: {self.refusals()}"

    def refusals(self, *, numbers: bool = True) -> str:
        """Why lines were refused, the most frequent reason first, with an example each."""
        reasons = Counter(
            {
                name.removeprefix("refused."): n
                for name, n in self.counters.items()
                if name.startswith("refused.") and n
            }
        )
        return "; ".join(
            (f"{n} " if numbers else "")
            + REASONS.get(reason, clean(reason, 40))
            + (f" (e.g. {self.examples[reason]!r})" if reason in self.examples else "")
            for reason, n in reasons.most_common(_TOLD)
        )

    def _batches(
        self, rows: list[bytes], mark: str, horizon: int, refused: Counter[str]
    ) -> Iterator[ConnectionBatch]:
        table = np.frombuffer(b"".join(rows), CONNECTION)
        # A connection is logged after its end. (Both lie below 2**58, so the sum can't overflow.)
        sane = table["start_us"] + table["duration_us"] <= horizon
        refused["future"] += int((~sane).sum())
        table = table[sane]
        table = table[np.argsort(table["start_us"], kind="stable")]
        self.counters["rows"] += len(table)
        for begin, part in batch_parts(table):
            end_us = int((part["start_us"] + part["duration_us"]).max())
            yield ConnectionBatch(
                id=urn(_NAMESPACE, f"{self._sensor}/{mark}/{begin}"),
                sensor=self._sensor,
                begin_us=int(part["start_us"][0]),
                end_us=end_us,
                # No packets were decoded here: a log's rows are not this sensor's capture.
                packets=0,
                dropped=0,
                malformed=0,
                connections=np.ascontiguousarray(part),
            )

    def _host_events(
        self, happened: list[HostSighting], horizon: int, refused: Counter[str]
    ) -> Iterator[HostEvent]:
        for seen in happened:
            if seen.at_us > horizon:
                refused["future"] += 1
            elif self._budget.admits(seen):
                self.counters["host_events"] += 1
                yield make_event(seen, self._sensor)
            else:
                self.counters["held_back"] += 1

    def _alerts(
        self, claims: list[Claim], mark: str, horizon: int, refused: Counter[str]
    ) -> Iterator[Alert]:
        groups: dict[tuple[object, ...], _Group] = {}
        for claim in claims:
            if claim.at_us > horizon:
                refused["future"] += 1
                continue
            # Bytes are hashed in C, addresses in Python.
            key = (
                claim.classification,
                claim.source.packed,
                claim.target and claim.target.packed,
                claim.target_port,
                claim.protocol,
                claim.verified,
            )
            if claim.packet is not None:
                self.packets.add(claim)
            group = groups.get(key)
            if group is None:
                groups[key] = _Group(claim)
            else:
                group.add(claim)
            self.counters["claims"] += 1
        for group in groups.values():
            best, count = group.best, group.count
            more = f" (and {count - 1} like it)" if count > 1 else ""
            target = best.target and best.target.value
            source: Address | None = best.source.value
            verified, words = best.verified, best.explanation + more
            if best.source.packed in self._relays:
                words += f"; it came by {source}, a relay of our own: who sent it is not known"
                source, verified = None, False
            kind = best.classification
            if kind in _STUFFED and count >= STUFFING and len(group.users) >= count * 9 // 10:
                kind = "CredentialStuffing"
                words += f"; {len(group.users)} accounts in {count} tries: pairs from elsewhere"
            name = (
                *(best.classification, best.source.value, target, best.target_port),
                *(best.protocol, best.verified),
            )
            yield Alert(
                id=urn(_NAMESPACE, f"{self._sensor}/{mark}/{name}"),
                classification=kind,
                source=source,
                target=target,
                target_port=best.target_port,
                protocol=best.protocol,
                begin_us=group.begin_us,
                end_us=group.end_us,
                count=count,
                confidence=best.confidence,
                verified_source=verified,
                sensor=self._sensor,
                # The analyzer that passes it on puts its own name here.
                analyzer=self._sensor,
                explanation=words,
                severity=group.severity,
                users=account_names(group.users),
                signatures=_several(one.signature for one in group.named if one.signature),
                cves=_several(name for one in group.named for name in one.cves),
                affected_services=_several(name for one in group.named for name in one.services),
                affected_systems=_several(name for one in group.named for name in one.systems),
            )


_STUFFED = frozenset(("HttpBruteForce", "MailBruteForce"))
"""Not shells: their guessers try many names, too."""
STUFFING = 8
"""Tries of one stretch from which on nearly as many accounts are no guessing of passwords."""


def _several(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))[:_NAMES]


class _Group:
    """Claims of one stretch that say the same."""

    __slots__ = ("begin_us", "best", "count", "end_us", "named", "severity", "users")

    def __init__(self, first: Claim) -> None:
        self.best = first
        self.begin_us = self.end_us = first.at_us
        self.count = 1
        self.named: dict[Named, None] = {} if first.named is None else {first.named: None}
        self.severity = first.severity
        self.users = set(first.users)

    def add(self, claim: Claim) -> None:
        if claim.confidence > self.best.confidence:
            self.best = claim
        if claim.at_us < self.begin_us:
            self.begin_us = claim.at_us
        elif claim.at_us > self.end_us:
            self.end_us = claim.at_us
        self.count += 1
        if claim.named is not None and len(self.named) < _NAMES:
            self.named[claim.named] = None
        if claim.severity is not None:
            self.severity = max(claim.severity, self.severity or 0.0)
        if claim.users:
            self.users.update(claim.users)
