"""Fixtures of the agents' tests: a small honeynet on disk, with keys; a network namespace for the
body of a test, in a thread of its own, so that the test run stays outside."""

from __future__ import annotations

import ctypes
import os
import random
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.settings.honeynet import Settings, load_settings
from agents.trust.identity import ensure_keys
from datasets.kdd.kdd99 import FEATURES

_CLONE_NEWNET = 0x40000000
HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = {port}
[console]
listen = "127.0.0.1:{console}"
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "console", "reaction"]
interfaces = ["lo"]
[[node]]
name = "gw2"
agents = ["sensor", "analyzer", "reaction"]
interfaces = ["lo"]
"""


def free_port() -> int:
    """A loopback port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def honeynet_file(tmp_path: Path) -> Path:
    """A honeynet of two nodes, all on this host."""
    path = tmp_path / "honeynet.toml"
    path.write_text(HONEYNET.format(port=free_port(), console=free_port()))
    return path


@pytest.fixture
def bare_honeynet(honeynet_file: Path) -> Settings:
    """The same, without keys."""
    return load_settings(honeynet_file)


@pytest.fixture
def honeynet(bare_honeynet: Settings) -> Settings:
    """The same, with keys."""
    ensure_keys(bare_honeynet)
    return bare_honeynet


@pytest.fixture
def new_port() -> Callable[[], int]:
    """Finds free ports."""
    return free_port


def kdd_line(rng: random.Random, label: str) -> str:
    """A record in KDD Cup 99's format that behaves a little like ``label`` does."""
    values: dict[str, object] = dict.fromkeys(FEATURES, 0)
    values |= {"protocol_type": "tcp", "flag": "SF", "service": rng.choice(("http", "smtp"))}
    values |= {"src_bytes": rng.randint(200, 400), "dst_bytes": rng.randint(500, 5000)}
    values |= {"logged_in": 1, "count": rng.randint(1, 20), "same_srv_rate": "1.00"}
    values |= {"dst_host_count": rng.randint(1, 255), "dst_host_srv_count": rng.randint(100, 255)}
    if label in ("neptune", "satan", "portsweep"):
        values |= {"service": "private", "flag": "S0" if label == "neptune" else "REJ"}
        values |= {"src_bytes": 0, "dst_bytes": 0, "logged_in": 0, "same_srv_rate": "0.05"}
        values |= {"count": rng.randint(100, 300)}
        values |= {"serror_rate" if label == "neptune" else "rerror_rate": "1.00"}
    elif label in ("smurf", "pod"):
        values |= {"protocol_type": "icmp", "service": "ecr_i", "src_bytes": 1032, "dst_bytes": 0}
        values |= {"logged_in": 0, "count": rng.randint(400, 511), "wrong_fragment": 0}
        values |= {"wrong_fragment": 1} if label == "pod" else {}
    elif label in ("guess_passwd", "rootkit"):
        values |= {"service": "telnet", "num_failed_logins": rng.randint(1, 5), "logged_in": 0}
        values |= {"root_shell": 1, "num_root": rng.randint(1, 9)} if label == "rootkit" else {}
    return ",".join(str(value) for value in values.values()) + f",{label}"


@pytest.fixture
def kdd_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file in KDD Cup 99's format: ``kdd_file(name, normal=300, neptune=50, seed=1)``."""

    def write(name: str, *, seed: int = 1, **counts: int) -> Path:
        rng = random.Random(seed)
        lines = [kdd_line(rng, label) for label, n in counts.items() for _ in range(n)]
        rng.shuffle(lines)
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def in_namespace(body: Callable[[], None]) -> None:
    """Run ``body`` in a new namespace with ``lo`` up; its children inherit the namespace."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            body()
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.fixture
def namespace() -> Callable[[Callable[[], None]], None]:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    return in_namespace
