"""The one way in which an agent's process gives up its rights, before it meets any stranger's byte.

`enter` makes the agent's folders its own, then gives up, for good and for every thread and child:

* the user it was started as, for one of its own (`agents.base.users`; only root can);
* all capabilities but those that its role needs, and the way to get any back (NO_NEW_PRIVS);
* all files but the program, its own state and keys, and what its role names (Landlock);
* dangerous system calls, sockets of foreign families and, for most, to execute (seccomp).

Where the kernel lacks one of them the others still hold, and the log says which.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.base import mount_view, privileges, users
from agents.base.context import AgentContext
from agents.base.local import socket_path
from agents.base.message_log import log_folder, logs_folder
from agents.base.users import Users
from agents.trust.identity import keys_directory
from ontology import landlock, seccomp
from ontology.landlock import READ, SOCKETS, WRITE, Allowed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a role needs beyond its own state, its own keys and the way to the XMPP server."""

    read: tuple[Path, ...] = ()
    """Files, with their folders, in which others may take their places; and folders."""
    executes: bool = False
    """Whether it starts other programs."""
    capabilities: frozenset[int] = frozenset()
    families: tuple[int, ...] = ()
    """Of sockets, beyond unix, IPv4 and IPv6."""
    any_port: bool = False
    """Whether it may connect to other TCP ports than the XMPP server's."""
    reads_logs: bool = False
    """Of messages, of all agents of this host."""
    reads_console: bool = False
    """``state_dir/console``: who may use the page."""


def enter(context: AgentContext, needs: Needs) -> None:
    """Give up everything but ``needs``; before the first thread, connection and foreign byte.

    Raises: OSError if the kernel refuses what it says it can do: then the agent must not run.
    """
    settings = context.settings
    running = landlock.threads()
    shared = users.why_shared(settings)
    _make_folders(context)
    as_whom = None
    if shared is None:
        own = Users.of(settings)
        _give_away(own, context, needs)
        user = own.of_agent(settings, context.role, context.node)
        as_whom = (user, own.group, *_groups(own, needs))
    kept = give_up(
        _allowed(context, needs, holds_state=shared is None),
        state=settings.state_dir,
        as_whom=as_whom,
        capabilities=needs.capabilities,
        families=needs.families,
        executes=needs.executes,
    )
    _make_scratch(context.state_dir / "tmp")
    if running > 1:
        logger.warning("%d threads were running already and keep their rights", running - 1)
    who = f"user {os.geteuid()}" + (f" as all agents ({shared})" if shared else "")
    logger.info("confined: %s, %s", who, kept)


def give_up(
    allowed: Allowed,
    *,
    state: Path,
    as_whom: tuple[int, ...] | None,
    capabilities: Collection[int],
    families: Collection[int],
    executes: bool,
) -> str:
    """Everything else, for good; in a process with one thread.

    ``as_whom``: user and groups to become, None to stay who we are; ``state``: the folder of all
    agents' state; ``families``: of sockets, beyond unix, IPv4 and IPv6.

    Returns what is in force, in words. Raises: OSError.
    """
    if as_whom is not None:
        _open_ways([path for path, _ in allowed.paths], state.resolve(), as_whom)
        privileges.drop(capabilities, user=as_whom[0], groups=as_whom[1:])
    else:
        privileges.drop(capabilities)
    version = landlock.confine(allowed)
    filtered = seccomp.refuse(
        () if executes else seccomp.EXECUTE,
        families=(*seccomp.ORDINARY_FAMILIES, *families),
    )
    if version == 0:
        logger.warning("this kernel has no Landlock: only users keep agents' files apart")
    if not filtered:
        logger.warning("no seccomp filter here (Debian package libseccomp2)")
    held = f"{privileges.held():x}" if privileges.held() else "none"
    return (
        f"capabilities {held}, Landlock {version or 'missing'}, "
        f"seccomp {'on' if filtered else 'missing'}"
    )


def _open_ways(paths: Collection[Path], state: Path, whom: tuple[int, ...]) -> None:
    closed = users.closed_folders(paths)
    if not closed:
        return
    wanted = [state]
    for path in dict.fromkeys(path.resolve() for path in paths):
        if path.is_relative_to(state):
            continue
        if not path.is_dir() or users.may_enter(path, whom):
            wanted.append(path)
        else:
            logger.warning(
                "%s can't be entered by user %d: what is put there from now on can't be read",
                *(path, whom[0]),
            )
    mount_view.open_ways(closed, wanted)


