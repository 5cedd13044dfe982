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

from datasets.laboratory.network import why_unavailable

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.timeout(240)]

DEMO = [sys.executable, "-m", "agents.main", "demo", "--port", "0"]


def sandbox_or_skip(*, user_namespace: bool) -> None:
    reason = why_unavailable(user_namespace=user_namespace)
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def mark() -> Iterator[Path]:
    """A folder for the demo's temporary files, which tells its processes from all others here."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def demo_in(mark: Path) -> dict[str, str]:
    """The demo's environment; its processes inherit it."""
    return os.environ | {"TMPDIR": str(mark)}


def leftovers(mark: Path) -> list[str]:
    """What a demo could leave: processes of its own, and files where it was started or worked."""
    found = [f"file {path}" for path in mark.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            continue  # it has just ended, or is another user's
        if f"TMPDIR={mark}".encode() in environment:
            found.append(f"process {process.name}: {command.decode(errors='replace')}")
    return found


@pytest.mark.parametrize("user_namespace", [False, True], ids=["root", "user-namespace"])
def test_an_attack_ends_as_a_block_on_every_gateway(user_namespace: bool, mark: Path) -> None:
    if not user_namespace and os.geteuid() != 0:
        pytest.skip("not root")
    sandbox_or_skip(user_namespace=user_namespace)
    links = Path("/proc/net/dev").read_text().count(":")
    words = ["--user-namespace"] if user_namespace else []
    done = subprocess.run(
        [*DEMO, "--once", *words],
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
        env=demo_in(mark),
        cwd=mark,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NO " not in done.stdout
    for claim in (
        "13 agents up",
        "is in the kernel's block set of gw1, gw2, gw3",
        "also not the two it never touched",
        "the innocent client still reaches all three",
        "attacked as well and still reaches all three",
        "says who, where, why and how long",
        "the block ended by itself on every gateway",
    ):
        assert re.search(rf"^  yes +.*{re.escape(claim)}", done.stdout, re.M), claim
    assert "rule ScanThenBruteForce" in done.stdout
    assert leftovers(mark) == []
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminate", "ctrl-c"])
@pytest.mark.parametrize("moment", ["three gateways", "starting 13 agents", "13 agents up"])
def test_a_stop_in_the_middle_leaves_nothing(
    number: signal.Signals, moment: str, mark: Path
) -> None:
    sandbox_or_skip(user_namespace=os.geteuid() != 0)
    with subprocess.Popen(
        [*DEMO, "--once"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=demo_in(mark),
        cwd=mark,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if moment in line:
                break
        # A terminal's Ctrl-C reaches the whole group.
        os.killpg(demo.pid, number) if number == signal.SIGINT else demo.send_signal(number)
        said = demo.stdout.read()
        assert demo.wait(30) == 130, said
    assert "Traceback" not in said
    end = time.monotonic() + 20
    while leftovers(mark) and time.monotonic() < end:
        time.sleep(0.1)
    assert leftovers(mark) == []
