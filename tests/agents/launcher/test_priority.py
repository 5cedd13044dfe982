"""Priorities as the kernel has them, each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/self/autogroup").exists(),
    reason="only root may raise itself, and the kernel must schedule by sessions",
)

CODE = """\
import json, os, sys
from pathlib import Path
from agents.launcher.priority import raise_priority, settle
os.setpriority(os.PRIO_PROCESS, 0, 5 if sys.argv[1] == "chosen" else 0)
if sys.argv[1] == "nobody":
    os.setgid(65534); os.setuid(65534)
if sys.argv[1] == "in a terminal" and os.fork() != 0:
    os.wait()
    sys.exit()
raised = raise_priority()
def group(): return int(Path("/proc/self/autogroup").read_text().rpartition(" ")[2])
seen = {"raised": raised, "parent": [os.nice(0), group()]}
for role in ("analyzer", "ontology"):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        fresh = group()
        settle(role)
        os.write(writing, json.dumps([os.nice(0), fresh, group()]).encode())
        os._exit(0)
    os.wait()
    seen[role] = json.loads(os.read(reading, 1000))
print(json.dumps(seen))
"""


def observe(who: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, who],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        start_new_session=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_pipeline_goes_first_and_what_no_block_waits_for_does_not() -> None:
    assert observe("root") == {
        "raised": True,
        "parent": [-10, -10],
        "analyzer": [-10, 0, -10],
        "ontology": [0, 0, 0],
    }


def test_what_else_runs_in_its_terminal_goes_before_nobody() -> None:
    """With the session raised, a loop in the shell that started the launcher starved the ontology
    agent: half a minute for what takes two seconds."""
    assert observe("in a terminal") == {
        "raised": True,
        "parent": [-10, 0],
        "analyzer": [-10, 0, -10],
        "ontology": [0, 0, 0],
    }


def test_an_ordinary_user_runs_as_before() -> None:
    assert observe("nobody") == {
        "raised": False,
        "parent": [0, 0],
        "analyzer": [0, 0, 0],
        "ontology": [0, 0, 0],
    }


def test_who_started_it_with_nice_has_decided() -> None:
    assert observe("chosen") == {
        "raised": False,
        "parent": [5, 0],
        "analyzer": [5, 0, 5],
        "ontology": [5, 0, 5],
    }
