"""The responder ``tcp-reset``: ends live TCP connections of a blocked address, at both ends.

A firewall's drop leaves the victim's half open until its own time-outs: a shell stays a shell, a
server's slot stays taken. This one watches the node's interfaces for packets of the address and
sends each end of a connection the RST that it would believe (RFC 9293 section 3.5.3, RFC 5961
section 3.2: the exact next sequence number). It keeps nobody out by itself: name it after
``nftables``. Scapy does the packets, in a process of its own (`agents.reaction.reset_worker`).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import IO, Any

from agents.reaction.firewall import FirewallError
from agents.reaction.responders import ResponderOptions
from ontology.records import Address

MAX_WATCHED = 64
"""Addresses watched at a time, each for as long as its block; the oldest is let go first. Bounded
by what one kernel filter may hold."""
_READY_S = 30.0


class TcpReset:
    """A `responders.Responder`."""

    def __init__(
        self, options: ResponderOptions, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interfaces = options.interfaces
        self._clock = clock
        self._ends: dict[Address, float] = {}
        self._process: subprocess.Popen[str] | None = None

    def install(self) -> None:
        """Start the worker. Raises: FirewallError (no scapy, no right to raw packets)."""
        self.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.reaction.reset_worker", *self._interfaces],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._process = process
        answer = self._answer(process)
        if not answer.get("ready"):
            self.close()
            raise FirewallError(f"tcp-reset: {answer.get('error', 'its process ended')}")
        self._tell()

    def block(self, address: Address, seconds: float) -> float:
        if not isinstance(address, IPv4Address | IPv6Address):
            raise TypeError(f"an address must be IPv4Address or IPv6Address, got {type(address)}")
        self._forget_ended()
        self._ends.pop(address, None)
        self._ends[address] = self._clock() + seconds
        while len(self._ends) > MAX_WATCHED:
            del self._ends[next(iter(self._ends))]
        self._tell()
        return seconds

    def unblock(self, address: Address) -> bool:
        present = address in self.blocked()
        self._ends.pop(address, None)
        self._tell()
        return present

    def blocked(self) -> dict[Address, float]:
        self._forget_ended()
        now = self._clock()
        return {address: end - now for address, end in self._ends.items()}

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _forget_ended(self) -> None:
        now = self._clock()
        for address in [a for a, end in self._ends.items() if end <= now]:
            del self._ends[address]

    def _tell(self) -> None:
        """The whole list each time: a worker that was started anew needs no history."""
        if self._process is None or self._process.poll() is not None:
            self._restart()
            return
        now = self._clock()
        order = {str(address): round(end - now, 3) for address, end in self._ends.items()}
        try:
            stdin = _pipe(self._process.stdin)
            stdin.write(json.dumps({"watch": order}) + "\n")
            stdin.flush()
        except OSError as e:
            self.close()
            raise FirewallError(f"tcp-reset: its process ended ({e.strerror})") from e
        answer = self._answer(self._process)
        if not answer.get("done"):
            self.close()
            raise FirewallError(f"tcp-reset: {answer.get('error', 'its process ended')}")

    def _restart(self) -> None:
        self.install()

    @staticmethod
    def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
        line = _pipe(process.stdout).readline()
        try:
            answer = json.loads(line) if line else {}
        except ValueError:
            answer = {}
        return answer if isinstance(answer, dict) else {}


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise FirewallError("tcp-reset: not started")
    return pipe
