"""``ontoidps train``: labelled captures (or NSL-KDD records) in, a model out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from rich.progress import track

from agents.analyzer.case_clusters import CLUSTERS
from agents.analyzer.clustering import SEED, ClusterModel
from agents.analyzer.core import SHIPPED_MODEL
from agents.analyzer.hybrid_training import fit as fit_kdd
from agents.analyzer.labelled_cases import CASES, clusters_file
from agents.analyzer.training import (
    LabelledConnections,
    TrainingRows,
    fit_rows,
    held_out_novelty,
    labelled_rows,
)
from agents.commands.output import check_writable
from agents.sensor.core import SensorCore
from datasets.captures.pcap import read_capture
from datasets.kdd.nsl_kdd import read_nsl_kdd
from datasets.recipe.traffic import SAMPLES, Sample, read_manifest
from ontology.clusters_file import clusters_path
from ontology.records import Alert, ConnectionBatch
from ontology.whole_files import write_whole

NSL_KDD = "nsl-kdd"
MAX_CLUSTERS = 1000
_BLOCK_BYTES = 256 * 1024
"""Of a capture between two looks at the flow table; fixed, so that training is repeatable."""


UNLEARNED = frozenset({"IdleScan", "ArpSpoofing", "SequencePrediction", "SpoofedLogin"})
"""Classes that no single record shows: order, pace and names make them, and the packets that do it
are in other hosts' names. Their samples test detectors and train no cluster."""


def connection_batches(
    capture: Path, *, sensor: str = "replay", alerts: list[Alert] | None = None
) -> Iterator[ConnectionBatch]:
    """The connections of a capture file as a sensor would report them.

    ``alerts``: takes what the sensor finds itself (ARP).

    Raises:
        ValueError, OSError: the file isn't a capture, or can't be read.
    """
    core = SensorCore(sensor, repeatable=True)
    for raw in read_capture(capture, block_bytes=_BLOCK_BYTES):
        core.on_packets(raw)
        yield from core.take_batches(core.last_us)
        if alerts is not None:
            alerts += core.take_alerts()
    yield from core.take_batches(core.last_us, final=True)
    if alerts is not None:
        alerts += core.take_alerts()


def labelled(directory: Path, sample: Sample) -> LabelledConnections:
    """One sample's connections with its label."""
    victim = None
    if not sample.attackers and sample.victim and "/" not in sample.victim:
        victim = ip_address(sample.victim)
    return LabelledConnections(
        batches=[b.connections for b in connection_batches(directory / sample.file)],
        label=sample.label,
        attackers=sample.attackers,
        victim=victim,
    )


def write_clusters_file(directory: Path, model: ClusterModel, path: Path, *, most: int) -> int:
    """Write clusters and cases of ``model``, trained on ``directory``; how many cases there are.

    Raises:
        ValueError, OSError: as `train`, or ``path`` can't be written.
    """
    samples = [(sample.file, labelled(directory, sample)) for sample in read_manifest(directory)]
    data, cases = clusters_file(model, samples, most=most)
    write_whole(path, data)
    return cases


def clusters_file_of(model: Path) -> Path:
    """Where the clusters of a model file are written: the shipped one's are a shipped file."""
    return clusters_path() if model == SHIPPED_MODEL else model.with_suffix(".owl")


def train(
    directory: Path = SAMPLES,
    *,
    clusters: int = CLUSTERS,
    seed: int = SEED,
    progress: bool = False,
) -> ClusterModel:
    """Train a model on the captures that ``directory/manifest.tsv`` names.

    Raises:
        ValueError: no usable manifest, a bad capture, or too little traffic.
    """
    return fit_rows(_rows(directory, progress=progress), clusters=clusters, seed=seed)


