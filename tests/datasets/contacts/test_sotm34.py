from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from datasets.contacts.sotm34 import MEMBER, firewall_lines, is_tarball


def tarball(folder: Path, name: str, text: bytes) -> Path:
    path = folder / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(f"SotM34/{name}")
        info.size, info.mtime = len(text), 1_113_000_000
        archive.addfile(info, io.BytesIO(text))
    return path


def test_the_log_in_the_tarball_and_its_year(tmp_path: Path) -> None:
    path = tarball(tmp_path, MEMBER, b"one\r\ntwo\n" * 3000)
    blocks, written_us = firewall_lines(path)
    lines = [line for block in blocks for line in block]
    assert lines == [b"one", b"two"] * 3000
    assert written_us == 1_113_000_000_000_000
    assert is_tarball(path)


def test_another_tarball_and_half_of_one(tmp_path: Path) -> None:
    path = tarball(tmp_path, "snort/snortsyslog", b"x")
    with pytest.raises(ValueError, match="holds no iptables/iptablesyslog"):
        firewall_lines(path)
    path = tarball(tmp_path, MEMBER, bytes(range(256)) * 4000)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match="damaged"):
        blocks, _ = firewall_lines(path)
        list(blocks)


def test_a_plain_log_is_no_tarball(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Feb 25 12:11:24 bridge kernel: IN=br0\n")
    assert not is_tarball(tmp_path / "log")
