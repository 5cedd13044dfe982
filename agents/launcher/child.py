"""One agent process as the launcher knows it: what it says of itself, and how it ended last."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from agents.base.conditions import from_json, is_degraded
from agents.base.health import LAST_WORDS
from agents.launcher.fork_server import AgentProcess
from agents.launcher.restarts import RestartPolicy
from ontology.records import Role

MAX_LINE = 1 << 18
"""Bytes of one line of an agent on its health channel."""


@dataclass(slots=True)
class Child:
    """One agent process and what the launcher knows of it."""

    role: Role
    node: str
    jid: str
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    process: AgentProcess | None = None
    state: str = "stopped"
    """``starting``, ``running``, ``silent``, ``waiting`` (for its restart) or ``stopped``."""
    restarts: int = 0
    last_code: int | None = None
    """Exit code of the process that ended last (negative: a signal)."""
    last_words: str = ""
    """Why it ended, as it said itself or as we saw it; empty while the agent works."""
    answered_s: float = 0.0
    health: dict[str, Any] = field(default_factory=dict)
    alone_since_s: float | None = None
    told_alone: bool = False

    def hear(self, line: bytes) -> None:
        """A line of the process on its health channel. Raises: ValueError if it is none."""
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError(f"{line[:100]!r} is no answer to a ping")
        if LAST_WORDS in said:
            self.last_words = str(said[LAST_WORDS])
            return
        from_json(said.get("conditions", []))
        self.health, self.answered_s = said, time.monotonic()
        self.state, self.last_words = "running", ""

    def as_json(self) -> dict[str, Any]:
        """For those who ask, and the run file."""
        conditions = from_json(self.health.get("conditions", []))
        degraded = self.state == "running" and is_degraded(conditions)
        return {
            "role": self.role,
            "jid": self.jid,
            "pid": self.process.pid if self.process and self.process.returncode is None else None,
            "state": "degraded" if degraded else self.state,
            "restarts": self.restarts,
            "last_code": self.last_code,
            "last_words": self.last_words,
            "connected": bool(self.health.get("connected")) and self.state == "running",
            "health": self.health,
        }

    def hear_the_rest(self, channel: socket.socket) -> None:
        """What the process, which has ended, said last, as far as nobody has read it."""
        with contextlib.suppress(OSError, ValueError):
            for line in channel.recv(MAX_LINE).splitlines():
                if LAST_WORDS.encode() in line:
                    self.hear(line)
