"""The folder of the archive's store: opened, measured, and set aside when it is damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from pyoxigraph import Store

from agents.base.disk_faults import Faults, fault_of

KEPT_ASIDE: Final = 1
"""Damaged folders that are kept; the oldest go."""
_FULL = ("no space left", "quota")
_READ_ONLY = ("read-only", "permission denied")
_DAMAGE = ("corruption", "does not exist", "not found", "mismatch", "bad table", "truncated")


def open_folder(path: Path, faults: Faults) -> Store:
    """Open the store, or make it; a damaged one is set aside first.

    Raises: OSError.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in sorted(path.glob("LOG.old.*"))[:-1]:  # RocksDB keeps a thousand
        old.unlink(missing_ok=True)
    try:
        return Store(path)
    except (OSError, RuntimeError) as e:
        text = str(e).lower()
        if not any(word in text for word in _DAMAGE):
            raise OSError(str(e)) from e
        aside = _set_aside(path)
        path.mkdir(mode=0o700)
        fresh = Store(path)
        faults.fault(
            damage_name(path),
            f"{path}: was damaged, is set aside as {aside.name}; the archive begins anew",
        )
        return fresh


def damage_name(path: Path) -> str:
    """Under which a folder that was set aside is told."""
    return f"{path} damaged"


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    while aside.exists():
        aside = aside.with_name(aside.name + "-")
    os.replace(path, aside)
    for old in sorted(path.parent.glob(f"{path.name}.damaged-*"))[:-KEPT_ASIDE]:
        for file in old.iterdir():
            file.unlink(missing_ok=True)
        old.rmdir()
    return aside


def folder_bytes(path: Path) -> int:
    """Bytes that its files take."""
    total = 0
    for entry in os.scandir(path):
        try:
            total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def fault_in(error: Exception) -> str:
    """In few words; the store's own errors have no number."""
    text = str(error).lower()
    if any(word in text for word in _FULL):
        return "full"
    if any(word in text for word in _READ_ONLY):
        return "read-only"
    return (
        fault_of(error)
        if isinstance(error, OSError) and error.errno
        else " ".join(str(error).split())[:200]
    )
