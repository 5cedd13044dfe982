"""Verdicts of the hybrid model on findings, and how little they may change the confidence.

The hybrid model (`agents.analyzer.hybrid`) is asked about connections behind a finding, not about
every connection of the wire: so it costs nothing until there is something to say. It learned from
one small laboratory, so it abstains wherever the connection is not like a case of the class that it
would name: there, its answer is *uncertain*, whatever its odds. Sure answers move the confidence of
a finding by at most `WEIGHT`, and never across `ACTIONABLE`: alone, the network blocks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import Points, nearest
from agents.analyzer.hybrid import ATTACK, OUTCOMES, UNCERTAIN, HybridModel
from agents.analyzer.hybrid import NORMAL as NORMAL_OUTCOME

WEIGHT = 0.05
"""Half of what the clusters may (`agents.analyzer.findings.CLUSTER_WEIGHT`): they look at all
connections of a finding, the network at some of the last."""
ACTIONABLE = 0.5
"""Alerts below this confidence are no ground for a decision; the network lifts none over it."""
ASKED = 16
"""Connections of a finding that the network looks at, evenly spread."""
VERDICTS, EXPLANATIONS = 200, 20
"""At most so many per batch: a verdict takes about 1 ms, an explanation 5. A flood of findings
must not make the analyzer late; what is left out is counted."""
REACH = 0.99
"""A case is like a connection if it is as near as the nearest normal case is to this share of the
normal connections that training kept aside."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """On the connections of one finding."""

    outcome: str
    """``normal``, ``uncertain`` or ``attack``: what at least half of them are; else uncertain."""
    kind: str
    """The class that most of the sure attacks are given; empty if there are none."""
    share: float
    """Of the connections, those with this outcome (and class)."""
    words: str


class HybridVerdicts:
    """Asks one model, within the bounds of a batch."""

    def __init__(self, model: HybridModel) -> None:
        self._model = model
        normal = model.classes[0]
        self._reach = float(np.quantile(model.reference[1], REACH))
        self._cases = {
            name: Points(model.cases[model.case_labels == name])
            for name in (normal, *model.classes[1:])
            if (model.case_labels == name).any()
        }
        self._left = self._explain = 0
        self.asked = 0
        self.unasked = 0
        """Findings without a verdict, for want of time."""

    def on_batch(self) -> None:
        """A new batch: the bounds count again."""
        self._left, self._explain = VERDICTS, EXPLANATIONS

    def decide(
        self, features: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.float32]]:
        """(n,) outcomes, (n,) indices into the classes, and the features in the model's precision.

        ``features``: (n, len(FEATURES)).
        """
        rows = features.astype(np.float32)
        decided = self._model.decide(rows)
        outcome = decided.outcome.copy()
        for code in np.unique(decided.kind):
            own = np.flatnonzero(decided.kind == code)
            cases = self._cases.get(self._model.classes[code])
            if cases is None:
                outcome[own] = UNCERTAIN
                continue
            _, distance = nearest(rows[own], cases)
            outcome[own[distance > self._reach]] = UNCERTAIN
        return outcome, decided.kind, rows

    def surely_attack(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) True where the model is sure that a connection is an attack."""
        if not len(features):
            return np.zeros(0, bool)
        return np.asarray(self.decide(features)[0] == ATTACK)

    def judge(self, features: NDArray[np.float64]) -> Verdict | None:
        """Verdict on connections (n, len(FEATURES)), n > 0; None at the bound of the batch."""
        if self._left <= 0:
            self.unasked += 1
            return None
        self._left -= 1
        self.asked += 1
        if len(features) > ASKED:
            features = features[np.linspace(0, len(features) - 1, ASKED).astype(np.int64)]
        outcome, kinds, rows = self.decide(features)
        counts = np.bincount(outcome, minlength=len(OUTCOMES))
        said = int(counts.argmax()) if 2 * counts.max() >= len(outcome) else UNCERTAIN
        chosen = np.flatnonzero(outcome == said)
        kind = ""
        if said == ATTACK:
            most = int(np.bincount(kinds[chosen]).argmax())
            kind = self._model.classes[most]
            chosen = chosen[kinds[chosen] == most]
        share = len(chosen) / len(outcome)
        words = f"network: {OUTCOMES[said]}{' ' + kind if kind else ''}"
        words += f" ({len(chosen)} of {len(outcome)} connections)"
        if self._explain > 0:
            self._explain -= 1
            example = chosen[-1] if len(chosen) else 0
            words += f", {self._model.explain(rows[example]).why}"
        return Verdict(OUTCOMES[said], kind, share, words)


def weigh(confidence: float, verdict: Verdict | None, family: str | None, own: str | None) -> float:
    """``confidence`` of a finding with the network's verdict taken into account.

    ``family``: of the finding's class, ``own`` that of the verdict's; a finding without a family
    is not weighed. At most `WEIGHT` either way, and never from below `ACTIONABLE` to it.
    """
    if verdict is None or family is None:
        return confidence
    change = 0.0
    if verdict.outcome == OUTCOMES[ATTACK] and own == family:
        change = WEIGHT * verdict.share
    elif verdict.outcome == OUTCOMES[NORMAL_OUTCOME]:
        change = -WEIGHT * verdict.share
    moved = max(confidence + change, 0.0)
    if confidence < ACTIONABLE <= moved:
        return max(confidence, ACTIONABLE - 0.001)
    return min(moved, 0.99)
