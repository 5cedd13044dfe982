"""`deploy/setup.sh` with a stand-in for Python: what it makes, what it mends, what it leaves."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PYTHON = r"""#!/usr/bin/env bash
# What the set-up asks of Python: its version, `-m venv --clear FOLDER`, `-m pip …`.
here=$(dirname "$0")
case "$*" in
  "-m pip --version")
    [ ! -e "$here/pip" ] || echo "pip 26 from $(cat "$here/pip")/lib/python3.11/site-packages/pip"
    exit ;;
  "-m venv --clear "*)
    rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "$(pwd -P)/$4" >"$4/bin/pip" ;;
  *--editable*)
    printf '#!/bin/sh\nexec %s/python -c ""\n' "$here" >"$here/ontoidps"
    chmod 755 "$here/ontoidps" ;;
esac
echo "$*" >>"$SAID"
"""


class House:
    """A tree with just what the set-up reads; ``run`` says what it asked of Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "house"
        (self.folder / "deploy").mkdir(parents=True)
        for name in ("deploy/setup.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.folder / name)
        self._tools, self._said = folder / "bin", folder / "said"
        self._tools.mkdir()
        (self._tools / "python3").write_text(PYTHON)
        (self._tools / "python3").chmod(0o755)

    def run(self) -> list[str]:
        self._said.write_text("")
        done = subprocess.run(
            [self.folder / "deploy" / "setup.sh", "python"],
            env={"PATH": f"{self._tools}:{os.environ['PATH']}", "SAID": str(self._said)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        words = [line.split() for line in self._said.read_text().splitlines()]
        return [" ".join(w[1:3]) for w in words if w[0] == "-m"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


CACHED = "ontology.reasoner.class_cache ontology/ontoidps.owl"
MADE = ["venv --clear", "pip install", "pip install", CACHED]


def test_the_second_run_does_nothing(house: House) -> None:
    assert house.run() == MADE
    assert house.run() == []


def test_what_is_installed_is_renewed_when_the_pins_change(house: House) -> None:
    house.run()
    with (house.folder / "constraints.txt").open("a") as pins:
        pins.write("# another\n")
    assert house.run() == MADE[1:]
    assert house.run() == []


@pytest.mark.parametrize(
    ("gone", "asked"),
    [
        (".made-from", MADE[1:]),
        (".made-from bin/pip", MADE),
        (".made-from bin/python", MADE),
        ("bin/python", MADE),
        ("bin/ontoidps", MADE[1:]),
    ],
)
def test_a_half_made_environment_is_mended(house: House, gone: str, asked: list[str]) -> None:
    """Cut off in the middle, or its Python taken away by an upgrade."""
    house.run()
    for name in gone.split():
        (house.folder / ".venv" / name).unlink()
    assert house.run() == asked
    assert house.run() == []


def test_a_copied_tree_gets_an_environment_of_its_own(house: House) -> None:
    """The scripts of a copied ``.venv`` would run the code of the tree that it came from."""
    house.run()
    copy = house.folder.with_name("copy")
    shutil.copytree(house.folder, copy)
    house.folder = copy
    assert house.run() == MADE
