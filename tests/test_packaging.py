"""The four import names are generic; no other distribution may own one (docs/decisions/0001)."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("agents", "datasets", "ontology", "rules")


def canonical(requirement: str) -> str:
    """The distribution's name in a requirement or a pin (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~; \[]", requirement)[0]).lower()


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonical(line) for line in lines if "==" in line}


@pytest.mark.parametrize("room", HOUSE)
def test_import_name_is_ours_alone(room: str) -> None:
    owners = set(packages_distributions().get(room, []))
    assert owners <= {"ontoidps"}, f"{room!r} is also installed by {owners - {'ontoidps'}}"


def test_no_tests_package_shadows_the_code() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_direct_dependency_is_pinned() -> None:
    """`make` installs what was tested: each name of pyproject.toml has one exact version."""
    names = project()["project"]["dependencies"] + project()["dependency-groups"]["dev"]
    assert {canonical(name) for name in names} <= pins()


def test_every_pin_is_needed() -> None:
    """No pin is left over from a dependency that has gone."""
    needed: set[str] = set()
    left = project()["project"]["dependencies"] + project()["dependency-groups"]["dev"]
    while left:
        name = canonical(left.pop())
        if name not in needed:
            needed.add(name)
            try:
                # What an extra asks for may be asked for by somebody: only then it is installed.
                left += requires(name) or []
            except PackageNotFoundError:
                needed.discard(name)
    assert pins() <= needed


def imported(folder: Path) -> set[str]:
    """Top-level names of every absolute import below a folder, wherever it stands in its file."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(HOUSE)


def test_every_import_is_declared() -> None:
    """What the product imports, pyproject.toml asks for, and nobody else does it by accident."""
    owners = packages_distributions()
    declared = {canonical(name) for name in project()["project"]["dependencies"]}
    for name in set().union(*(imported(ROOT / room) for room in HOUSE)):
        by = {canonical(owner) for owner in owners.get(name, [])}
        assert by & declared, f"{name!r} comes from {by or 'nowhere'}, which is not declared"


def test_every_declared_dependency_is_imported() -> None:
    owners = packages_distributions()
    used = {
        canonical(owner)
        for room in HOUSE
        for name in imported(ROOT / room)
        for owner in owners.get(name, [])
    }
    assert {canonical(name) for name in project()["project"]["dependencies"]} <= used


def test_nothing_strays_at_the_top() -> None:
    """A tool that was cut off, or a slip of ``git add``, leaves no file beside the folders."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.split("/")[0] for line in done.stdout.splitlines()}
    assert top == {
        *(*HOUSE, "tests", "docs", "deploy", "benchmarks", ".ci", ".gitignore"),
        *("pyproject.toml", "constraints.txt", "Makefile"),
        *("README.md", "CHANGELOG.md", "LICENSE", "NOTICE"),
    }


def test_constraints_name_no_host() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
