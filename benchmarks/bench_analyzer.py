"""One record's prediction: cluster, distance and novelty, against scikit-learn's ``predict``.

    python benchmarks/bench_analyzer.py [--rounds N] [--json]

Both sides have the same centres and the same records (the shipped samples'), turn by turn in one
run, one BLAS thread, CPU time; the median of the rounds counts. Also what the network beside the
clusters takes: it is asked about connections behind a finding, never about every one. And what the
whole analyzer takes for a connection of a flood, each from another forged address to one of 200
hosts, against one of the samples.
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

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore, load_model
from agents.analyzer.hybrid_verdicts import ASKED, EXPLANATIONS, HybridVerdicts
from agents.analyzer.training import training_rows
from agents.commands.train import labelled
from agents.sensor.core import batch_parts
from datasets.recipe.traffic import SAMPLES, read_manifest
from ontology.records import CONNECTION, CONNECTION_STATES, ConnectionBatch

_BATCH = 5_000
_REQUIRED_US = 20.0
_FLOOD = 20_000


def _micros(call: Callable[[int], object], times: int) -> float:
    """CPU microseconds of one call, of ``times`` calls with their numbers."""
    begin = time.process_time()
    for number in range(times):
        call(number)
    return (time.process_time() - begin) / times * 1e6


def _batches(rows: Any) -> list[ConnectionBatch]:
    return [
        ConnectionBatch(
            id=f"urn:x:{number}", sensor="s", begin_us=0, end_us=0, packets=0, dropped=0,
            malformed=0, connections=part,
        )
        for number, (_, part) in enumerate(batch_parts(rows))
    ]  # fmt: skip


def _flood(count: int) -> list[ConnectionBatch]:
    """Unanswered SYNs, a minute long."""
    rows, rng = np.zeros(count, CONNECTION), np.random.default_rng(2)
    rows["start_us"] = 1_790_000_000_000_000 + np.arange(count) * 60_000_000 // count
    rows["src"][:, 10:12] = rows["dst"][:, 10:12] = 0xFF
    rows["src"][:, 12:] = rng.integers(0, 256, (count, 4))
    rows["dst"][:, 12:15], rows["dst"][:, 15] = (192, 0, 2), np.arange(count) % 200
    rows["src_port"], rows["dst_port"] = 1024, np.arange(count) * 40503 % 65536
    rows["protocol"], rows["ip_version"], rows["state"] = 6, 4, CONNECTION_STATES.index("S0")
    rows["orig_flags"], rows["orig_packets"] = 2, 1
    return _batches(rows)


def _whole(model: ClusterModel, streams: list[list[ConnectionBatch]]) -> float:
    """CPU microseconds of the analyzer for each connection of ``streams``."""
    spent, connections = 0.0, 0
    for batches in streams:
        core = AnalyzerCore(model, analyzer="a")
        begin = time.process_time()
        for batch in batches:
            core.on_batch(batch)
        spent += time.process_time() - begin
        connections += core.connections
    return spent / connections * 1e6


def measure(rounds: int) -> dict[str, float]:
    """Medians over ``rounds``, in microseconds, and ratios."""
    model = load_model()
    if model.hybrid is None:
        raise SystemExit("the shipped model has no network; train it again")
    tables = [labelled(SAMPLES, sample) for sample in read_manifest(SAMPLES)]
    rows, _ = training_rows(tables)
    rows = rows[np.random.default_rng(1).permutation(len(rows))]
    same = KMeans(len(model.labels), init=model.centers, n_init=1, max_iter=1).fit(rows)
    same.cluster_centers_ = model.centers
    network = HybridVerdicts(model.hybrid)
    half = rows.astype(np.float32)

    def explain(number: int) -> None:
        model.hybrid.explain(half[number])  # type: ignore[union-attr]

    def ask(number: int) -> None:
        network._left, network._explain = 1, 0
        network.judge(rows[ASKED * number : ASKED * (number + 1)])

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
    streams = {
        "whole, a connection of the samples": [_batches(np.concatenate(t.batches)) for t in tables],
        "whole, a connection of a forged flood": [_flood(_FLOOD)],
    }
    found: dict[str, list[float]] = {name: [] for name in (*calls, *streams)}
    with threadpool_limits(limits=1):
        assert (model.assign(rows).cluster == same.predict(rows)).mean() > 0.9999
        for _ in range(rounds):
            for name, (call, times, records) in calls.items():
                found[name].append(_micros(call, times) / records)
            for name, stream in streams.items():
                found[name].append(_whole(model, stream))
    out = {name: statistics.median(values) for name, values in found.items()}
    out["ratio, one record"] = out["one record, scikit-learn"] / out["one record, ours"]
    out["ratio, in a batch"] = out["in a batch, scikit-learn"] / out["in a batch, ours"]
    ordinary, forged = (out[name] for name in streams)
    out["ratio, an ordinary connection to a forged one"] = ordinary / forged
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
