"""Clusters of normal traffic follow it as it changes, but only so far (guarded mini-batch K-Means).

A network changes: a new client, longer pages. Clusters that never move would call that novel for
ever; clusters that move freely can be led, a little every hour, until an attack lies in their
middle (Kloft and Laskov 2012, Security analysis of online centroid anomaly detection, JMLR 13). So:

* only clusters named normal move, and only after connections that completed a handshake (their
  source is not forged), lie within the radius of the *trained* centre as well as the present one,
  are no sure attack to the network, and whose source has raised no alert for `QUARANTINE_US`, nor
  does before the window ends;
* a window of `WINDOW_US` moves a centre by `RATE` of the way to the mean over *sources*, each of
  which counts once however much it sends, and not at all with fewer than `SOURCES` of them. The
  centre stays a weighted mean of such means and the trained centre: what one source alone can add
  to its displacement is at most ``radius / SOURCES``, for ever;
* no centre is ever farther than `BOUND` of its radius from where training put it. This holds
  against any number of sources, and is checked again when the state is read from disk.

Pure: time comes with the connections.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from agents.analyzer.clustering import NORMAL, ClusterModel
from agents.analyzer.findings import SECOND, View
from agents.analyzer.hybrid_verdicts import HybridVerdicts
from agents.analyzer.model_file import Arrays, ModelError
from ontology.addresses import packed
from ontology.records import Alert

BOUND = 0.25
"""Of its radius: how far a centre may be from where training put it."""
RATE = 0.1
"""Of the way to a window's mean: half of a lasting change is followed in seven windows."""
SOURCES = 8
"""Distinct sources that a window needs before it moves a centre."""
MAX_SOURCES = 64
"""Sources kept per cluster and window; with `MAX_SOURCES` others a source weighs less still."""
WINDOW_US = 600 * SECOND
QUARANTINE_US = 24 * 3600 * SECOND
MAX_ACCUSED = 20_000
"""Sources that raised an alert, kept; the oldest go first, counted."""
ASKED = 256
"""Connections of a batch, at most, that the network is asked about: 0.1 ms each."""
STATE_VERSION = 1


def model_digest(model: ClusterModel) -> str:
    """Of the trained centres and radii: a drift belongs to one model."""
    parts = (model.centers, model.radius)
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in parts)).hexdigest()


@dataclass(slots=True)
class _Share:
    """What one source adds to one cluster in this window."""

    total: NDArray[np.float64]
    count: int = 0


