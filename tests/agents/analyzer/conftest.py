"""Connections made by hand, and one stream of batches through a core."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore
from agents.analyzer.features import FEATURES
from ontology.records import Alert
from tests.factories import ATTACKER, T0, VICTIM, make_batch, make_connection

Row = dict[str, Any]
Connections = NDArray[np.void]


def session(**row: Any) -> Connections:
    """A completed TCP connection that carried data both ways."""
    values: Row = {
        "state": "SF",
        "orig_flags": "SAPF",
        "resp_flags": "SAPF",
        "orig_packets": 8,
        "resp_packets": 8,
        "orig_bytes": 300,
        "resp_bytes": 900,
        "duration": 0.1,
    }
    return make_connection(**(values | row))


def blank_model(label: str = "Normal", radius: float = 1e9, purity: float = 0.0) -> ClusterModel:
    """One cluster for everything: it has no verdict unless ``purity`` says so."""
    return ClusterModel(
        centers=np.zeros((1, len(FEATURES))),
        labels=(label,),
        purity=np.array([purity]),
        radius=np.array([radius]),
        sizes=np.array([1]),
    )


class Bench:
    """What the tests of this folder use, as one fixture (test folders are no packages)."""

    attacker, victim, t0 = ATTACKER, VICTIM, T0
    connection = staticmethod(make_connection)
    session = staticmethod(session)
    batch = staticmethod(make_batch)
    blank_model = staticmethod(blank_model)

    @staticmethod
    def core(model: ClusterModel | None = None, honeypots: Iterable[str] = ()) -> AnalyzerCore:
        return AnalyzerCore(
            model or blank_model(),
            analyzer="analyzer",
            honeypots=[ip_address(h) for h in honeypots],
        )

    def alerts(self, rows: Iterable[Connections], *, cut: int = 0) -> list[Alert]:
        """Alerts of a fresh core without verdict; ``cut``: connections per batch, 0: one batch."""
        joined = np.concatenate(list(rows))
        joined = joined[np.argsort(joined["start_us"], kind="stable")]
        core = self.core()
        step = cut or len(joined)
        return [
            alert
            for begin in range(0, len(joined), step)
            for alert in core.on_batch(make_batch([joined[begin : begin + step]]))
        ]


@pytest.fixture
def bench() -> Bench:
    return Bench()