def _rows(directory: Path, *, progress: bool) -> TrainingRows:
    samples = [s for s in read_manifest(directory) if s.label not in UNLEARNED]
    shown = track(samples, "reading captures", transient=True, disable=not progress)
    return labelled_rows(labelled(directory, sample) for sample in shown)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 2 <= number <= MAX_CLUSTERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 2 to {MAX_CLUSTERS}")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = (
        "%(prog)s [CAPTURES] [--out FILE] [--clusters K] [--seed N] [--validate]\n"
        "       %(prog)s nsl-kdd FILE --out FILE [--clusters K] [--seed N]"
    )
    parser.description = (
        "Train the analyzer's model, K-Means and the supervised network, on the captures that "
        "CAPTURES/manifest.tsv names (made by `python -m datasets.recipe.traffic CAPTURES`); or, "
        f"with {NSL_KDD!r}, the hybrid classifier of KDD records on an NSL-KDD file, for `ontoidps "
        "evaluate nsl-kdd --model`. The same data and seed give the same model. Clusters and "
        "labelled cases are written next to a model of captures as .owl (those of the shipped "
        "model to ontology/clusters.owl)."
    )
    parser.add_argument(
        "captures",
        nargs="?",
        default=str(SAMPLES),
        metavar="CAPTURES",
        help=f"folder of labelled captures (default: shipped); or the word {NSL_KDD}",
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="KDDTrain+.txt, also .gz"
    )
    parser.add_argument(
        "--out", type=Path, help="where to; default, captures only: the shipped one"
    )
    parser.add_argument(
        "--clusters", type=_count, default=CLUSTERS, metavar="K", help=f"default: {CLUSTERS}"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--validate",
        action="store_true",
        help="captures only: also measure how much held-out traffic would be called novel",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, save, say what the clusters are."""
    check_writable(arguments.out)
    if arguments.captures == NSL_KDD:
        return _train_nsl_kdd(arguments)
    if arguments.file is not None:
        raise ValueError(f"{arguments.file}: a second name belongs to {NSL_KDD!r} only")
    out: Path = arguments.out or SHIPPED_MODEL
    rows = _rows(Path(arguments.captures), progress=sys.stderr.isatty())
    model = fit_rows(rows, clusters=arguments.clusters, seed=arguments.seed)
    model.save(out)
    for index, label in enumerate(model.labels):
        print(
            f"cluster {index:2}  {label:20} connections {model.sizes[index]:6}  "
            f"purity {model.purity[index]:.3f}  radius {model.radius[index]:.3f}"
        )
    print(f"{len(model.labels)} clusters, mean purity {model.mean_purity:.3f}")
    if model.hybrid is not None:
        print(
            f"network: {len(model.hybrid.classes)} classes, {len(model.hybrid.cases)} cases, "
            f"{model.hybrid.records} connections"
        )
    if arguments.validate:
        for fold, (share, normal) in enumerate(held_out_novelty(rows, seed=arguments.seed), 1):
            print(f"held-out part {fold}: novel {share:.2%} of all, {normal:.2%} of normal")
    print(f"saved {out}")
    path = clusters_file_of(out)
    cases = write_clusters_file(Path(arguments.captures), model, path, most=CASES)
    print(f"saved {path}: {len(model.labels)} clusters, {cases} cases")
    return 0


def _train_nsl_kdd(arguments: argparse.Namespace) -> int:
    if arguments.file is None or arguments.out is None:
        raise ValueError(f"{NSL_KDD} needs a file to learn from and --out FILE")
    if arguments.validate:
        raise ValueError(f"--validate of {NSL_KDD} is `ontoidps evaluate nsl-kdd --validate`")
    records = read_nsl_kdd(arguments.file)
    model = fit_kdd(records, seed=arguments.seed, clusters=arguments.clusters)
    model.save(arguments.out)
    clusters = model.clusters
    if clusters is None:
        raise AssertionError("a model of KDD records has clusters")
    for index, name in enumerate(clusters.names):
        print(
            f"cluster {index:2}  {name:20} records {clusters.sizes[index]:6}  "
            f"purity {clusters.purity[index]:.3f}  radius {clusters.radius[index]:.3f}"
        )
    named = clusters.purity[clusters.purity > 0]
    print(f"{len(clusters.names)} clusters, mean purity {named.mean():.3f}")
    print(f"network and {len(model.cases)} cases of {model.records} records")
    print(f"saved {arguments.out}")
    return 0