class GuardedDrift:
    """Displacements of the centres of one trained model."""

    def __init__(self, trained: ClusterModel) -> None:
        self._trained = trained
        self._network = None if trained.hybrid is None else HybridVerdicts(trained.hybrid)
        self._digest = model_digest(trained)
        self.offsets: NDArray[np.float64] = np.zeros_like(trained.centers)
        """(k, len(FEATURES)): present minus trained centre."""
        self.revision = 0
        """Windows that moved a centre, over all restarts."""
        self._end_us = 0
        self._shares: dict[int, dict[bytes, _Share]] = {}
        self._accused: LRUCache[bytes, int] = LRUCache(MAX_ACCUSED)
        self._counts = {"drift_taken": 0, "drift_refused": 0, "drift_forgotten": 0}

    def on_view(self, view: View, alerts: Iterable[Alert], model: ClusterModel) -> bool:
        """Take in one batch, judged by ``model`` (the present centres and names).

        True if a window ended and a centre moved: use `moved` from the next batch on.
        """
        now = int(view.end.max())
        for alert in alerts:
            self._accuse(alert)
        changed = False
        if self._end_us == 0:
            self._end_us = now + WINDOW_US
        elif now >= self._end_us:
            changed = self._close(now)
            self._end_us = now + WINDOW_US
        self._collect(view, model)
        return changed

    def moved(self, model: ClusterModel) -> ClusterModel:
        """``model`` (names may differ from the trained one's) with the present centres."""
        return replace(model, centers=self._trained.centers + self.offsets)

    def _accuse(self, alert: Alert) -> None:
        until = alert.end_us + QUARANTINE_US
        for address in (alert.source, *alert.sources):
            if address is None:
                continue
            raw = packed(address)
            full = len(self._accused) == self._accused.maxsize
            self._counts["drift_forgotten"] += full and raw not in self._accused
            self._accused[raw] = max(until, self._accused.get(raw, 0))

    def _collect(self, view: View, model: ClusterModel) -> None:
        features = view.features
        if features is None:
            return
        normal = np.array([label == NORMAL for label in model.labels])
        cluster = view.assignment.cluster
        near = normal[cluster] & view.verified & ~view.assignment.novel
        rows = np.flatnonzero(near)
        if len(rows) > ASKED:
            self._counts["drift_refused"] += len(rows) - ASKED
            rows = rows[np.linspace(0, len(rows) - 1, ASKED).astype(np.int64)]
        if not len(rows):
            return
        home = self._trained.centers[cluster[rows]]
        kept = np.sqrt(((features[rows] - home) ** 2).sum(axis=1))
        inside = kept <= self._trained.radius[cluster[rows]]
        if self._network is not None:
            inside &= ~self._network.surely_attack(features[rows])
        self._counts["drift_refused"] += int((~inside).sum())
        for row in rows[inside].tolist():
            source = view.sources[view.source[row]].ljust(16, b"\0")
            self._take(int(cluster[row]), _prefix(source), source, features[row])

    def _take(self, cluster: int, key: bytes, source: bytes, features: NDArray[np.float64]) -> None:
        shares = self._shares.setdefault(cluster, {})
        share = shares.get(key)
        if share is None:
            if len(shares) >= MAX_SOURCES or source in self._accused:
                self._counts["drift_refused"] += 1
                return
            share = shares[key] = _Share(np.zeros(len(features)))
        share.total += features
        share.count += 1
        self._counts["drift_taken"] += 1

    def _close(self, now: int) -> bool:
        for raw in [raw for raw, until in self._accused.items() if until < now]:
            del self._accused[raw]
        accused = {_prefix(raw) for raw in self._accused}
        changed = False
        for cluster, shares in self._shares.items():
            means = [s.total / s.count for key, s in shares.items() if key not in accused]
            if len(means) < SOURCES:
                continue
            centre = self._trained.centers[cluster]
            step = RATE * (np.mean(means, axis=0) - (centre + self.offsets[cluster]))
            offset = self.offsets[cluster] + step
            length = float(np.linalg.norm(offset))
            most = BOUND * float(self._trained.radius[cluster])
            self.offsets[cluster] = offset if length <= most else offset * (most / length)
            changed = True
        self._shares.clear()
        self.revision += changed
        return changed

    def counters(self) -> dict[str, int]:
        """Connections followed and refused, and the revision."""
        return self._counts | {"drift_revision": self.revision}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state for a file; sources are not in it."""
        return {
            "version": np.array(STATE_VERSION),
            "model": np.array(self._digest),
            "revision": np.array(self.revision),
            "offsets": self.offsets,
        }

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` gave.

        Raises: ModelError, KeyError, ValueError: of another model, damaged, or beyond the bound.
        """
        if int(arrays["version"]) != STATE_VERSION:
            raise ModelError(f"version {arrays['version']}, this program reads {STATE_VERSION}")
        if str(arrays["model"]) != self._digest:
            raise ModelError("it followed another model")
        offsets = arrays["offsets"].astype(np.float64)
        if offsets.shape != self.offsets.shape or not np.isfinite(offsets).all():
            raise ModelError(f"offsets must be finite and {self.offsets.shape}")
        length = np.linalg.norm(offsets, axis=1)
        if (length > BOUND * self._trained.radius * (1.0 + 1e-9)).any():
            raise ModelError(f"a centre is farther than {BOUND} of its radius from its place")
        revision = int(arrays["revision"])
        if revision < 0:
            raise ModelError(f"revision {revision} is negative")
        self.offsets, self.revision = offsets, revision


def _prefix(raw: bytes) -> bytes:
    """Who counts as one source: an IPv4 address, an IPv6 /64 (a host picks any address in it)."""
    return raw if raw[:12] == b"\0" * 10 + b"\xff\xff" else raw[:8]
