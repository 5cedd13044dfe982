"""The operator's way in: a unix socket on the console's host, for root and the console's own user.

Apart from the page's port, so that the command line gets in whatever happens there. The kernel says
whose process asks (SO_PEERCRED, unix(7)); that it is no agent of the same user it shows by a token
that agents can't read (`agents.console.access`).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from agents.base.local import listen_on, socket_path
from agents.settings.honeynet import Settings


def operator_socket(settings: Settings, node: str) -> Path:
    """Where the console of a node listens for operators."""
    return socket_path(settings, "console", node).with_name("operator.sock")


def console_node(settings: Settings) -> str | None:
    """The node whose console it is; None: no node runs one."""
    return next((node for role, node in settings.agents() if role == "console"), None)


def bind_operator_socket(settings: Settings, node: str) -> socket.socket:
    """A listening socket, mode 0600; what was there before is replaced. Raises: OSError."""
    return listen_on(operator_socket(settings, node), 0o600)


def operators(settings: Settings) -> frozenset[int]:
    """Users whose processes may ask: root, the console's own, and whose the state folder is."""
    return frozenset({0, os.geteuid(), settings.state_dir.stat().st_uid})
