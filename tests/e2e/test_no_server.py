"""A node does its whole work, from packet to block, with no XMPP server anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(240)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "alone.py"


def test_an_attack_is_blocked_by_a_node_that_is_alone(tmp_path: Path) -> None:
    reason = why_unavailable()
    if reason is not None:
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said, errors = process.communicate(timeout=230)
    assert process.returncode == 0, errors
    seen = json.loads(said)
    log = "\n".join(seen.pop("log"))
    assert seen["up"] and seen["blocked"], f"{seen}\n{log}"
    assert seen["launcher"] == 0 and seen["sockets left"] == 0, log
    for role, health in seen["agents"].items():
        assert not health["connected"] and health["server_error"], role
        assert health["counters"].get("task_errors", 0) == 0, role
    analyzer = seen["agents"]["analyzer"]["counters"]
    assert analyzer["batches"] >= 1 and analyzer["received"] > analyzer["batches"]
