"""One record's prediction: cluster, distance and novelty, against scikit-learn's ``predict``.

    python benchmarks/bench_analyzer.py [--rounds N] [--json]

Both sides have the same centres and the same records (the shipped samples'), turn by turn in one
run, one BLAS thread, CPU time; the median of the rounds counts. Also what the network beside the
clusters takes: it is asked about connections behind a finding, never about every one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from agents.analyzer.core import load_model
from agents.analyzer.second_opinion import ASKED, EXPLANATIONS, SecondOpinion
from agents.analyzer.training import training_rows
from agents.commands.train import labelled
from datasets.traffic import SAMPLES, read_manifest

_BATCH = 5_000
_REQUIRED_US = 20.0


def _micros(call: Callable[[int], object], times: int) -> float:
    """CPU microseconds of one call, of ``times`` calls with their numbers."""
    begin = time.process_time()
    for number in range(times):
        call(number)
    return (time.process_time() - begin) / times * 1e6


def measure(rounds: int) -> dict[str, float]:
    """Medians over ``rounds``, in microseconds, and ratios."""
    model = load_model()
    if model.hybrid is None:
        raise SystemExit("the shipped model has no network; train it again")
    rows, _ = training_rows(labelled(SAMPLES, sample) for sample in read_manifest(SAMPLES))
    rows = rows[np.random.default_rng(1).permutation(len(rows))]
    same = KMeans(len(model.labels), init=model.centers, n_init=1, max_iter=1).fit(rows)
    same.cluster_centers_ = model.centers
    network = SecondOpinion(model.hybrid)
    half = rows.astype(np.float32)

    def explain(number: int) -> None:
        model.hybrid.explain(half[number])  # type: ignore[union-attr]

    def ask(number: int) -> None:
        network._left, network._explain = 1, 0
        network.on(rows[ASKED * number : ASKED * (number + 1)])

    calls: dict[str, tuple[Callable[[int], object], int, int]] = {
        "one record, ours": (lambda i: model.assign(rows[i : i + 1]), 2000, 1),
        "one record, scikit-learn": (lambda i: same.predict(rows[i : i + 1]), 200, 1),
        "in a batch, ours": (lambda i: model.assign(rows[:_BATCH]), 10, _BATCH),
        "in a batch, scikit-learn": (lambda i: same.predict(rows[:_BATCH]), 10, _BATCH),
        "network, one record": (lambda i: network.decide(rows[i : i + 1]), 200, 1),
        "network, in a batch": (lambda i: network.decide(rows[:_BATCH]), 2, _BATCH),
        f"network, a finding ({ASKED} records)": (ask, 100, 1),
        f"network, an explanation (at most {EXPLANATIONS} a batch)": (explain, 20, 1),
    }
    found: dict[str, list[float]] = {name: [] for name in calls}
    with threadpool_limits(limits=1):
        assert (model.assign(rows).cluster == same.predict(rows)).mean() > 0.9999
        for _ in range(rounds):
            for name, (call, times, records) in calls.items():
                found[name].append(_micros(call, times) / records)
    out = {name: statistics.median(values) for name, values in found.items()}
    out["ratio, one record"] = out["one record, scikit-learn"] / out["one record, ours"]
    out["ratio, in a batch"] = out["in a batch, scikit-learn"] / out["in a batch, ours"]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, Any] = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        unit = "x" if name.startswith("ratio") else "µs"
        print(f"{name:50} {value:10.2f} {unit}")
    ours = found["one record, ours"]
    print(f"required: one record in {_REQUIRED_US:g} µs: {'yes' if ours <= _REQUIRED_US else 'NO'}")


if __name__ == "__main__":
    main()
