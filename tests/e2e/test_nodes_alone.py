"""Every gateway decides alone: with supervisor, XMPP server or another node dead, the attack on its
honeypot is blocked there as fast as ever, and everywhere else once they are back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(400)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "nodes_alone.py"


def test_a_node_blocks_alone_and_the_others_follow(tmp_path: Path) -> None:
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
    figures = seen.pop("figures")
    wrong = {
        f"{part}: {what}"
        for part, found in seen.items()
        for what, value in found.items()
        if value is not True
    }
    assert not wrong, f"{wrong}\n{figures}\n{log}"
