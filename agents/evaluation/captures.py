"""Sensor and analyzer on captures with known truth: was the attack named, and nobody else accused?

What is known is read in `agents.evaluation.truths`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.clustering import FAMILY, ClusterModel
from agents.analyzer.training import sixteen
from agents.evaluation.metrics import Judged, confusion, measure, outcomes, roc
from agents.evaluation.plots import Plot, confusion_plot, projection_plot, roc_plot
from agents.evaluation.report import Cell, Report, Table, summary, table4
from agents.evaluation.truths import MISSED, NORMAL, Truth
from ontology.records import Alert

ACTIONABLE = 0.5
"""Alerts below this confidence are *low*: shown, never a ground for a decision."""
OTHER = "other"
FAMILIES = (NORMAL, *sorted(set(FAMILY.values())), OTHER)
UNSPECIFIC = "UnknownAnomaly"


@dataclass(frozen=True, slots=True)
class Capture:
    """What the analyzer made of one capture."""

    packets: int
    alerts: tuple[Alert, ...]
    features: NDArray[np.float64]
    """(n, len(FEATURES)) of its connections."""
    sources: NDArray[np.uint8]
    """(n, 16) who opened each, as in `CONNECTION`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One capture judged."""

    truth: str
    said: str
    """Class, `NORMAL`, or `MISSED` on an attack."""
    uncertain: bool
    accused: tuple[str, ...]
    """Actionable alerts that name somebody else than the attacker."""
    found: tuple[str, ...]
    """Classes of actionable alerts."""


def judge(truth: Truth, alerts: Iterable[Alert]) -> Verdict:
    """An attack is found if alerts of every wanted class name its attacker.

    It is *uncertain* if only low alerts name the attacker: shown, but not acted upon. A benign
    capture must have no alert above low.
    """
    actionable: list[Alert] = []
    low: list[Alert] = []
    for alert in alerts:
        strong = alert.confidence >= ACTIONABLE and alert.classification != UNSPECIFIC
        (actionable if strong else low).append(alert)
    found = tuple(sorted({a.classification for a in actionable}))
    if not truth.wanted:
        said = found[0] if found else NORMAL
        return Verdict(NORMAL, said, False, tuple(str(a.source) for a in actionable), found)
    name = "+".join("|".join(sorted(group)) for group in truth.wanted)
    own = {a.classification for a in actionable if a.source == truth.attacker}
    accused = tuple(
        sorted(
            {f"{a.classification} {a.source}" for a in actionable}
            - {f"{c} {truth.attacker}" for c in own}
            - {f"{a.classification} None" for a in actionable}
        )
    )
    if all(group & own for group in truth.wanted):
        return Verdict(name, name, False, accused, found)
    if own:
        return Verdict(name, sorted(own)[0], False, accused, found)
    if any(a.source == truth.attacker for a in low):
        return Verdict(name, MISSED, True, accused, found)
    return Verdict(name, MISSED, False, accused, found)


def evaluate(
    truths: list[Truth],
    left_out: list[str],
    analyze: Callable[[Truth], Capture],
    model: ClusterModel,
    *,
    dataset: str,
    progress: Callable[[list[Truth]], Iterable[Truth]] = lambda truths: truths,
) -> Report:
    """Judge every capture; ``analyze`` runs sensor and analyzer, with ``model``, on one.

    Raises: ValueError, OSError: a capture can't be read.
    """
    start = time.monotonic()
    verdicts: list[Verdict] = []
    packets: list[int] = []
    rows: list[tuple[Cell, ...]] = []
    score: list[float] = []
    space = _Space(model)
    for truth in progress(truths):
        begin = time.monotonic()
        capture = analyze(truth)
        seconds = time.monotonic() - begin
        verdict = judge(truth, capture.alerts)
        verdicts.append(verdict)
        packets.append(capture.packets)
        score.append(suspicion(truth, capture.alerts))
        novel = space.add(truth, capture)
        rows.append(
            (
                f"{truth.file.parent.name}/{truth.file.name}",
                truth.attack,
                " ".join(verdict.found) or "-",
                "right"
                if verdict.said == verdict.truth
                else "uncertain"
                if verdict.uncertain
                else "WRONG",
                "; ".join(verdict.accused[:3]) or "-",
                capture.packets,
                len(capture.features),
                novel,
                round(seconds, 2),
            )
        )
    total = time.monotonic() - start
    names = (NORMAL, *sorted(set(_names(verdicts)) - {NORMAL, MISSED}), MISSED)
    index = {name: i for i, name in enumerate(names)}
    judged = Judged(
        classes=names,
        truth=np.array([index[v.truth] for v in verdicts]),
        # To miss an attack is to take it for normal; the table shows it in a column of its own.
        verdict=np.array([index[NORMAL if v.said == MISSED else v.said] for v in verdicts]),
        uncertain=np.array([v.uncertain for v in verdicts]),
    )
    metrics = measure(judged)
    counts = np.array(packets, dtype=np.int64)
    attacks = [v for v in verdicts if v.truth != NORMAL]
    exact = sum(v.said == v.truth for v in attacks)
    notes = [
        "A capture is one case: right if every class of its truth was found with the attacker's "
        "own address (none where sources are forged), in an alert of confidence 0.5 or more.",
    ]
    if attacks:
        notes.append(f"{exact} of {len(attacks)} attacks with right class and attacker.")
    others = sum(bool(v.accused) for v in attacks)
    if others:
        notes.append(f"In {others} attack captures somebody else is accused as well.")
    notes += [f"Not judged: {line}" for line in left_out]
    shown = [i for i, name in enumerate(names) if name != MISSED]
    cells = confusion(judged)[np.ix_(shown, [*shown, len(names)])]
    used = [0, *(j for j in range(1, len(shown) + 1) if cells[:, j].any() or j == len(shown))]
    columns = [*(names[i] for i in shown), "uncertain"]
    table = Table(
        "Captures",
        (
            *("capture", "truth", "found", "verdict", "others accused"),
            *("packets", "connections", "novel", "seconds"),
        ),
        tuple(rows),
        "novel: connections beyond the radius of their cluster, each worth at most a low alert.",
    )
    plots: list[Plot] = [
        confusion_plot(
            [names[i] for i in shown],
            [columns[j] for j in used],
            cells[:, used],
            "Confusion table (rows: truth, in captures)",
        )
    ]
    is_attack = judged.truth != 0
    if is_attack.any() and not is_attack.all():
        plots.append(roc_plot(*roc(is_attack, np.array(score))))
    plots += space.plot()
    return Report(
        dataset=dataset,
        metrics=metrics,
        seconds=total,
        tables=(
            *summary(metrics),
            table4(
                [
                    ("captures", outcomes(judged), total),
                    ("their packets", outcomes(judged, counts), total),
                ],
                "captures, packets",
            ),
            table,
            space.table(),
        ),
        plots=tuple(plots),
        notes=tuple(notes),
    )


def suspicion(truth: Truth, alerts: Iterable[Alert]) -> float:
    """The highest confidence of an alert, of an attack one that names its attacker: for the ROC."""
    return max(
        (a.confidence for a in alerts if not truth.wanted or a.source == truth.attacker),
        default=0.0,
    )


class _Space:
    """The captures' connections among the clusters."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._rows: list[NDArray[np.float64]] = []
        self._kinds: list[NDArray[np.int64]] = []
        self._counts = np.zeros((2, len(model.labels)), np.int64)
        self._novel = np.zeros((2, len(model.labels)), np.int64)

    def add(self, truth: Truth, capture: Capture) -> int:
        """Take in the connections; how many of them are novel."""
        if not len(capture.features):
            return 0
        assignment = self._model.assign(capture.features)
        own = np.ones(len(capture.features), bool)
        kind = 0
        if truth.wanted:
            kind = FAMILIES.index(FAMILY.get(min(truth.wanted[0]), OTHER))
            if truth.attacker is not None:
                own = (capture.sources == sixteen(truth.attacker)).all(axis=1)
        side = int(bool(truth.wanted))
        k = len(self._model.labels)
        self._counts[side] += np.bincount(assignment.cluster[own], minlength=k)
        self._novel[side] += np.bincount(assignment.cluster[own & assignment.novel], minlength=k)
        # Evenly, so that the beginning of a flood is not all that is seen of it.
        chosen = np.flatnonzero(own)
        chosen = chosen[:: max(len(chosen) // 200, 1)]
        self._rows.append(capture.features[chosen])
        self._kinds.append(np.full(len(chosen), kind))
        return int(assignment.novel.sum())

    def plot(self) -> list[Plot]:
        """Connections and clusters, projected; nothing where there are no connections."""
        if not self._rows or sum(map(len, self._rows)) < 2:
            return []
        return [
            projection_plot(
                np.concatenate(self._rows).astype(np.float32),
                np.concatenate(self._kinds),
                FAMILIES,
                self._model.centers,
                seed=0,
            )
        ]

    def table(self) -> Table:
        """What falls into which cluster."""
        model = self._model
        (benign, hostile), (odd, strange) = self._counts, self._novel
        benign_share = odd.sum() / benign.sum() if benign.any() else 0.0
        hostile_share = strange.sum() / hostile.sum() if hostile.any() else 0.0
        return Table(
            "Clusters",
            (
                *("cluster", "label", "purity (training)", "radius"),
                *("of benign captures", "novel", "of attackers", "novel "),
            ),
            tuple(
                (
                    str(i),
                    label,
                    float(model.purity[i]),
                    round(float(model.radius[i]), 3),
                    int(benign[i]),
                    int(odd[i]),
                    int(hostile[i]),
                    int(strange[i]),
                )
                for i, label in enumerate(model.labels)
            ),
            f"{len(model.labels)} clusters, mean purity {model.mean_purity:.4f}. Novel are "
            f"{benign_share:.1%} of the benign captures' connections and {hostile_share:.1%} of "
            "the attackers'.",
        )


def _names(verdicts: list[Verdict]) -> Iterator[str]:
    for verdict in verdicts:
        yield verdict.truth
        yield verdict.said
