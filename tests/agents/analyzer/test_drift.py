from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.drift import BOUND, MAX_SOURCES, SOURCES, WINDOW_US, GuardedDrift
from agents.analyzer.features import FEATURES
from agents.analyzer.findings import View
from agents.analyzer.model_file import ModelError

WIDTH = len(FEATURES)
RADIUS = 1.5
AXIS = np.eye(WIDTH)


def trained(label: str = "Normal") -> ClusterModel:
    """One cluster in the middle, and one of attacks far off."""
    return ClusterModel(
        centers=np.stack([np.full(WIDTH, 0.5), np.full(WIDTH, 5.0)]),
        labels=(label, "SynFlood"),
        purity=np.ones(2),
        radius=np.array([RADIUS, 1.0]),
        sizes=np.array([1000, 1000]),
    )


class World:
    """Windows of connections whose features are chosen freely, through one drift."""

    def __init__(self, bench: Any, model: ClusterModel | None = None) -> None:
        self.bench = bench
        self.trained = model or trained()
        self.drift = GuardedDrift(self.trained)
        self.model = self.drift.moved(self.trained)
        self.window = 0

    def play(
        self, features: NDArray[np.float64], sources: list[str], *, alerts: Any = (), **row: Any
    ) -> None:
        """One window: a connection per row of ``features``."""
        at = self.window * (WINDOW_US / 1e6 + 1)
        rows = np.concatenate([self.bench.session(at=at, src=s, **row) for s in sources])
        view = View(rows, self.model.assign(features), features)
        if self.drift.on_view(view, alerts, self.model):
            self.model = self.drift.moved(self.model)
        self.window += 1

    @property
    def moved(self) -> float:
        return float(np.linalg.norm(self.drift.offsets[0]))


def hosts(number: int, net: str = "192.0.2") -> list[str]:
    return [f"{net}.{i}" for i in range(1, number + 1)]


def around(offset: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    return np.repeat(0.5 + offset[None], number, axis=0)


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, WIDTH - 1), st.floats(-1.0, 1.0), st.integers(1, 20), st.booleans()
        ),
        max_size=40,
    )
)
def test_no_drift_passes_the_bound(bench: Any, steps: list[tuple[int, float, int, bool]]) -> None:
    """An attacker with as many verified sources as he likes, who sees where the centre is."""
    world = World(bench)
    for axis, push, sources, follow in steps:
        start = world.drift.offsets[0] if follow else np.zeros(WIDTH)
        world.play(around(start + push * RADIUS * AXIS[axis], sources), hosts(sources))
        assert world.moved <= BOUND * RADIUS + 1e-9
        assert (world.drift.offsets[1] == 0).all()


def test_a_slow_leader_is_stopped_at_the_bound(bench: Any) -> None:
    """He has all sources, stays just inside of what counts, and pulls for days."""
    world = World(bench)
    for _ in range(400):
        ahead = min(world.drift.offsets[0, 0] + 0.9 * RADIUS, 0.999 * RADIUS)
        world.play(around(ahead * AXIS[0], 20), hosts(20))
    assert world.moved == pytest.approx(BOUND * RADIUS, abs=1e-9)
    # Where he wanted to be stays novel: two radii from where training put the centre.
    assert world.model.assign(around(2 * RADIUS * AXIS[0], 1)).novel.all()


def test_one_source_among_others_adds_at_most_its_share(bench: Any) -> None:
    world = World(bench)
    others = SOURCES - 1
    for _ in range(200):
        shift = np.concatenate([around(0.99 * RADIUS * AXIS[0], 50), around(0 * AXIS[0], others)])
        world.play(shift, ["203.0.113.9"] * 50 + hosts(others))
    assert 0 < world.moved <= RADIUS / SOURCES + 1e-9


