"""Real traffic through a real gateway, once for each way to get a network namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.laboratory import network as lab
from datasets.laboratory.network import run_in_sandbox, why_unavailable

TRAFFIC = Path(__file__).with_name("lab_scripts") / "traffic.py"
SETPRIV = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# What needs a minute of real time runs once; this much runs in every way.
EVERYWHERE = ("block_and_lift", "established", "allow_list", "restart", "bulk")

_STARTER = """
import subprocess, sys
from datasets.laboratory.network import run_in_sandbox, why_unavailable
reason = why_unavailable()
if reason: sys.exit(reason)
with run_in_sandbox([sys.executable, *sys.argv[1:]]) as process:
    sys.exit(process.wait())
"""


def _other_python() -> tuple[str, dict[str, str]] | str:
    """(interpreter, environment) that user 65534 can run our code with, or why there is none."""
    if os.geteuid() != 0:
        return "already an ordinary user"
    paths = [Path(lab.__file__).parents[2], Path(np.__file__).parents[1]]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    check = "import sys, subprocess, ontology.records as r; subprocess.check_call([sys.executable])"
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run(
            [*SETPRIV, python, "-c", check],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return python, environment
    return "user 65534 can't run a Python with this checkout (file permissions)"


@cache
def _run(way: str) -> dict[str, Any] | str:
    """The results of all scenarios, or the reason to skip."""
    if way == "ordinary-user":
        found = _other_python()
        if isinstance(found, str):
            return found
        python, environment = found
        done = subprocess.run(
            [*SETPRIV, python, "-c", _STARTER, str(TRAFFIC), *EVERYWHERE],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        user_namespace = True if way == "user-namespace" else None
        if reason := why_unavailable(user_namespace=user_namespace):
            return reason
        names = EVERYWHERE if user_namespace else ()
        with run_in_sandbox(
            [sys.executable, str(TRAFFIC), *names],
            user_namespace=user_namespace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            out, err = process.communicate(timeout=110)
        code = process.returncode
    if code != 0:
        raise AssertionError(f"traffic.py: exit {code}: {err}")
    results: dict[str, Any] = json.loads(out)
    return results


Traffic = Callable[[str], dict[str, Any]]


@pytest.fixture(params=["as-is", "user-namespace", "ordinary-user"])
def everywhere(request: pytest.FixtureRequest) -> Traffic:
    """What happened in one of the scenarios `EVERYWHERE`."""
    return _lookup(request.param)


@pytest.fixture
def traffic() -> Traffic:
    """What happened in any scenario."""
    return _lookup("as-is")


def _lookup(way: str) -> Traffic:
    results = _run(way)
    if isinstance(results, str):
        pytest.skip(results)

    def lookup(name: str) -> dict[str, Any]:
        result: dict[str, Any] = results[name]
        assert "exception" not in result, result
        return result

    return lookup
