"""Priority of what stands between a packet and a block: it must not wait for other work.

A busy gateway gives each of many processes its turn; the five steps from packet to block would wait
for five of them, and the compiler of the reasoner's JVM for more. Only root (CAP_SYS_NICE) may
raise itself; for others, and where RLIMIT_NICE allows nothing, all stays as it is.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RAISED = -10
"""Nice value of launcher, XMPP server and pipeline: nine times the share of what runs at 0."""
ORDINARY_ROLES = frozenset({"ontology", "console"})
"""Roles that no block waits for; they are also those that people let work hard."""


def raise_priority(nice: int = RAISED) -> bool:
    """Give this process, and what it starts from now on, this priority.

    False, and nothing changed, if that is not allowed, or if whoever started us has chosen one
    (nice(1), systemd's ``Nice=``).
    """
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except PermissionError:
        return False
    if os.getsid(0) == os.getpid():
        # Else it is the session of a terminal, or of a test: all that runs in it would go before
        # the agents that no block waits for, and starve them.
        carry_to_session(os.getpid())
    return True


def carry_to_session(pid: int) -> None:
    """Let the session that ``pid`` leads have our priority.

    The scheduler shares processors out among sessions first (sched(7), autogroup); a new session
    begins at 0 whatever the nice value of its processes.
    """
    with contextlib.suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")


def settle(role: str) -> None:
    """Of a new agent, which inherited the launcher's nice value and has a session of its own."""
    if role in ORDINARY_ROLES:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    carry_to_session(os.getpid())
