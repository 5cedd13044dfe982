"""Hostile code inside a sensor, an analyzer, a reasoner orders no block, reads no other key, writes
no rule; also where all agents are one user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(400)]

SCRIPT = Path(__file__).parent / "lab_scripts" / "hostile_inside.py"
DENIED, FORBIDDEN = "Permission denied", "Operation not permitted"
FORGED = ("order in the supervisor's name", "order in correlation's name")


@pytest.mark.parametrize("user_namespace", [False, True], ids=["own users", "one user"])
def test_hostile_code_inside_an_agent(user_namespace: bool, tmp_path: Path) -> None:
    if not user_namespace and os.geteuid() != 0:
        pytest.skip("only root has other users to give")
    reason = why_unavailable(user_namespace=user_namespace)
    if reason is not None:
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        user_namespace=user_namespace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said, errors = process.communicate(timeout=390)
    assert process.returncode == 0, errors
    seen = json.loads(said)
    log = "\n".join(seen.pop("log"))
    assert seen["up"], log
    for who in ("sensor", "analyzer", "ontology", "console"):
        assert isinstance(seen[who], dict), (seen[who], log)
        became = dict(seen[who])
        assert became.pop("order in its own name") == "refused: role", (who, log)
        assert {became.pop(order) for order in FORGED} == {"sent"}, became
        assert became.pop("change the outbox") == "1", "its own mail is its own"
        flush = became.pop("flush the rules")
        assert flush == (FORBIDDEN if who in ("analyzer", "console") else "refused")
        assert became == {
            "write a rule": FORBIDDEN, "read the key of reaction": DENIED, "kill": "0",
        }, who  # fmt: skip
    worker = dict(seen["correlation worker"])
    assert {worker.pop(order) for order in FORGED} == {FORBIDDEN}
    assert worker == {
        "write a rule": FORBIDDEN,
        "flush the rules": FORBIDDEN,
        "read the key of reaction": DENIED,
        "change the outbox": DENIED,
        "kill": "0",
    }
    assert seen["rules after"] == seen["rules before"] and "192.0.2.99" not in seen["rules after"]
    assert seen["ended"] == [], log
    assert seen["control"] == {"order in its own name": "agree"}, (seen["control"], log)
    assert seen["control blocked"] and seen["codes"] == [0], log
