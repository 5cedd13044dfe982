"""A way to files that lie behind folders which only root may enter (mount_namespaces(7)).

Where Python, the code or ``state_dir`` lie below a folder such as ``/root`` (0700), another user
gets to none of them, whatever their own modes say. A process that is about to become that user
takes a mount namespace for itself and puts an empty folder in the closed one's place, in which only
the wanted files and folders are (bind mounts). What they hold keeps owners and modes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CLONE_NEWNS: Final = 0x00020000
# sys/mount.h
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _SLAVE = 2, 4, 8, 4096, 16384, 1 << 19


def open_ways(closed: Iterable[Path], wanted: Iterable[Path]) -> None:
    """Let all users get to ``wanted`` past the folders ``closed``, for this process and its
    children.

    Both resolved and absolute. What is not there is left out, and so is everything else in
    ``closed``. Raises: OSError.
    """
    places = sorted({path for path in wanted if path.exists()}, key=lambda p: len(p.parts))
    covers = [c for c in sorted(set(closed), key=lambda p: len(p.parts)) if c.is_dir()]
    if not covers:
        return
    _unshare()
    _mount("none", "/", "", _REC | _SLAVE, "")  # what we mount is ours alone
    for cover in covers:
        below: list[Path] = []
        for path in places:
            if path.is_relative_to(cover) and not any(path.is_relative_to(b) for b in below):
                below.append(path)
        held = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in below]
        try:
            _mount("tmpfs", str(cover), "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=0711,size=1m")
            for path, descriptor in held:
                path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
                source = f"/proc/self/fd/{descriptor}"
                if os.path.isdir(source):
                    path.mkdir(mode=0o711, exist_ok=True)
                else:
                    path.touch(mode=0o600)
                _mount(source, str(path), "", _BIND | _REC, "")
        finally:
            for _, descriptor in held:
                os.close(descriptor)


def _unshare() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) < 0:
        raise _error("unshare")


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = (os.fsencode(source), os.fsencode(target), kind.encode() or None)
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) < 0:
        raise _error(f"mount on {target}")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
