"""Ways past closed folders, in processes with a mount namespace of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CODE = """\
import json, os, sys
from pathlib import Path
from agents.base.mount_view import open_ways
closed, wanted, tries = json.loads(sys.argv[1])
open_ways(map(Path, closed), map(Path, wanted))
os.setgroups([]); os.setgid(1900000001); os.setuid(1900000001)
became = []
for path in tries:
    try:
        became.append(sorted(os.listdir(path)) if os.path.isdir(path) else Path(path).read_text())
    except OSError as e:
        became.append(e.strerror)
print(json.dumps(became))
"""


def seen(closed: list[Path], wanted: list[Path], tries: list[Path]) -> list[object]:
    given = json.dumps([[str(path) for path in paths] for paths in (closed, wanted, tries)])
    done = subprocess.run(
        # Not behind a closed folder itself: it has to be imported before the ways are open.
        [sys.executable, "-c", CODE, given],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder like /root, which only root may enter."""
    made = tmp_path / "root"
    for name in ("code/deep", "state", "secrets"):
        (made / name).mkdir(parents=True)
        (made / name / "file").write_text(name)
        (made / name / "file").chmod(0o644)
    (made / "state" / "private").write_text("owner's")
    (made / "state" / "private").chmod(0o600)
    made.chmod(0o700)
    return made


def closed_of(home: Path) -> list[Path]:
    """`home`, or what is closed above it."""
    return [p for p in reversed(home.parents) if not p.stat().st_mode & 1][:1] or [home]


def test_only_what_is_wanted_is_there_and_keeps_its_modes(home: Path) -> None:
    found = seen(
        closed_of(home),
        [home / "code", home / "state", home / "state" / "file", home / "absent"],
        [
            home,
            home / "code" / "deep" / "file",
            home / "state" / "file",
            home / "state" / "private",
            home / "secrets" / "file",
        ],
    )
    denied, absent = "Permission denied", "No such file or directory"
    assert found == [denied, "code/deep", "state", denied, absent]
    # The host sees what it saw.
    assert (home / "secrets" / "file").read_text() == "secrets"
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_single_file_and_a_new_one_in_a_folder(home: Path) -> None:
    found = seen(
        closed_of(home),
        [home / "secrets" / "file"],
        [home / "secrets" / "file", home / "code" / "deep" / "file"],
    )
    assert found == ["secrets", "No such file or directory"]


def test_nothing_closed_needs_no_way(tmp_path: Path) -> None:
    assert seen([], [tmp_path], [Path("/usr/bin")])[0]
