"""Lines of one log in, records out: what parsers saw becomes batches and alerts with stable ids."""

from __future__ import annotations

import logging
import struct
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from agents.sensor.core import batch_parts
from agents.sensor.inputs.events import Claim, LineRefused, Parser
from ontology.records import CONNECTION, MAX_TIME_US, Alert, ConnectionBatch

logger = logging.getLogger(__name__)

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
_NAMESPACE = uuid.UUID("0d1ef9c6-6f0a-5a3e-9f43-3ad0a3d5c1b7")


class Intake:
    """Drives one parser. ``sensor``: bare JID of the sensor (a plain name offline)."""

    def __init__(self, parser: Parser, *, sensor: str) -> None:
        self.parser = parser
        self._sensor = sensor
        self._complained = False
        self.counters: Counter[str] = Counter()
        """lines, rows, claims, silent, refused and refused.REASON."""
        self.not_understood = 0
        """Lines refused since the last one that was understood …"""
        self.last_refusal = ""
        """… and why the latest of them was."""

    def on_lines(
        self, lines: Sequence[bytes], mark: str, now_us: int
    ) -> list[ConnectionBatch | Alert]:
        """Records of some lines.

        ``mark`` names this stretch of this file: ids follow from it, so that the same stretch read
        again gives the same ids.
        """
        self.parser.now_us = now_us
        rows: list[bytes] = []
        claims: list[Claim] = []
        refused: Counter[str] = Counter()
        silent = 0
        on_line = self.parser.on_line
        for line in lines:
            if not line:
                continue
            try:
                seen = tuple(on_line(line))
            except LineRefused as e:
                refused[e.reason] += 1
                self.not_understood += 1
                self.last_refusal = e.reason
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
            if not seen:
                silent += 1
            for sighting in seen:
                if isinstance(sighting, bytes):
                    rows.append(sighting)
                else:
                    claims.append(sighting)
        out: list[ConnectionBatch | Alert] = []
        horizon = min(now_us + MAX_AHEAD_US, MAX_TIME_US)
        if rows:
            out += self._batches(rows, mark, horizon, refused)
        out += self._alerts(claims, mark, horizon, refused)
        counters = self.counters
        counters["lines"] += len(lines)
        counters["silent"] += silent
        counters["refused"] += refused.total()
        for reason, count in refused.items():
            counters[f"refused.{reason}"] += count
        return out

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
                id=uuid.uuid5(_NAMESPACE, f"{self._sensor}/{mark}/{begin}").urn,
                sensor=self._sensor,
                begin_us=int(part["start_us"][0]),
                end_us=end_us,
                # No packets were decoded here: a log's rows are not this sensor's capture.
                packets=0,
                dropped=0,
                malformed=0,
                connections=np.ascontiguousarray(part),
            )

    def _alerts(
        self, claims: list[Claim], mark: str, horizon: int, refused: Counter[str]
    ) -> Iterator[Alert]:
        groups: dict[tuple[object, ...], list[Claim]] = {}
        for claim in claims:
            if claim.at_us > horizon:
                refused["future"] += 1
                continue
            key = (
                claim.classification,
                claim.source.value,
                claim.target and claim.target.value,
                claim.target_port,
                claim.protocol,
                claim.verified,
            )
            groups.setdefault(key, []).append(claim)
            self.counters["claims"] += 1
        for group, found in groups.items():
            best = max(found, key=lambda claim: claim.confidence)
            more = f" (and {len(found) - 1} like it)" if len(found) > 1 else ""
            yield Alert(
                id=uuid.uuid5(_NAMESPACE, f"{self._sensor}/{mark}/{group}").urn,
                classification=best.classification,
                source=best.source.value,
                target=best.target.value if best.target else None,
                target_port=best.target_port,
                protocol=best.protocol,
                begin_us=min(claim.at_us for claim in found),
                end_us=max(claim.at_us for claim in found),
                count=len(found),
                confidence=best.confidence,
                verified_source=best.verified,
                sensor=self._sensor,
                # The analyzer that passes it on puts its own name here.
                analyzer=self._sensor,
                explanation=best.explanation + more,
            )
