"""The four import names are generic; no other distribution may own one (docs/decisions/0001)."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("room", ("agents", "datasets", "ontology", "rules"))
def test_import_name_is_ours_alone(room: str) -> None:
    owners = set(packages_distributions().get(room, []))
    assert owners <= {"ontoidps"}, f"{room!r} is also installed by {owners - {'ontoidps'}}"


def test_no_tests_package_shadows_the_code() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_direct_dependency_is_pinned() -> None:
    """`make` installs what was tested: each name of pyproject.toml has one exact version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    for requirement in names:
        name = re.split(r"[<>=!~ ]", requirement)[0].lower()
        assert name in pinned, f"{requirement} has no pin in constraints.txt"


def test_constraints_name_no_host() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
