"""The laboratory works as root and as an ordinary user, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datasets.laboratory import network as lab
from datasets.laboratory.network import Lab, LabError, run_in_sandbox, why_unavailable
from datasets.laboratory.topology import MAX_GATEWAYS, build_honeynet

HONEYNET = Path(__file__).with_name("lab_scripts") / "honeynet.py"

pytestmark = pytest.mark.root


@pytest.fixture(params=[None, True], ids=["as-is", "user-namespace"])
def user_namespace(request: pytest.FixtureRequest) -> bool | None:
    value: bool | None = request.param
    reason = why_unavailable(user_namespace=value)
    if reason:
        pytest.skip(reason)
    return value


def _run(
    argv: list[str], *, user_namespace: bool | None = None, timeout: float = 60
) -> tuple[int, str, str]:
    with run_in_sandbox(
        argv,
        user_namespace=user_namespace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def _gone(pid: int, limit_s: float = 10.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_honeynet_carries_ipv4_and_ipv6(user_namespace: bool | None) -> None:
    code, out, err = _run([sys.executable, str(HONEYNET)], user_namespace=user_namespace)
    assert code == 0, err
    result = json.loads(out)
    assert result["interfaces"] == ["lo"]
    assert result["alive"] == []
    assert result["management_reachable"] is False
    source = {"attacker": 66, "client": 10, "monitor": 20}
    seen = result["seen"]
    assert len(seen) == 3 * 4 + 2 * 2
    for name, number in source.items():
        for gateway in (1, 2):
            assert seen[f"{name}>198.51.100.{16 * gateway + 2}"] == f"::ffff:192.0.2.{number}"
            assert seen[f"{name}>2001:db8:2:{gateway}::2"] == f"2001:db8:1::{number:x}"
    assert seen["gw2>203.0.113.1"] == "::ffff:203.0.113.12"


def test_exit_code_is_the_commands(user_namespace: bool | None) -> None:
    assert _run(["sh", "-c", "exit 7"], user_namespace=user_namespace)[0] == 7
    assert _run(["sh", "-c", "kill -TERM $$"], user_namespace=user_namespace)[0] == 143
    code, _, err = _run(["no-such-command"], user_namespace=user_namespace)
    assert code == 127
    assert "no-such-command" in err


def _sleeper(user_namespace: bool | None) -> tuple[lab.SandboxProcess, int]:
    """A sandbox whose command sleeps; and the command's pid as seen from outside."""
    process = run_in_sandbox(
        ["sh", "-c", "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done"],
        user_namespace=user_namespace,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (init,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, int(init)


def test_terminate_reaches_the_command(user_namespace: bool | None) -> None:
    process, _ = _sleeper(user_namespace)
    with process:
        process.terminate()
        out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == ("stopped\n", 3)


def test_kill_leaves_no_process(user_namespace: bool | None) -> None:
    process, init = _sleeper(user_namespace)
    with process:
        process.kill()
        process.wait(10)
    assert _gone(init)


def test_sandbox_ends_when_its_starter_is_killed() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
    starter = (
        "import sys\nfrom datasets.laboratory.network import run_in_sandbox\n"
        "p = run_in_sandbox(['sleep', '1000'])\nprint(p.pid, flush=True)\np.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        unshare = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    assert _gone(unshare)


def test_lab_refuses_the_host_network() -> None:
    with pytest.raises(LabError, match="run_in_sandbox"), Lab():
        pass


@pytest.mark.parametrize("name", ["", "-x", "a" * 16, "a/b", "a b", "UP", "../x"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(LabError, match="name"):
        Lab().namespace(name)


@pytest.mark.parametrize("gateways", [0, MAX_GATEWAYS + 1])
def test_number_of_gateways_is_checked(gateways: int) -> None:
    with pytest.raises(LabError, match="gateways"):
        build_honeynet(Lab(), gateways)


def test_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(lab, "_SBIN", ())
    why_unavailable.cache_clear()
    try:
        assert why_unavailable() == "the command 'unshare' is missing (Debian package util-linux)"
    finally:
        why_unavailable.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="already an ordinary user")
def test_ordinary_user() -> None:
    """Really another user: another interpreter if that user can't run ours."""
    me = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    root = str(Path(lab.__file__).parents[2])
    check = (
        "import datasets.laboratory.network, subprocess, sys\n"
        "subprocess.check_call([sys.executable, '-c', ''])"
    )
    for python in (sys.executable, "/usr/bin/python3"):
        found = subprocess.run(
            [*me, python, "-c", check],
            env={"PATH": os.defpath, "PYTHONPATH": root},
            capture_output=True,
            check=False,
        )
        if found.returncode == 0:
            break
    else:
        pytest.skip("user 65534 can't run any Python 3.11 with this checkout (file permissions)")
    program = (
        "import sys\nfrom datasets.laboratory.network import *\n"
        "assert why_unavailable() is None, why_unavailable()\n"
        f"with run_in_sandbox([sys.executable, {str(HONEYNET)!r}]) as p: sys.exit(p.wait())\n"
    )
    done = subprocess.run(
        [*me, python, "-c", program],
        env={"PATH": os.defpath, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["seen"]) == 16
