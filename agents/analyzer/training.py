"""Labelled connections in, cluster model out. Pure: `agents.commands.train` reads the captures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.clustering import NORMAL, SEED, ClusterModel, fit
from agents.analyzer.features import FEATURES, FeatureExtractor
from ontology.records import Address


@dataclass(frozen=True, slots=True, eq=False)
class LabelledConnections:
    """The connections of one labelled capture."""

    batches: Sequence[NDArray[np.void]]
    """Each (n,) of `CONNECTION`, as a sensor reported them: windows depend on the order."""
    label: str
    """`NORMAL` or an attack class."""
    attackers: tuple[Address, ...] = ()
    """Whose connections are the attack; empty: all those to ``victim``."""
    victim: Address | None = None


def sixteen(address: Address) -> NDArray[np.uint8]:
    """An address as `CONNECTION` holds it: 16 bytes, IPv4 mapped into IPv6."""
    if address.version == 4:
        address = IPv6Address(0xFFFF << 32 | int(address))
    return np.frombuffer(address.packed, np.uint8)


def _belongs(rows: NDArray[np.void], capture: LabelledConnections) -> NDArray[np.bool_]:
    """The connections that deserve the label: a victim's replies to an attack are no attack."""
    mask = np.ones(len(rows), bool)
    if capture.label == NORMAL:
        return mask
    if capture.attackers:
        mask[:] = False
        for attacker in capture.attackers:
            mask |= (rows["src"] == sixteen(attacker)).all(axis=1)
    elif capture.victim is not None:
        mask = (rows["dst"] == sixteen(capture.victim)).all(axis=1)
    return np.asarray(mask, bool)


def training_rows(
    captures: Iterable[LabelledConnections],
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Features (n, len(FEATURES)) and one label per row of all captures, in their order."""
    features: list[NDArray[np.float64]] = [np.empty((0, len(FEATURES)))]
    labels: list[str] = []
    for capture in captures:
        extractor = FeatureExtractor()
        for rows in capture.batches:
            own = _belongs(rows, capture)
            features.append(extractor.extract(rows)[own])
            labels += [capture.label] * int(own.sum())
    return np.concatenate(features), np.array(labels, dtype=np.str_)


def train(captures: Iterable[LabelledConnections], *, seed: int = SEED) -> ClusterModel:
    """A model of ``captures``; the same captures and seed give the same model.

    Raises:
        ValueError: too few connections to fill the clusters.
    """
    features, labels = training_rows(captures)
    return fit(features, labels, seed=seed)