def test_honest_change_is_followed(bench: Any) -> None:
    """All clients change by a sixth of the radius: within 40 windows the centre is there."""
    dice = np.random.default_rng(1)
    world = World(bench)
    change = RADIUS / 6 * AXIS[3]
    for _ in range(40):
        world.play(around(change, 12) + dice.normal(0, 0.01, (12, WIDTH)), hosts(12))
    assert np.linalg.norm(world.drift.offsets[0] - change) < 0.1 * RADIUS / 6
    assert world.drift.revision >= 35


@pytest.mark.parametrize(
    "how",
    ["few sources", "one IPv6 network", "unverified", "novel", "attack cluster", "accused"],
)
def test_who_does_not_count(how: str, bench: Any) -> None:
    world = World(bench, trained("SynFlood" if how == "attack cluster" else "Normal"))
    sources, push, row = hosts(20), 0.5, {}
    if how == "few sources":
        sources = hosts(SOURCES - 1) * 3
    elif how == "one IPv6 network":
        sources = [f"2001:db8::{i:x}" for i in range(1, 21)]
    elif how == "unverified":
        row = {"orig_flags": "S", "state": "S0"}
    elif how == "novel":
        push = 1.01
    for _ in range(5):
        alerts: list[Any] = []
        if how == "accused":
            core = bench.core(honeypots=[bench.victim])
            alerts = core.on_batch(bench.batch([bench.connection(src=s) for s in sources]))
            # In the packets' time of this window.
            alerts = [replace(a, end_us=bench.t0 + world.window * WINDOW_US) for a in alerts]
        world.play(around(push * RADIUS * AXIS[0], len(sources)), sources, alerts=alerts, **row)
    assert world.moved == 0
    assert world.drift.revision == 0


def test_an_alert_later_in_the_window_takes_back_what_its_source_gave(bench: Any) -> None:
    world = World(bench)
    world.play(around(0.5 * RADIUS * AXIS[0], 20), hosts(20))
    core = bench.core(honeypots=[bench.victim])
    alerts = core.on_batch(bench.batch([bench.connection(src=s) for s in hosts(20)]))
    world.play(around(0 * AXIS[0], 20), hosts(20, "198.51.100"), alerts=alerts)
    assert world.moved == 0


def test_state_is_bounded(bench: Any) -> None:
    world = World(bench)
    sources = [f"10.{i // 200}.0.{i % 200 + 1}" for i in range(3 * MAX_SOURCES)]
    world.play(around(0 * AXIS[0], len(sources)), sources)
    assert sum(map(len, world.drift._shares.values())) == MAX_SOURCES
    assert world.drift.counters()["drift_refused"] == 2 * MAX_SOURCES


def test_what_is_kept_is_checked_when_it_comes_back(bench: Any) -> None:
    world = World(bench)
    for _ in range(10):
        world.play(around(0.3 * RADIUS * AXIS[0], 12), hosts(12))
    arrays = world.drift.arrays()
    again = GuardedDrift(world.trained)
    again.restore(arrays)
    assert (again.offsets == world.drift.offsets).all()
    assert again.revision == world.drift.revision > 0
    other = GuardedDrift(replace(world.trained, radius=np.array([1.0, 1.0])))
    with pytest.raises(ModelError, match="another model"):
        other.restore(arrays)
    for name, value, said in (
        ("offsets", np.full((2, WIDTH), 1.0), "farther than 0.25"),
        ("offsets", np.full((2, WIDTH), np.nan), "finite"),
        ("offsets", np.zeros((1, WIDTH)), "finite and"),
        ("version", np.array(9), "version 9"),
        ("revision", np.array(-1), "negative"),
    ):
        with pytest.raises(ModelError, match=said):
            GuardedDrift(world.trained).restore(arrays | {name: value})


def test_names_that_an_analyst_gave_stay_with_the_moved_centres(bench: Any) -> None:
    world = World(bench)
    renamed = replace(world.model, labels=("SynScan", "SynFlood"))
    assert world.drift.moved(renamed).labels == ("SynScan", "SynFlood")
