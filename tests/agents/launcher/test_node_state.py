import asyncio
import fcntl
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from agents.launcher import node_state
from agents.launcher.node_state import NodeSocket, ask_launcher, launcher_runs


async def test_whoever_asks_is_told_what_is_now_however_large(tmp_path: Path) -> None:
    state: dict[str, Any] = {"node": "gw1", "agents": ["x" * 1000] * 500}
    path = tmp_path / "gw1.sock"
    listener = NodeSocket(path, lambda: state)
    await listener.open()
    await listener.open()  # the launcher sees to it each second
    assert await asyncio.to_thread(ask_launcher, path) == state
    state["agents"] = []
    assert await asyncio.to_thread(ask_launcher, path) == {"node": "gw1", "agents": []}
    await listener.close()
    assert not path.exists()
    with pytest.raises(OSError, match="No such file"):
        ask_launcher(path)


async def test_a_path_longer_than_a_socket_address_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 40) / "gw1.sock"
    listener = NodeSocket(path, dict)
    await listener.open()
    assert await asyncio.to_thread(ask_launcher, path) == {}
    await listener.close()


def test_a_launcher_that_hangs_and_one_that_died_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_state, "ANSWER_S", 0.2)
    path = tmp_path / "gw1.sock"
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen()
        with pytest.raises(TimeoutError):
            ask_launcher(path)
    with pytest.raises(ConnectionRefusedError):
        ask_launcher(path)


@pytest.mark.parametrize("said", [b"[]", b"{", b"", b"\xff\xfe", b'"x"'])
def test_what_is_no_answer_of_a_launcher_is_refused(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "gw1.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        if os.fork() == 0:
            connection, _ = other.accept()
            connection.sendall(said)
            os._exit(0)
        with pytest.raises(ValueError):
            ask_launcher(path)
        os.wait()


def test_the_lock_says_whether_a_launcher_lives(tmp_path: Path) -> None:
    lock = tmp_path / "gw1.lock"
    assert not launcher_runs(lock)
    with lock.open("w") as held:
        assert not launcher_runs(lock)
        fcntl.flock(held, fcntl.LOCK_EX)
        assert launcher_runs(lock)
    assert not launcher_runs(lock)
