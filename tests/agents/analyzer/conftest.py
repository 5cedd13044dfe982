"""Connections made by hand, and one stream of batches through a core."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore
from agents.analyzer.features import FEATURES
from ontology.records import CONNECTION, CONNECTION_STATES, Address, Alert, ConnectionBatch

ATTACKER, VICTIM = "192.0.2.66", "198.51.100.18"
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
T0 = 1_700_000_000_000_000
Row = dict[str, Any]
Connections = NDArray[np.void]


def packed(address: str | Address) -> NDArray[np.uint8]:
    parsed = ip_address(address)
    if parsed.version == 4:
        parsed = IPv6Address(f"::ffff:{parsed}")
    return np.frombuffer(parsed.packed, np.uint8)


def connection(**row: Any) -> Connections:
    """One record; the defaults are an unanswered SYN from ATTACKER to VICTIM at T0."""
    out = np.zeros(1, CONNECTION)
    values: Row = {
        "at": 0.0,
        "duration": 0.0,
        "src": ATTACKER,
        "dst": VICTIM,
        "src_port": 40000,
        "dst_port": 80,
        "protocol": 6,
        "state": "S0",
        "orig_flags": "S",
        "resp_flags": "",
        "orig_packets": 1,
    } | row
    out["ip_version"] = ip_address(str(values["src"])).version
    out["start_us"] = T0 + round(values.pop("at") * 1e6)
    out["duration_us"] = round(values.pop("duration") * 1e6)
    for name in ("src", "dst"):
        out[name] = packed(values.pop(name))
    out["state"] = CONNECTION_STATES.index(values.pop("state"))
    for name in ("orig_flags", "resp_flags"):
        out[name] = sum(FLAGS[letter] for letter in values.pop(name))
    for name, value in values.items():
        out[name] = value
    return out


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
    return connection(**(values | row))


def batch(rows: Iterable[Connections]) -> ConnectionBatch:
    joined = np.concatenate(list(rows))
    joined = joined[np.argsort(joined["start_us"], kind="stable")]
    return ConnectionBatch(
        id=uuid.uuid5(uuid.NAMESPACE_OID, joined.tobytes().hex()).urn,
        sensor="sensor",
        begin_us=int(joined["start_us"][0]),
        end_us=int((joined["start_us"] + joined["duration_us"]).max()),
        packets=len(joined),
        dropped=0,
        malformed=0,
        connections=joined,
    )


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
    connection = staticmethod(connection)
    session = staticmethod(session)
    batch = staticmethod(batch)
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
            for alert in core.on_batch(batch([joined[begin : begin + step]]))
        ]


@pytest.fixture
def bench() -> Bench:
    return Bench()
