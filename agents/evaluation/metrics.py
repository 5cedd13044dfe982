"""Counts and rates of a judged data set. Pure.

Every record has a verdict (alarm or not); an *uncertain* one has a tentative verdict. Accuracy,
detection rate and false-alarm rate judge every record by its verdict, so that no model can look
better by abstaining. Efficiency, the papers' measure, charges every uncertain record as an error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """n records with truth and verdict."""

    classes: tuple[str, ...]
    """Names; the first is normal traffic. Verdicts may use more of them than the truth does."""
    truth: NDArray[np.int64]
    """(n,) index into ``classes``."""
    verdict: NDArray[np.int64]
    """(n,) index into ``classes``; not 0 is an alarm."""
    uncertain: NDArray[np.bool_]
    """(n,) the verdict is tentative."""
    score: NDArray[np.float64] | None = None
    """(n,) larger is more like an attack: for the ROC curve."""
    new: NDArray[np.bool_] | None = None
    """(n,) attack of a type that training had not; None: not known, or all types were trained."""

    def __post_init__(self) -> None:
        n = len(self.truth)
        if n == 0:
            raise ValueError("nothing to evaluate")
        for values in (self.verdict, self.uncertain, self.score, self.new):
            if values is not None and values.shape != (n,):
                raise ValueError(f"expected {n} values, got {values.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """One class of the truth. Rates are None where there is nothing to divide by."""

    records: int
    recall: float | None
    """Attacks: share that raised an alarm, of any class. Normal traffic: share that raised none."""
    classified: float | None
    """Share whose verdict is this very class."""
    precision: float | None
    """Share of this verdict's records that are of this class."""
    uncertain_share: float | None
    new_records: int | None = None
    """Of attack types that training had not; None: not applicable."""
    new_recall: float | None = None
    known_recall: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The contract of ``ontoidps evaluate --json``; rates in [0, 1], efficiency in percent."""

    accuracy: float
    detection_rate: float | None
    false_alarm_rate: float | None
    uncertain_share: float
    efficiency: float
    """100 · (|D| - FP - FN - U) / |D|."""
    per_class: dict[str, ClassMetrics]

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The columns of the papers' Table 4; a partition of the records."""

    total: int
    """PkG: packets or records, |D|."""
    true_positives: int
    """VP."""
    true_negatives: int
    false_positives: int
    false_negatives: int
    uncertain: int

    @property
    def efficiency(self) -> float:
        """100 · (|D| - FP - FN - U) / |D|."""
        wrong = self.false_positives + self.false_negatives + self.uncertain
        return 100.0 * (self.total - wrong) / self.total


def outcomes(judged: Judged, weights: NDArray[np.int64] | None = None) -> Outcomes:
    """Count; ``weights``: (n,) how many each record stands for (packets of a capture)."""
    counts = np.ones(len(judged.truth), np.int64) if weights is None else weights
    attack, alarm = judged.truth != 0, judged.verdict != 0
    sure = ~judged.uncertain
    return Outcomes(
        total=int(counts.sum()),
        true_positives=int(counts[sure & attack & alarm].sum()),
        true_negatives=int(counts[sure & ~attack & ~alarm].sum()),
        false_positives=int(counts[sure & ~attack & alarm].sum()),
        false_negatives=int(counts[sure & attack & ~alarm].sum()),
        uncertain=int(counts[judged.uncertain].sum()),
    )


def _share(mask: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    total = int(of.sum())
    return int((mask & of).sum()) / total if total else None


def measure(judged: Judged) -> Metrics:
    """All rates of ``judged``."""
    attack, alarm = judged.truth != 0, judged.verdict != 0
    per_class: dict[str, ClassMetrics] = {}
    for index, name in enumerate(judged.classes):
        own = judged.truth == index
        if not own.any():
            continue
        right = judged.verdict == index
        extra: dict[str, Any] = {}
        if judged.new is not None and index:
            extra = {
                "new_records": int((own & judged.new).sum()),
                "new_recall": _share(alarm, own & judged.new),
                "known_recall": _share(alarm, own & ~judged.new),
            }
        per_class[name] = ClassMetrics(
            records=int(own.sum()),
            recall=_share(alarm if index else ~alarm, own),
            classified=_share(right, own),
            precision=_share(own, right),
            uncertain_share=_share(judged.uncertain, own),
            **extra,
        )
    return Metrics(
        accuracy=float((attack == alarm).mean()),
        detection_rate=_share(alarm, attack),
        false_alarm_rate=_share(alarm, ~attack),
        uncertain_share=float(judged.uncertain.mean()),
        efficiency=outcomes(judged).efficiency,
        per_class=per_class,
    )


def confusion(judged: Judged) -> NDArray[np.int64]:
    """(classes, classes + 1): rows truth, columns verdict, the last one uncertain."""
    k = len(judged.classes)
    column = np.where(judged.uncertain, k, judged.verdict)
    cells = np.bincount(judged.truth * (k + 1) + column, minlength=k * (k + 1))
    return cells.reshape(k, k + 1)


def roc(
    attack: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """False-alarm rates, detection rates (both ascending from 0 to 1) and the area under them.

    Raises: ValueError: without both normal records and attacks there is no curve.
    """
    if attack.all() or not attack.any():
        raise ValueError("a ROC curve needs normal records and attacks")
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # ties stay together
    caught = np.cumsum(attack[order])[ends] / attack.sum()
    false = np.cumsum(~attack[order])[ends] / (~attack).sum()
    x, y = np.concatenate(([0.0], false)), np.concatenate(([0.0], caught))
    return x, y, float(np.trapezoid(y, x))
