"""What all window detectors share: a batch seen once, bounded tables, findings that grow."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.bounded_table import (
    Table as Table,  # for plug-ins: all they need from one place
)
from agents.analyzer.clustering import FAMILY, ClusterModel
from agents.analyzer.crowds import Crowds
from agents.analyzer.first_attempts import Attempt
from agents.analyzer.hybrid_verdicts import HybridVerdicts, Verdict, weigh
from agents.analyzer.view import FEW
from agents.analyzer.view import View as View
from ontology.addresses import to_address as to_address
from ontology.records import Address, Alert

SECOND = 1_000_000
UPDATE_US = 60 * SECOND
"""A finding that still grows is reported again after this long, or when it has doubled: at most
log2(n) + one a minute alerts for n connections."""
SAMPLE = 16
"""Addresses named when there are several (`Alert.sources`)."""
MAX_COUNTED = 65_536
"""Distinct sources kept per finding; beyond, the count is a lower bound."""
CLUSTER_WEIGHT = 0.1
"""Clusters move a finding's confidence by at most this much either way: they were trained on one
small sample, so they may tip a weak finding but neither make nor silence a clear one."""

_NAMESPACE = uuid.UUID("a8f9a3f0-61b6-5d43-9a4e-0f3f4f3c2b11")


def _sample(addresses: set[bytes]) -> tuple[Address, ...]:
    chosen = sorted(addresses)[:SAMPLE]
    found = [to_address(raw) for raw in chosen]
    return tuple(sorted(found, key=lambda a: (a.version, int(a))))


@dataclass(slots=True)
class Finding:
    """The connections behind one (possible) alert, and what has been said of it so far."""

    begin_us: int = 0
    end_us: int = 0
    count: int = 0
    verified: bool = False
    """Every one of them is: a real connection vouches for none that could be forged. So detectors
    keep what is verified apart from what isn't (`View.verified`)."""
    sources: set[bytes] = field(default_factory=set)
    targets: set[bytes] = field(default_factory=set)
    histogram: NDArray[np.int64] | None = None
    nearest: dict[int, float] = field(default_factory=dict)
    """Cluster to the smallest distance seen in it."""
    least_sources: int = 0
    """How many there were when some were forgotten (`shed`)."""
    reported: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Classification to (begin of its first alert, count and end of its last)."""

    @classmethod
    def of(cls, attempt: Attempt, clusters: int) -> Finding:
        """What `add` makes of that one connection."""
        histogram = np.zeros(clusters, np.int64)
        histogram[attempt.cluster] = 1
        return cls(
            begin_us=attempt.begin_us,
            # As in `add`: a clock before 1970 does not count.
            end_us=max(attempt.end_us, 0),
            count=1,
            sources={attempt.source},
            targets={attempt.target},
            histogram=histogram,
            nearest={attempt.cluster: attempt.distance},
        )

    @property
    def source_count(self) -> int:
        """Distinct sources, at least."""
        return max(len(self.sources), self.least_sources)

    def shed(self, kept: int) -> None:
        """Forget all sources but ``kept``; how many there were stays known."""
        self.least_sources = self.source_count
        self.sources = set(sorted(self.sources)[:kept])

    @property
    def items(self) -> int:
        """Addresses held, for `Table.weigh`."""
        return len(self.sources) + len(self.targets)

    def add(self, view: View, rows: NDArray[np.int64], clusters: int) -> None:
        """Take in the connections ``rows`` of ``view``."""
        view.cite(self, rows)
        if len(rows) <= FEW:
            self._add_few(view, rows.tolist(), clusters)
            return
        self.verified = (self.verified or not self.count) and bool(view.verified[rows].all())
        begin, end = int(view.start[rows].min()), int(view.end[rows].max())
        self.begin_us = begin if self.count == 0 else min(self.begin_us, begin)
        self.end_us = max(self.end_us, end)
        self.count += len(rows)
        for known, every, own in (
            (self.sources, view.sources, view.source),
            (self.targets, view.targets, view.target),
        ):
            if len(known) < MAX_COUNTED:
                known.update(every[np.unique(own[rows])].tolist())
        if self.histogram is None:
            self.histogram = np.zeros(clusters, np.int64)
        cluster = view.assignment.cluster[rows]
        self.histogram += np.bincount(cluster, minlength=clusters)
        for index in np.unique(cluster).tolist():
            least = float(view.assignment.distance[rows][cluster == index].min())
            self.nearest[index] = min(least, self.nearest.get(index, least))

    def _add_few(self, view: View, rows: list[int], clusters: int) -> None:
        """The same, row by row."""
        self.verified = (self.verified or not self.count) and all(
            [view.proven[row] for row in rows]
        )
        begin = min([view.starts[row] for row in rows])
        self.begin_us = begin if self.count == 0 else min(self.begin_us, begin)
        self.end_us = max(self.end_us, max([view.ends[row] for row in rows]))
        self.count += len(rows)
        if len(self.sources) < MAX_COUNTED:
            self.sources.update([view.source_names[row] for row in rows])
        if len(self.targets) < MAX_COUNTED:
            self.targets.update([view.target_names[row] for row in rows])
        if self.histogram is None:
            self.histogram = np.zeros(clusters, np.int64)
        for row in rows:
            cluster, distance = view.clusters[row], view.distances[row]
            self.histogram[cluster] += 1
            if distance < self.nearest.get(cluster, np.inf):
                self.nearest[cluster] = distance

    def due(self, classification: str) -> bool:
        """True if never reported as ``classification``, doubled since, or grown for a minute."""
        last = self.reported.get(classification)
        if last is None:
            return True
        _, count, end = last
        return self.count >= 2 * count or (self.count > count and self.end_us >= end + UPDATE_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a detector says of a finding; `Reporter` makes the alert."""

    classification: str
    explanation: str
    confidence: float
    """Before the clusters have had their say."""
    protocol: int
    target_port: int | None = None
    source_known: bool = True
    """False: the sources are forged or mere reflectors, so none is named as the attacker."""


