"""First process of a sandbox (PID 1 of its own PID namespace); started only by
`datasets.laboratory.network`.

It runs as a plain script, on the standard library alone, so that it starts fast and needs no
import path. It hides ``/run``, starts the command it was given, forwards requests to stop,
and reaps orphans. When it ends, for whatever reason, the kernel kills every process of the
namespace, and with the last one the network namespaces, their interfaces and their nftables tables
go away.

Usage: ``sandbox.py LIFELINE_FD COMMAND [ARGUMENT]...``
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

STOP_S = 5.0
"""How long the command may take to end after a SIGTERM."""
MARKER = "ONTOIDPS_SANDBOX"
"""Environment variable: inode of the sandbox's own network namespace, so that nobody fakes it by
accident in the host's."""


def _isolate() -> None:
    """Make ``ip netns`` names private. The mount namespace is ours and private already."""
    # All of /run: what programs inside leave there must not outlive the sandbox either.
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=755,size=64m", "ontoidps", "/run"], check=True
    )
    os.makedirs("/run/netns", exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main(argv: list[str]) -> int:
    lifeline = int(argv[0])
    os.set_inheritable(lifeline, False)
    try:
        _isolate()
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"sandbox: {e}", file=sys.stderr)  # noqa: T201
        return 125
    environment = dict(os.environ, **{MARKER: str(os.stat("/proc/self/ns/net").st_ino)})

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    # The terminal sends Ctrl-C to the command as well; it decides what to do about it.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        # The command starts with default handlers for the signals handled here.
        child = os.posix_spawnp(argv[1], argv[1:], environment)
    except OSError as e:
        print(f"sandbox: {argv[1]}: {e.strerror}", file=sys.stderr)  # noqa: T201
        return 127

    deadline: float | None = None
    watched = [wake_read, lifeline]
    while True:
        limit = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], limit)
        if deadline is not None and time.monotonic() >= deadline:
            return 128 + signal.SIGKILL
        stop: int | None = None
        if wake_read in ready and signal.SIGTERM in os.read(wake_read, 4096):
            stop = signal.SIGTERM
        if lifeline in ready:
            request = os.read(lifeline, 1)
            if request:
                stop = request[0]
            else:  # whoever started the sandbox is gone
                watched.remove(lifeline)
                stop = signal.SIGTERM
        if stop is not None:
            os.kill(child, stop)
            deadline = deadline or time.monotonic() + STOP_S
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
