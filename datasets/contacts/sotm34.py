"""Honeynet Project, Scan of the Month 34 (Anton Chuvakin, 2005): its iptables log in its tarball.

The logs are from honeynet.org (``SotM34-anton.tar.gz``), and in the repository ``aag1990/UAHL``.
24 honeypots, 11.11.79.0/24, behind a bridge that logs each packet it lets in or out.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

OWN = IPv4Network("11.11.79.0/24")
MEMBER = "iptables/iptablesyslog"
_LINES = 4096
_MAX_LINE = 65_536


def is_tarball(path: Path) -> bool:
    """Whether a file is a tar archive, packed or not. Raises: OSError."""
    return tarfile.is_tarfile(path)


def firewall_lines(path: Path) -> tuple[Iterator[list[bytes]], int]:
    """The lines of the iptables log in blocks, and when it was last written (epoch microseconds):
    its lines name no year.

    Raises:
        ValueError: the tarball has no such log, or is damaged.
        OSError: it can't be read.
    """
    try:
        with tarfile.open(path) as archive:
            found = next((m for m in archive if m.isfile() and m.name.endswith(MEMBER)), None)
    except (tarfile.TarError, EOFError) as e:
        raise ValueError(f"{path}: damaged: {e}") from e
    if found is None:
        raise ValueError(f"{path}: holds no {MEMBER}")
    return _lines(path, found.name), int(found.mtime) * 1_000_000


def _lines(path: Path, member: str) -> Iterator[list[bytes]]:
    try:
        with tarfile.open(path) as archive:
            file = archive.extractfile(member)
            if file is None:
                return
            block: list[bytes] = []
            while line := file.readline(_MAX_LINE):
                block.append(line.rstrip(b"\r\n"))
                if len(block) >= _LINES:
                    yield block
                    block = []
            yield block
    except (tarfile.TarError, EOFError) as e:
        raise ValueError(f"{path}: damaged: {e}") from e
