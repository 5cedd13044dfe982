"""Users and capabilities of this process, given up for good (credentials(7), capabilities(7))."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection, Sequence
from typing import Final

NET_ADMIN, NET_RAW = 12, 13
"""Rules of the firewall and log groups; packets as they are on the wire."""
_SETPCAP: Final = 8
_LAST: Final = 63
# linux/prctl.h
_DUMPABLE, _KEEPCAPS, _CAPBSET_DROP, _SECUREBITS, _SET_NAME = 4, 8, 24, 28, 15
_NO_NEW_PRIVS, _AMBIENT, _AMBIENT_RAISE = 38, 47, 2
_ROOT_IS_NOBODY: Final = 0x0F
"""SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP and their locks: user 0 gets nothing for being 0."""
_VERSION: Final = 0x20080522


def drop(
    capabilities: Collection[int] = (), *, user: int | None = None, groups: Sequence[int] = ()
) -> None:
    """Keep these capabilities and no others, also for what is executed later; forbid more.

    ``user``: become this user, whose groups are ``groups`` (the first its own); only as root.
    Capabilities that this process hasn't got can't be kept. It can no longer be traced or looked
    into by others of its user, nor leave its memory in a core file.

    Raises: OSError.
    """
    kept = sum(1 << c for c in capabilities) & _get()[1]
    if user is not None:
        os.setgroups(groups[1:])
        os.setresgid(groups[0], groups[0], groups[0])
    if held() >> _SETPCAP & 1:
        _prctl(_SECUREBITS, _ROOT_IS_NOBODY)
        for number in range(_LAST + 1):
            if not kept >> number & 1 and _libc().prctl(_CAPBSET_DROP, number, 0, 0, 0) < 0:
                break  # the kernel knows no more
    if user is not None:
        # Capabilities outlive the change of users only as long as this is set; exec clears it.
        _libc().prctl(_KEEPCAPS, 1, 0, 0, 0)
        os.setresuid(user, user, user)
    _set(kept)
    for number in range(_LAST + 1):
        if kept >> number & 1:
            _prctl(_AMBIENT, _AMBIENT_RAISE, number)
    _prctl(_NO_NEW_PRIVS, 1)
    _prctl(_DUMPABLE, 0)


def name_process(name: str) -> None:
    """In ps and /proc, at most 15 bytes."""
    _libc().prctl(_SET_NAME, name.encode()[:15], 0, 0, 0)


def held() -> int:
    """Effective capabilities of this thread, as a mask."""
    return _get()[0]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(*arguments: int) -> None:
    given = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:5]]
    if _libc().prctl(*given) < 0:
        raise _error(f"prctl {arguments[0]}")


def _set(mask: int) -> None:
    """Effective, permitted and inheritable capabilities of this thread (capset(2))."""
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header, data = struct.pack("=Ii", _VERSION, 0), struct.pack("=6I", *(low,) * 3, *(high,) * 3)
    if _libc().capset(header, data) < 0:
        raise _error("capset")


def _get() -> tuple[int, int]:
    """(effective, permitted) of this thread."""
    data = ctypes.create_string_buffer(24)
    if _libc().capget(struct.pack("=Ii", _VERSION, 0), data) < 0:
        raise _error("capget")
    low_e, low_p, _, high_e, high_p, _ = struct.unpack("=6I", data.raw)
    return low_e | high_e << 32, low_p | high_p << 32


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
