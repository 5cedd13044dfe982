"""Parts of a running honeynet are killed during attacks; the main job is done all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(400)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "resilience.py"
# Issue 2 names these two; both have room: about 1 s and 4 s on two busy cores.
BACK_LIMIT_S = 3.0
FROZEN_LIMIT_S = 6.0


def test_killed_during_an_attack_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
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
    print(json.dumps(seen, indent=1))
    back = seen.pop("server's return")
    assert back["agents"] == 13
    assert back["slowest s"] <= BACK_LIMIT_S
    assert seen["frozen"].pop("after s") <= FROZEN_LIMIT_S
    seen.pop("took s")
    wrong = {
        f"{part}: {what}": seen[part].get("figures", value)
        for part, found in seen.items()
        for what, value in found.items()
        if what != "figures" and value is not True
    }
    assert not wrong, f"{wrong}\n{log}"