class Reporter:
    """Turns findings into alerts, with the clusters' and the network's part in confidence and
    explanation."""

    def __init__(self, model: ClusterModel, analyzer: str) -> None:
        self.crowds = Crowds(analyzer)
        """Where unverified alerts beyond their budget go."""
        self.now_us = 0
        """The latest end in this batch."""
        self.model = model
        self.clusters = len(model.labels)
        self.network = None if model.hybrid is None else HybridVerdicts(model.hybrid)
        self._analyzer = analyzer
        self._view: View | None = None
        self.sensor = ""

    def on_view(self, view: View) -> None:
        """A new batch, before any detector looks at it."""
        self._view = view
        self.now_us = int(view.end.max())
        if self.network is not None:
            self.network.on_batch()

    @property
    def analyzer(self) -> str:
        """Who says so: what stands in every alert."""
        return self._analyzer

    def alert(self, finding: Finding, claim: Claim) -> Alert:
        """The alert for ``finding``; marks it as reported. Updates keep the first alert's id."""
        sources, targets = finding.sources, finding.targets
        source = None
        if claim.source_known and len(sources) == 1:
            source = to_address(next(iter(sources)))
        target = to_address(next(iter(targets))) if len(targets) == 1 else None
        first = finding.reported.get(claim.classification)
        begin = first[0] if first else finding.begin_us
        finding.reported[claim.classification] = (begin, finding.count, finding.end_us)
        identity = f"{self._analyzer}|{claim.classification}|{source}|{target}|{begin}"
        if target is None:
            identity += f"|{claim.target_port}"
        # Nobody in particular is real when there are several sources.
        verified = finding.verified and source is not None
        if verified:
            identity += "|verified"
        # The network's verdict takes a millisecond: nothing for one of a crowd.
        asked = verified or not self.crowds.full(claim.classification, self.now_us)
        confidence, words = self._weigh(finding, claim, asked=asked)
        cluster = None if finding.histogram is None else int(finding.histogram.argmax())
        return Alert(
            id=uuid.uuid5(_NAMESPACE, identity).urn,
            classification=claim.classification,
            source=source,
            target=target,
            sources=_sample(sources) if source is None else (),
            targets=_sample(targets) if target is None else (),
            source_count=max(len(sources) if source else finding.source_count, 1),
            target_count=max(len(targets), 1),
            target_port=claim.target_port,
            protocol=claim.protocol,
            begin_us=finding.begin_us,
            end_us=finding.end_us,
            count=finding.count,
            confidence=confidence,
            verified_source=verified,
            sensor=self.sensor,
            analyzer=self._analyzer,
            explanation=f"{claim.explanation}; {words}",
            cluster_number=cluster,
            cluster_name=None if cluster is None else self.model.name_of(cluster),
            cluster_distance=None if cluster is None else round(finding.nearest[cluster], 3),
        )

    def crowd(self, claim: Claim, view: View, rows: NDArray[np.int64]) -> None:
        """Unverified connections to one target that need no alert each: they join the crowd of
        the claim's class, which is to be `Crowds.full`."""
        sources = view.sources[np.unique(view.source[rows])].tolist()
        self.crowds.note(
            claim.classification,
            to_address(view.targets[view.target[rows[0]]]),
            sources,
            begin_us=int(view.start[rows].min()),
            end_us=int(view.end[rows].max()),
            count=len(rows),
            confidence=claim.confidence,
            protocol=claim.protocol,
            sensor=self.sensor,
        )

    def _weigh(self, finding: Finding, claim: Claim, *, asked: bool) -> tuple[float, str]:
        if finding.histogram is None:
            return claim.confidence, "no cluster"
        agreement = self.model.agreement(claim.classification, finding.histogram)
        confidence = min(max(claim.confidence + CLUSTER_WEIGHT * agreement, 0.0), 0.99)
        top = int(finding.histogram.argmax())
        share = finding.histogram[top] / finding.histogram.sum()
        words = f"{share:.0%} in {self.model.describe(top, finding.nearest[top])}"
        verdict = self._verdict(finding) if asked else None
        if verdict is not None:
            words += f"; {verdict.words}"
            family = FAMILY.get(claim.classification)
            confidence = weigh(confidence, verdict, family, FAMILY.get(verdict.kind))
        return round(confidence, 3), words

    def _verdict(self, finding: Finding) -> Verdict | None:
        if self.network is None or self._view is None:
            return None
        features = self._view.cited(finding)
        return None if features is None or not len(features) else self.network.judge(features)


class Detector(Protocol):
    """A stream of batches in, alerts out; state is bounded, time comes with the connections."""

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        """Look at one batch."""
        ...

    def counters(self) -> dict[str, int]:
        """What was forgotten for want of room, by name."""
        ...


def seconds(finding: Finding) -> str:
    """How long a finding took, for explanations."""
    return f"{(finding.end_us - finding.begin_us) / SECOND:.1f} s"


def listed(values: list[int], most: int = 8) -> str:
    """``1, 2, 3 and 97 more``."""
    shown = ", ".join(str(v) for v in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