def _allowed(context: AgentContext, needs: Needs, *, holds_state: bool) -> Allowed:
    """``holds_state``: a folder to read may also hold all state, which owners protect there."""
    settings, jid = context.settings, context.jid
    state, keys = settings.state_dir, keys_directory(settings)
    paths = [
        *landlock.program(state, executes=needs.executes),
        (context.state_dir, WRITE),
        (log_folder(state, jid), WRITE),
        # To make and remove its own; to connect to others' needs no right.
        (socket_path(settings, context.role, context.node).parent, SOCKETS),
        *((keys / name, READ) for name in (f"{jid}.key", f"{jid}.password", "keyring.json")),
        (keys / "ca.crt", READ),
        *((path, READ) for path in needs.read),
        *((path, READ) for path in _folders(context, needs, holds_state)),
    ]
    if settings.xmpp.ca is not None:
        paths.append((settings.xmpp.ca, READ))
    if needs.reads_logs:
        paths.append((logs_folder(state), READ))
    if needs.reads_console:
        paths.append((state / "console", READ))
    return Allowed(tuple(paths), connect=None if needs.any_port else (settings.xmpp.port,))


def _folders(context: AgentContext, needs: Needs, holds_state: bool) -> Iterator[Path]:
    state = context.settings.state_dir.resolve()
    for folder in {path.parent.resolve() for path in needs.read if not path.is_dir()}:
        if holds_state or not state.is_relative_to(folder):
            yield folder
            continue
        logger.warning(
            "%s holds %s: what is put there from now on can't be read", folder, state.name
        )
        yield from landlock.around(folder, state)


# --- files of its own ----------------------------------------------------------------------------


def _make_scratch(folder: Path) -> None:
    """What the agent and its children use for /tmp, which is everybody's, and for a home."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["HOME"] = os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def _own_folders(context: AgentContext) -> tuple[Path, ...]:
    return (
        context.state_dir,
        log_folder(context.settings.state_dir, context.jid),
        socket_path(context.settings, context.role, context.node).parent,
    )


def _make_folders(context: AgentContext) -> None:
    for folder in _own_folders(context):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _give_away(own: Users, context: AgentContext, needs: Needs) -> None:
    """As root: the way to its folders for the group, the folders and keys for the agent alone.

    Only folders whose owner was another are gone through: what an agent has made since, links to
    other files perhaps, root doesn't touch.
    """
    settings, jid = context.settings, context.jid
    user = own.of_agent(settings, context.role, context.node)
    state, keys = settings.state_dir, keys_directory(settings)
    sockets = socket_path(settings, context.role, context.node).parent
    log = log_folder(state, jid)
    for folder in (state, keys, state / "run", sockets.parent, log.parent):
        _set_owner(folder, 0, own.group, 0o2710 if folder == sockets.parent else 0o710)
    for name in ("keyring.json", "ca.crt"):
        if (keys / name).exists():
            _set_owner(keys / name, 0, own.group, 0o640)
    for name in (f"{jid}.key", f"{jid}.password"):
        _set_owner(keys / name, user, own.group, 0o400)
    _take_over(context.state_dir, user, own.group, 0o700)
    _take_over(log, user, own.readers, 0o2750)
    _take_over(sockets, user, own.group, 0o2710)
    if needs.reads_console:
        _take_over(state / "console", 0, own.readers, 0o2750)


def _take_over(folder: Path, user: int, group: int, mode: int) -> None:
    try:
        found = folder.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if (found.st_uid, found.st_gid) != (user, group):
        for _, _, names, descriptor in os.fwalk(folder, follow_symlinks=False):
            os.fchown(descriptor, user, group)
            for name in names:
                _take_over_file(descriptor, name, user, group)
    _set_owner(folder, user, group, mode)


def _take_over_file(folder: int, name: str, user: int, group: int) -> None:
    """A regular file with no other name; a link is another's file by a name of ours."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return  # a link or a socket
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return
        if found.st_nlink != 1:
            logger.warning("a file %r with a second name elsewhere keeps its owner", name)
            return
        os.fchown(descriptor, user, group)
    finally:
        os.close(descriptor)


def _set_owner(path: Path, user: int, group: int, mode: int) -> None:
    """Raises: OSError, also for a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) != (user, group):
            os.fchown(descriptor, user, group)
        if stat.S_IMODE(found.st_mode) != mode:
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _groups(own: Users, needs: Needs) -> Iterator[int]:
    if needs.reads_logs:
        yield own.readers
    # Another tool's log is mostly for its group only: adm, zeek, suricata. Never root's group.
    for path in needs.read:
        for place in (path, *path.parents):
            try:
                found = place.stat()
            except OSError:
                continue
            if found.st_gid and not found.st_mode & stat.S_IROTH and found.st_mode & stat.S_IRGRP:
                yield found.st_gid
