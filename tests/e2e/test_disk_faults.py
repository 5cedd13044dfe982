"""A disk fails under a live node; passwords guessed meanwhile are seen, and all goes on after."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(520)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "disk_faults.py"


def run(tmp_path: Path, scenario: str) -> dict[str, Any]:
    reason = why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path), scenario],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    seen: dict[str, Any] = json.loads(said)
    log = "\n".join(seen.pop("log"))
    assert all(seen["up"]) and seen["during"] is not None, f"{seen}\n{log}"
    assert seen["after"] is not None, f"{seen}\n{log}"
    assert not any(seen["task_errors"].values()), log
    return seen


@pytest.mark.parametrize("scenario", ["full", "full_at_start"])
def test_the_disk_is_full(tmp_path: Path, scenario: str) -> None:
    seen = run(tmp_path, scenario)
    code, text = seen["status"]
    assert code == 3 and "messages.fipa: full" in text and "No space left" in text
    assert seen["well again"], seen["left"]
    assert seen["archive goes on"] and seen["log lines"] < 400


def test_the_disk_becomes_read_only(tmp_path: Path) -> None:
    seen = run(tmp_path, "read_only")
    code, text = seen["status"]
    assert code == 3 and "messages.fipa: read-only" in text, text
    assert seen["well again"], seen["left"]
    assert seen["archive goes on"] and seen["log lines"] < 400


def test_files_are_damaged(tmp_path: Path) -> None:
    seen = run(tmp_path, "damaged")
    code, text = seen["status"]
    assert code == 3
    for name in ("ledger.sqlite3", "alerts.sqlite3", "blocks.sqlite3", "mail.sqlite3", "archive"):
        assert f"{name}: was damaged, is set aside as {name}.damaged-" in text, name


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    seen = run(tmp_path, "no_descriptors")
    assert seen["same processes"] and seen["archive goes on"]
