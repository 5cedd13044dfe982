"""The structure: what pyproject.toml forbids to import fails, and its list of cores is whole."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("agents", "datasets", "ontology", "rules")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
(CORES,) = (contract for contract in CONTRACTS if contract["name"].startswith("cores know"))

# Rooms whose modules are no cores, though some happen to import neither thread nor clock.
NO_CORES = {
    "agents.main": "the command line",
    "agents.commands": "the command line",
    "agents.demo": "runs the laboratory",
    "agents.evaluation": "measures by the clock",
    "agents.offline": "reads and writes whole files",
    "agents.base.mount_view": "mounts",
    "agents.base.privileges": "changes what its process may",
    "agents.base.users": "asks the kernel who it is",
    "agents.launcher": "starts processes",
    "agents.console": "a web server",
    "agents.messages.acl": "SPADE's messages",
    "agents.ontology.query_worker": "a process",
    "agents.plugins": "looks among the installed packages",
    "datasets.laboratory": "namespaces of the kernel",
    "datasets.recipe": "runs the laboratory",
    "ontology.checking.logic_worker": "a process, with a JVM",
    "ontology.landlock": "changes what its process may",
    "ontology.reasoner.pellet": "the JVM",
    "ontology.reasoner.premises": "the JVM",
}


def under(module: str, rooms: Iterable[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """The contracts on the tree in ``folder``."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """The Python files of the house, to be spoilt."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            place = tmp_path / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    yield tmp_path


def test_the_contracts_hold() -> None:
    assert "0 broken" in lint(ROOT).stdout


@pytest.mark.parametrize(
    ("place", "line", "broken"),
    [
        ("agents/sensor/flows/table.py", "import time", "cores know"),
        ("rules/scenarios/compile.py", "from threading import Lock", "cores know"),
        # Not itself, but by way of a shell.
        ("agents/analyzer/scans.py", "import agents.base.delivery", "cores know"),
        ("ontology/chainer/joins.py", "import ontology.checking.logic", "cores know"),
        ("ontology/records.py", "import rules.shipped_files", "floors of the house"),
        ("agents/reaction/policy.py", "import agents.supervisor.ledger", "agents talk by message"),
        ("agents/sensor/flows/keys.py", "import agents.sensor.payloads.content", "no circle"),
        ("ontology/chainer/program.py", "import ontology.checking.check_files", "no circle"),
        ("agents/trust/roles.py", "import spade", "know SPADE"),
        ("agents/sensor/payloads/telnet.py", "import re", "linear time"),
        ("agents/sensor/inputs/eve.py", "from re import compile", "linear time"),
        ("agents/analyzer/scans.py", "import fnmatch", "linear time"),
    ],
)
def test_a_broken_contract_is_named(copy: Path, place: str, line: str, broken: str) -> None:
    with (copy / place).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    said = lint(copy)
    assert said.returncode == 1
    failed = [row for row in said.stdout.splitlines() if " BROKEN" in row]
    assert any(broken in row for row in failed)


def test_every_pure_module_is_listed_as_a_core() -> None:
    """What keeps the rule of the cores today is listed, so that it keeps it tomorrow."""
    graph = grimp.build_graph(*FLOORS, include_external_packages=True, cache_dir=None)
    for allowed in CORES["ignore_imports"]:
        importer, _, imported = allowed.partition(" -> ")
        graph.remove_import(importer=importer, imported=imported)
    forbidden = set(CORES["forbidden_modules"])
    pure = {
        module
        for module in graph.modules
        if under(module, FLOORS)
        and not graph.find_children(module)
        and not forbidden & graph.find_upstream_modules(module)
    }
    assert (
        sorted(m for m in pure if not under(m, CORES["source_modules"]) | under(m, NO_CORES)) == []
    )


def test_no_core_is_listed_that_is_gone() -> None:
    modules = grimp.build_graph(*FLOORS, cache_dir=None).modules
    assert sorted({*CORES["source_modules"], *NO_CORES} - modules) == []
