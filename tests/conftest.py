"""Imported before any test: `agents` puts its stand-ins for SPADE's bundled parts in place, so that
a test may import ``spade`` first."""

import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import agents  # noqa: F401
from ontology.taxonomy import put_in_force

HERE = Path(__file__).parent

# Time limits are the suite's (pytest-timeout): on a busy machine an example may take its time.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

SLOW = {
    # A JVM, or thousands of windows.
    "agents/base/test_confinement.py",
    "agents/correlation/test_agent.py",
    "agents/correlation/test_agent_cells.py",
    "agents/correlation/test_assessment.py",
    "agents/correlation/test_engine.py",
    "agents/correlation/test_ratings.py",
    "agents/correlation/test_memory.py",
    "agents/correlation/test_pipeline.py",
    "agents/correlation/test_response.py",
    "agents/correlation/test_scenarios.py",
    "agents/correlation/test_windowing.py",
    "agents/knowledge/test_receiver.py",
    "agents/knowledge/test_sources.py",
    "agents/ontology/test_agent.py",
    "agents/ontology/test_clusters.py",
    "agents/ontology/test_facts.py",
    "agents/ontology/test_publication.py",
    "e2e/test_explanations.py",
    "ontology/authoring/test_documentation.py",
    "ontology/chainer/test_chainer.py",
    "ontology/checking/test_check_files.py",
    "ontology/reasoner/test_client.py",
    "ontology/reasoner/test_explanations.py",
    "ontology/test_clusters_file.py",
    "ontology/test_ontology_file.py",
    "rules/scenarios/test_attack_models.py",
    "rules/test_mixtures.py",
    "rules/test_samples.py",
    # Training, whole captures, floods.
    "agents/analyzer/test_case_clusters.py",
    "agents/analyzer/test_clustering.py",
    "agents/analyzer/test_drift.py",
    "agents/analyzer/test_floods.py",
    "agents/analyzer/test_hybrid_training.py",
    "agents/analyzer/test_scans.py",
    "agents/commands/test_evaluate.py",
    "agents/commands/test_evaluate_correlation.py",
    "agents/commands/test_ontology.py",
    "agents/commands/test_replay.py",
    "agents/commands/test_replay_logs.py",
    "agents/commands/test_train.py",
    "agents/evaluation/test_kdd.py",
    "agents/evaluation/test_nsl_kdd.py",
    "agents/sensor/capture/test_dissection.py",
    "agents/sensor/inputs/test_hostile.py",
    "agents/sensor/signatures/test_alerts.py",
    "agents/sensor/signatures/test_match_process.py",
    "agents/test_memory_bounds.py",
    "datasets/captures/test_pcap.py",
    # Thousands of examples.
    "agents/messages/test_acl.py",
    # Installs or builds a distribution, runs every agent, or is left to chance.
    "agents/test_plugins.py",
    "fuzz/test_fuzz.py",
    "test_packaging.py",
    "test_setup.py",
}
"""Modules that `make test-fast` leaves out: those that take more than some three seconds."""

WHOLE_MACHINE = {
    "e2e/test_cells.py",
    "e2e/test_clocks.py",
    "e2e/test_contact_flood.py",
    "e2e/test_demo.py",
    "e2e/test_disk_faults.py",
    "e2e/test_hostile_inside.py",
    "e2e/test_nodes_alone.py",
    "e2e/test_resilience.py",
    "e2e/test_states.py",
    "e2e/test_two_disks.py",
}
"""Modules whose tests run a whole honeynet that has to answer in seconds: one of them at a time."""


def _needs_all(item: pytest.Item) -> bool:
    path = item.path
    return path.is_relative_to(HERE) and path.relative_to(HERE).as_posix() in WHOLE_MACHINE


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Waits for its turn before the test's time limit begins to run."""
    if _needs_all(item):
        turn = HERE.parent / ".pytest_cache" / "whole-machine.lock"
        turn.parent.mkdir(exist_ok=True)
        with turn.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return (yield)
    return (yield)


LIVE = ("xmpp", "root", "browser", "e2e")
"""Marks of tests that wait for servers, kernels and agents, three at a time on two cores."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of `SLOW`. Those that take turns come first, so that they fall to one process
    (pytest-xdist hands out neighbours) and no other has to wait for it. What fails among the `LIVE`
    is tried once more, for other tests may have had both cores; it is shown, and the closing line
    counts it."""
    items.sort(key=lambda item: not _needs_all(item))
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.relative_to(HERE).as_posix() in SLOW:
            item.add_marker(pytest.mark.slow)
        if any(item.get_closest_marker(mark) for mark in LIVE):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """As pytest's, but not for its owner alone: agents that root starts are other users."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.fixture(autouse=True)
def _installed_classes() -> Iterator[None]:
    """Agents put other classes in force for their whole process."""
    yield
    put_in_force(None)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Commands set logging up for their process; what they leave writes into a closed stream."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = [
        h for h in root.handlers if h in handlers or "_pytest" in type(h).__module__
    ]
    root.setLevel(level)
