"""Where an analyzer keeps how far its clusters have followed the traffic."""

from __future__ import annotations

import logging
from pathlib import Path

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.drift import GuardedDrift
from agents.analyzer.model_file import Arrays, ModelError, read_model, write_model

logger = logging.getLogger(__name__)


def load_drift(path: Path, model: ClusterModel) -> GuardedDrift:
    """The drift of ``model`` kept in ``path``; a fresh one where there is none that fits."""
    drift = GuardedDrift(model)
    if not path.exists():
        return drift

    def restore(arrays: Arrays) -> GuardedDrift:
        drift.restore(arrays)
        return drift

    try:
        read_model(path, "cluster drift", restore)
    except ModelError as e:
        # The trained centres are always a safe place to start from; refusing to run is not.
        logger.warning("clusters start where training put them: %s", e)
    else:
        logger.info("clusters take up revision %d", drift.revision)
    return drift


def save_drift(path: Path, drift: GuardedDrift) -> None:
    """Write ``path``, or say why not: detection goes on without."""
    try:
        write_model(path, drift.arrays())
    except OSError as e:
        logger.warning("%s: clusters' revision %d is not kept: %s", path, drift.revision, e)
