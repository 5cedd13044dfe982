"""``ontoidps train``: labelled captures in, the analyzer's cluster model out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from rich.progress import track

from agents.analyzer.clustering import SEED, ClusterModel
from agents.analyzer.core import SHIPPED_MODEL
from agents.analyzer.training import LabelledConnections
from agents.analyzer.training import train as train_model
from agents.sensor.core import SensorCore
from datasets.pcap import read_capture
from datasets.traffic import SAMPLES, Sample, read_manifest
from ontology.records import Alert, ConnectionBatch

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


def train(directory: Path = SAMPLES, *, seed: int = SEED, progress: bool = False) -> ClusterModel:
    """Train a model on the captures that ``directory/manifest.tsv`` names.

    Raises:
        ValueError: no usable manifest, a bad capture, or too little traffic.
    """
    samples = [s for s in read_manifest(directory) if s.label not in UNLEARNED]
    shown = track(samples, "reading captures", transient=True, disable=not progress)
    return train_model((labelled(directory, sample) for sample in shown), seed=seed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train the K-Means model on the captures that CAPTURES/manifest.tsv names "
        "(made by `python -m datasets.traffic CAPTURES`). The same captures and seed give the "
        "same model."
    )
    parser.add_argument("captures", type=Path, nargs="?", default=SAMPLES, help="default: shipped")
    parser.add_argument("--out", type=Path, default=SHIPPED_MODEL, help="default: the shipped one")
    parser.add_argument("--seed", type=int, default=SEED)


def run(arguments: argparse.Namespace) -> int:
    """Train, save, say what the clusters are."""
    model = train(arguments.captures, seed=arguments.seed, progress=sys.stderr.isatty())
    model.save(arguments.out)
    for index, label in enumerate(model.labels):
        print(
            f"cluster {index:2}  {label:20} connections {model.sizes[index]:6}  "
            f"purity {model.purity[index]:.3f}  radius {model.radius[index]:.3f}"
        )
    print(f"saved {arguments.out}")
    return 0
