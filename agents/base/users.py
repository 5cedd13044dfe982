"""Which user an agent is: a number of its own, without a line in ``/etc/passwd``.

The launcher's user is root: each agent of a honeynet has a user id, all of them one group, and who
may read the logs of messages (the console) another. The numbers follow from ``state_dir`` alone, or
from ``users_from``, so that launchers, agents and commands agree on them without asking anybody.
An ordinary user has no other id to give: all agents are that user, and Landlock and seccomp alone
keep them apart (`agents.base.confinement`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.base import privileges
from agents.settings.honeynet import Settings
from ontology.landlock import program_folders
from ontology.records import Role

_FIRST: Final = 1_879_048_192
"""systemd's list of ids (UIDS-GIDS.md) leaves 1879048192 to 2147352575 to nobody."""
_BLOCKS: Final = 65_000
_BLOCK: Final = 4096
"""Ids of one honeynet: one an agent, one that opens sockets for sensors, two groups."""
_CAP_SYS_ADMIN: Final = 21
_NEEDED: Final = (0, 6, 7)
"""CAP_CHOWN, CAP_SETGID, CAP_SETUID."""


@dataclass(frozen=True, slots=True)
class Users:
    """The ids of one honeynet on this host."""

    first: int

    @classmethod
    def of(cls, settings: Settings) -> Users:
        """By ``users_from``, or by the place of ``state_dir``."""
        if settings.users_from is not None:
            return cls(settings.users_from)
        place = hashlib.sha256(os.fsencode(settings.state_dir.resolve())).digest()
        return cls(_FIRST + int.from_bytes(place[:8], "big") % _BLOCKS * _BLOCK)

    @property
    def group(self) -> int:
        """Every agent's group: who may enter the honeynet's folders."""
        return self.first

    @property
    def readers(self) -> int:
        """Group of who may read all logs of messages: the console."""
        return self.first + _BLOCK - 1

    @property
    def opener(self) -> int:
        """Who opens sockets for sensors (`agents.sensor.capture.opener`)."""
        return self.first + _BLOCK - 2

    def of_agent(self, settings: Settings, role: Role, node: str) -> int:
        """An agent's user id. Raises: ValueError for one that the file doesn't know."""
        return self.first + 1 + list(settings.agents()).index((role, node))


def of_peers(settings: Settings, role: Role, node: str) -> dict[str, int]:
    """The user id that each agent of a node must have, by its bare JID, seen from one of them.

    All are the user that we are if we are not the one of our own.
    """
    users, us = Users.of(settings), os.geteuid()
    own = us == users.of_agent(settings, role, node)
    return {
        settings.jid(other, node): users.of_agent(settings, other, node) if own else us
        for other in settings.node_named(node).agents
    }


def why_shared(settings: Settings) -> str | None:
    """None if agents started by this process get users of their own, else why they can't."""
    if os.geteuid() != 0:
        return "only root can give agents users of their own"
    users = Users.of(settings)
    if not all(_mapped(users.first + n) for n in (0, _BLOCK - 1)):
        return (
            f"users {users.first} to {users.first + _BLOCK - 1} don't exist in this user "
            "namespace (users_from names others)"
        )
    held = privileges.held()
    if any(not held >> bit & 1 for bit in _NEEDED):
        return "this root may not change users"
    unreadable = next(_unreadable(program_folders()), None)
    if unreadable is not None:
        return f"{unreadable} can be read by its owner only (chmod -R o+rX)"
    closed = closed_folders([*program_folders(), settings.state_dir])
    if closed and not held >> _CAP_SYS_ADMIN & 1:
        return f"{closed[0]} can't be entered by other users (chmod o+x)"
    return None


def may_enter(folder: Path, whom: tuple[int, ...]) -> bool:
    """Whether the modes of a folder let this user, with these groups, use what is in it."""
    found = folder.stat()
    if found.st_uid == whom[0]:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid in whom[1:] else stat.S_IXOTH))


def closed_folders(paths: Iterable[Path]) -> list[Path]:
    """The folders on the way to ``paths`` that others may not enter, of each way the first."""
    found: dict[Path, None] = {}
    for path in paths:
        for folder in reversed(path.absolute().parents):
            try:
                mode = folder.stat().st_mode
            except OSError:
                break
            if not mode & stat.S_IXOTH:
                found[folder.resolve()] = None
                break
    return list(found)


def _unreadable(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.stat().st_mode & 0o005 != 0o005:
            yield folder
    # A checkout made under a umask of 077.
    if not Path(__file__).stat().st_mode & stat.S_IROTH:
        yield Path(__file__)


def _mapped(uid: int) -> bool:
    """Whether ``uid`` exists in our user namespace (user_namespaces(7), uid_map and gid_map)."""
    return all(
        any(
            first <= uid < first + count
            for first, _, count in (map(int, line.split()) for line in text.splitlines())
        )
        for text in (
            Path("/proc/self", name).read_text(encoding="ascii") for name in ("uid_map", "gid_map")
        )
    )
