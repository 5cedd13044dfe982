"""Parts of a running honeynet are killed; the main job is done all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.lab import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(400)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "resilience.py"


def test_killed_agents_server_and_firewall_come_back(tmp_path: Path) -> None:
    reason = why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said, errors = process.communicate(timeout=390)
    assert process.returncode == 0, errors
    seen = json.loads(said)
    log = "\n".join(seen.pop("log"))
    assert seen.pop("status") == 0
    assert seen.pop("lift") == 0
    assert seen.pop("exit codes") == [0, 0, 0, 0]
    assert all(count >= 1 for count in seen.pop("restarts").values())
    assert all(seen.values()), f"{seen}\n{log}"
