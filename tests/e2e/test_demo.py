"""The main job, whole: real agents, real XMPP, real Pellet, real nftables, real nmap and hydra."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.lab import why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(240)]

DEMO = [sys.executable, "-m", "agents.main", "demo", "--port", "0"]


def sandbox_or_skip(*, user_namespace: bool) -> None:
    reason = why_unavailable(user_namespace=user_namespace)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _temporary_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A temporary directory for this test alone; short, for a socket's path has 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        monkeypatch.setenv("TMPDIR", name)
        yield


def leftovers() -> set[str]:
    """What a demo could leave: processes of ours, and folders in the temporary directory."""
    found = {f"folder {path}" for path in Path(os.environ["TMPDIR"]).iterdir()}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (
                (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            continue
        # By our own Python: another tree's tests may run on this machine.
        if not command.startswith(f"{sys.executable} "):
            continue
        if re.search(r"agents\.(process|main up|demo)|ontology\.reasoner|datasets\.decoy", command):
            found.add(f"process {process.name}: {command}")
    return found


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user-namespace"])
def test_an_attack_ends_as_a_block_on_every_gateway(user_namespace: bool, tmp_path: Path) -> None:
    if not user_namespace and os.geteuid() != 0:
        pytest.skip("not root")
    sandbox_or_skip(user_namespace=user_namespace)
    before = leftovers()
    links = Path("/proc/net/dev").read_text().count(":")
    words = ["--user-namespace"] if user_namespace else []
    done = subprocess.run(
        [*DEMO, "--once", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NO " not in done.stdout
    for claim in (
        "12 agents up",
        "is in the kernel's block set of gw1, gw2, gw3",
        "also not the two it never touched",
        "the innocent client still reaches all three",
        "attacked as well and still reaches all three",
        "says who, where, why and how long",
        "the block ended by itself on every gateway",
    ):
        assert re.search(rf"^  yes +.*{re.escape(claim)}", done.stdout, re.M), claim
    assert "rule ScanThenBruteForce" in done.stdout
    assert leftovers() <= before
    assert list(tmp_path.iterdir()) == []
    assert Path("/proc/net/dev").read_text().count(":") == links


def test_a_taken_port_is_one_clear_line() -> None:
    sandbox_or_skip(user_namespace=os.geteuid() != 0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "agents.main", "demo", "--once", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and f"port {port} of 127.0.0.1 is taken" in done.stderr


def test_a_kill_in_the_middle_leaves_nothing() -> None:
    sandbox_or_skip(user_namespace=os.geteuid() != 0)
    before = leftovers()
    with subprocess.Popen(
        [*DEMO, "--once"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "starting 12 agents" in line:
                break
        time.sleep(1.0)  # in the middle of starting them: any moment will do
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()
        demo.wait(30)
    end = time.monotonic() + 20
    while not leftovers() <= before and time.monotonic() < end:
        time.sleep(0.1)
    assert leftovers() <= before
