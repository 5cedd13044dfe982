"""Landlock (landlock(7)): a process gives up the right to open files, for good.

The kernel then refuses whatever no rule allows, also to root and to every thread and child that is
started later. Threads that run already are not confined: call `confine` before the first one.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# linux/landlock.h; the numbers of the system calls are the same on all architectures.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH, _RULE_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = (
    1 << 4,
    1 << 5,
    1 << 7,
    1 << 8,
    1 << 9,
)
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files a version of the interface knows; later ones know no more."""
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
"""Rights that a rule about a single file may give."""
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPED = 1 << 0 | 1 << 1
"""No abstract unix sockets and no signals beyond the confined process itself."""

READ = _READ_FILE | _READ_DIR
RUN = READ | _EXECUTE
WRITE = READ | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR | _REFER
SOCKETS = _MAKE_SOCK | _REMOVE_FILE
"""Make unix sockets in a folder, and remove them."""

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin")
_HOUSE = Path(__file__).resolve().parents[1]
_FILES = (
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    "/etc/ssl",
    "/etc/iproute2",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a confined process may still do."""

    paths: tuple[tuple[Path, int], ...]
    """(file or folder, rights): the rights hold for everything below. One that isn't there is left
    out: it can't be allowed."""
    connect: tuple[int, ...] | None = ()
    """TCP ports that it may connect to; None: all. It can't listen on a new one."""


def supported() -> int:
    """Version of the kernel's Landlock interface; 0: it has none, or has it switched off."""
    return max(0, _call(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def confine(allowed: Allowed) -> int:
    """Confine this thread, and all threads and children that it will have.

    Returns the version of the interface; 0 if there is none, and nothing is confined.
    Raises: OSError if the kernel refuses what it says it can do.
    """
    abi = supported()
    if abi == 0:
        return 0
    handled = (1 << _RIGHTS_OF_ABI.get(abi, 16)) - 1
    net = (_BIND_TCP if allowed.connect is None else _BIND_TCP | _CONNECT_TCP) if abi >= 4 else 0
    attributes = struct.pack("=QQQ", handled, net, _SCOPED if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _checked(_CREATE_RULESET, attributes, size, 0)
    try:
        for path, rights in allowed.paths:
            _allow_path(rules, path, rights & handled)
        for port in (allowed.connect or ()) if net else ():
            _checked(_ADD_RULE, rules, _RULE_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
        _checked(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return abi


def threads() -> int:
    """Threads of this process, Python's and others'."""
    return len(os.listdir("/proc/self/task"))


def program(hole: Path, *, executes: bool) -> Iterator[tuple[Path, int]]:
    """What Python, our code and the system's libraries need, without what lies below ``hole``."""
    rights = RUN if executes else READ
    yield from _readable([*SYSTEM, *map(str, program_folders())], hole, rights)


def worker_program() -> Iterator[tuple[Path, int]]:
    """The same for a process that needs nothing of where our code happens to lie."""
    rooms = [str(_HOUSE / room) for room in ("agents", "datasets", "ontology", "rules")]
    folders = [*SYSTEM, sys.prefix, sys.base_prefix, *rooms]
    yield from _readable(folders, _HOUSE / "state", READ)


def program_folders() -> tuple[Path, ...]:
    """Where Python, the libraries and our code are, whatever else is there.

    Not the first entry of Python's path, which may be the folder that somebody happened to be in.
    """
    folders = [sys.prefix, sys.base_prefix, str(_HOUSE), *(p for p in sys.path[1:] if p)]
    return tuple(Path(f) for f in dict.fromkeys(map(os.path.realpath, folders)) if os.path.isdir(f))


def _readable(folders: list[str], hole: Path, rights: int) -> Iterator[tuple[Path, int]]:
    for folder in dict.fromkeys(map(os.path.realpath, folders)):
        if os.path.isdir(folder):
            yield from ((path, rights) for path in around(Path(folder), hole.resolve()))
    yield from ((Path(name), READ | _WRITE_FILE) for name in _FILES[:1])
    yield from ((Path(name), READ) for name in _FILES[1:])


def around(folder: Path, hole: Path) -> Iterator[Path]:
    """``folder``, or, if ``hole`` lies in it, all that it holds but the hole. Both resolved."""
    if not hole.is_relative_to(folder):
        yield folder
        return
    if hole == folder:
        return
    for child in folder.iterdir():
        if not child.is_symlink():
            yield from around(child, hole)


def _allow_path(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{place}"):
            rights &= _ON_FILES
        if rights:
            _checked(_ADD_RULE, rules, _RULE_PATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int | bytes | None) -> int:
    call = _libc().syscall
    call.restype = ctypes.c_long
    plain = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    return int(call(ctypes.c_long(number), *plain))


def _checked(number: int, *arguments: int | bytes | None) -> int:
    result = _call(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
