"""Runs in a process of its own: enters a console's process, then tries what it is asked to try.

``python -m tests.agents.console.confined_console FILE`` reads JSON from stdin, a list of
``[what, path or number]``, and writes what became of each as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.base import AgentContext
from agents.base.local import connect_to, listen_on
from agents.console.agent import ConsoleAgent
from agents.settings.honeynet import load_settings


def _in_a_thread(path: str) -> None:
    failed: list[OSError] = []

    def read() -> None:
        try:
            Path(path).read_bytes()
        except OSError as e:
            failed.append(e)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _in_a_child(path: str) -> None:
    done = subprocess.run(["cat", path], capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode())


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def _listen(port: int) -> None:
    with socket.socket() as made:
        made.bind(("127.0.0.1", port))


def _store(path: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (zeroblob(3000000))")


TRIES: dict[str, Callable[[Any], object]] = {
    "read": lambda path: Path(path).read_bytes(),
    "list": os.listdir,
    "write": lambda path: Path(path).write_bytes(b"x"),
    "remove": os.unlink,
    "read in a thread": _in_a_thread,
    "read in a child": _in_a_child,
    "store": _store,
    "connect": _connect,
    "listen": _listen,
    "listen at": lambda path: listen_on(Path(path)).close(),
    "reach": lambda path: connect_to(Path(path)).close(),
    "kill": lambda pid: os.kill(pid, signal.SIGTERM),
    "import": __import__,
}


def main() -> None:
    settings = load_settings(Path(sys.argv[1]))
    # Any port: the one of the file may be in use, and none of it is asked here.
    console = settings.console.model_copy(update={"listen": "127.0.0.1:0"})
    settings = settings.model_copy(update={"console": console})
    ConsoleAgent(AgentContext(settings=settings, role="console", node="gw1")).enter_process()
    became = []
    for what, which in json.load(sys.stdin):
        try:
            TRIES[what](which)
            became.append("done")
        except OSError as e:
            became.append(e.strerror or str(e).strip())
    json.dump(became, sys.stdout)


if __name__ == "__main__":
    main()
