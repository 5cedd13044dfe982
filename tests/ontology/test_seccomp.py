"""Refused system calls, in processes of their own; what agents may is in test_confinement."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ontology import seccomp

CODE = """\
import ctypes, json, os, socket, subprocess, sys, threading
from ontology import seccomp
calls, families = json.loads(sys.argv[1])
began = threading.Event(); go = threading.Event(); late = []

def before():
    began.set(); go.wait()
    try:
        socket.socket(38, socket.SOCK_SEQPACKET).close(); late.append("done")
    except OSError as e:
        late.append(e.strerror)

thread = threading.Thread(target=before); thread.start(); began.wait()
assert seccomp.refuse(calls, families=families) is True
go.set(); thread.join()
libc = ctypes.CDLL(None, use_errno=True)

def opened(*what):
    try:
        socket.socket(*what).close()
        return "done"
    except OSError as e:
        return e.strerror

def ran():
    try:
        return subprocess.run(["true"]).returncode
    except OSError as e:
        return e.strerror

def called(name, *arguments):
    number = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(name.encode())
    done = libc.syscall(number, *map(ctypes.c_long, arguments))
    return os.strerror(ctypes.get_errno()) if done < 0 else "done"

after = []
new = threading.Thread(target=lambda: after.append(opened(38, 5)))
new.start(); new.join()
print(json.dumps({
    "thread before": late[0], "thread after": after[0], "mode": seccomp.filters(),
    "unix": opened(1, 1), "inet": opened(2, 1), "route": opened(16, 3, 0),
    "netfilter": opened(16, 3, 12), "packet": opened(17, 3, 0), "far": opened(70, 1),
    "program": ran(), "clone": called("clone", 0x10000000 | 17, 0, 0, 0, 0),
    **{name: called(name, 0, 0, 0, 0, 0) for name in ("ptrace", "bpf", "io_uring_setup", "keyctl")},
    "clone3": called("clone3", 0, 0), "terminal": called("ioctl", 0, 0x5412, 0),
}))
"""
FORBIDDEN = "Operation not permitted"
ALWAYS = {
    **dict.fromkeys(("thread before", "thread after", "far", "clone", "ptrace", "bpf"), FORBIDDEN),
    **dict.fromkeys(("io_uring_setup", "keyctl", "terminal"), FORBIDDEN),
    "clone3": "Function not implemented",
    "mode": 2,
}


def seen(calls: tuple[str, ...], families: tuple[int, ...]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([calls, families])],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    assert {name: found[name] for name in ALWAYS} == ALWAYS
    return {name: value for name, value in found.items() if name not in ALWAYS}


def test_what_most_agents_may() -> None:
    assert seen(seccomp.EXECUTE, (1, 2, 10)) == {
        "unix": "done", "inet": "done", "route": "done",
        "netfilter": FORBIDDEN, "packet": FORBIDDEN, "program": FORBIDDEN,
    }  # fmt: skip


def test_what_a_worker_may() -> None:
    found = seen((*seccomp.EXECUTE, *seccomp.NETWORK), ())
    assert set(found.values()) == {FORBIDDEN}


@pytest.mark.parametrize("families", [(1, 2, 10, 16), (1, 2, 10, 16, 17)])
def test_what_reaction_may(families: tuple[int, ...]) -> None:
    found = seen((), families)
    assert found["netfilter"] in ("done", "Protocol not supported")
    assert found["program"] == 0
    assert (found["packet"] == FORBIDDEN) == (17 not in families) or found["packet"] == FORBIDDEN


def test_without_the_library_nothing_is_refused_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ctypes

    def absent(name: str | None, **_: object) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert seccomp.refuse() is False
