"""Fixtures of the agents' tests: a small honeynet on disk, with keys."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.identity import ensure_keys
from agents.settings import Settings, load_settings

HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = {port}
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "reaction"]
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
    path.write_text(HONEYNET.format(port=free_port()))
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
