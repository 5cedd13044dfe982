"""Gives its rights up as an agent's process does, then tries what it is told.

``python -m tests.agents.base.confined_agent`` imports what agents run on, as their fork server
does, and reads lines of JSON from stdin: ``{"file", "role", "tries": [[what, path or number]]}``.
Of each it writes one: ``{"status", "became", "errors"}``, what became of each try in a fork of its
own, which is what hostile code could do that got into this agent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from agents.base import AgentContext, confinement
from agents.base.local import connect_to, listen_on
from agents.launcher.fork_server import warm_up
from agents.reaction.netlink import Change, NetlinkSocket
from agents.settings.honeynet import load_settings
from ontology.records import Role


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


_VECTORS = (0, 0, 0, 0, 0)


def _call(number: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*map(ctypes.c_long, (number, *arguments))) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _socket(what: list[int]) -> None:
    socket.socket(*what).close()


def _firewall(table: str) -> None:
    """A rule by netlink, without any program."""
    with NetlinkSocket(table) as made:
        made.commit([Change("add", "block4", [b"\xc0\x00\x02\x01"], [60_000])])


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
    "reach": lambda path: connect_to(Path(path), Path(path).stat().st_uid).close(),
    "execute": lambda path: subprocess.run([path], check=True, capture_output=True),
    "socket": _socket,
    "trace": lambda pid: _call(101, 16, pid),  # ptrace, PTRACE_ATTACH
    "read memory of": lambda pid: _call(310, pid, *_VECTORS),  # process_vm_readv
    "take a descriptor of": lambda pid: _call(438, os.pidfd_open(pid), 0, 0),  # pidfd_getfd
    "enter a namespace": lambda flag: _call(272, flag),  # unshare
    "become": lambda uid: os.setuid(uid),
    "firewall": _firewall,
    "kill": lambda pid: os.kill(pid, signal.SIGTERM),
    "import": __import__,
}


LIMIT_S = 60


def confined(file: str, role: Role, tries: list[tuple[str, Any]]) -> list[str]:
    """What became of each try; this process has no rights left thereafter."""
    settings = load_settings(Path(file))
    # Any port: the one of the file may be in use, and none of it is asked here.
    console = settings.console.model_copy(update={"listen": "127.0.0.1:0"})
    settings = settings.model_copy(update={"console": console})
    context = AgentContext(settings=settings, role=role, node="gw1")
    agent_type = getattr(import_module(f"agents.{role}.agent"), f"{role.capitalize()}Agent")
    taken = agent_type.take(context)
    confinement.enter(context, agent_type.needs(context))
    became = []
    for what, which in tries:
        try:
            TRIES[what](which)
            became.append("done")
        except OSError as e:
            became.append(e.strerror or str(e).strip())
    del taken
    return became


def in_a_fork(request: dict[str, Any]) -> dict[str, Any]:
    """The same, in a child."""
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.dup2(errors.fileno(), 2)
            status = 1
            try:
                signal.alarm(LIMIT_S)
                became = confined(request["file"], request["role"], request["tries"])
                answer.write(json.dumps(became).encode())
                answer.flush()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        for file in (answer, errors):
            file.seek(0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "became": json.loads(answer.read() or b"[]"),
            "errors": errors.read().decode(errors="replace"),
        }


def main() -> None:
    warm_up(get_args(Role))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(in_a_fork(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
