"""A folder of state is one process's, on disks of every kind."""

import os
from pathlib import Path

import pytest

from agents.base.state_folder import locked
from tests.agents.base.small_disk import run_on_small_disk


class Told(dict[str, str]):
    def fault(self, name: str, reason: str) -> None:
        self[name] = reason

    def clear(self, name: str) -> None:
        self.pop(name, None)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    with locked(folder, "a@x", Told()):
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(RuntimeError, match=r"a@x is already running"):
            with locked(folder, "a@x", Told()):
                pass
    with locked(folder, "a@x", Told()):
        pass


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with locked(tmp_path, "a@x", Told()):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("existing", ["lock", "folder", "nothing"])
def test_on_a_read_only_disk_what_exists_is_locked(tmp_path: Path, existing: str) -> None:
    run_on_small_disk(
        tmp_path,
        f"existing = {existing!r}\n"
        + """
from agents.base.state_folder import locked
from tests.agents.base.test_state_folder import Told
if existing != "nothing":
    (disk / "s").mkdir()
if existing == "lock":
    (disk / "s" / "lock").touch()
remount("ro")
told = Told()
with locked(disk / "s", "a@x", told):
    refused = False
    try:
        with locked(disk / "s", "a@x", told):
            pass
    except RuntimeError:
        refused = True
assert refused == (existing != "nothing")
assert bool(told) == (existing == "nothing"), told
""",
    )
