"""`ontoidps replay` on wrapped traffic and on what it can't read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from agents.main import main
from datasets.captures.pcap import read_capture, write_capture
from datasets.recipe.traffic import SAMPLES

ATTACK = SAMPLES / "web-sql.pcap.xz"


def packets() -> tuple[list[bytes], list[int]]:
    """IP packets of a sample, and their times."""
    found, times = [], []
    for raw in read_capture(ATTACK):
        assert raw.link_type == 1
        found += [raw.frame(n)[14:] for n in range(len(raw))]
        times += raw.times_us.tolist()
    return found, times


def pppoe(packet: bytes) -> bytes:
    head = bytes(12) + b"\x88\x64" + struct.pack("!BBHH", 0x11, 0, 7, len(packet) + 2)
    return head + b"\0\x21" + packet


def vxlan(packet: bytes, source: int = 1) -> bytes:
    inner = struct.pack("!BxxxI", 8, 9 << 8) + bytes(12) + b"\x08\0" + packet
    udp = struct.pack("!HHHH", 5000, 4789, 8 + len(inner), 0) + inner
    ends = bytes([203, 0, 113, source, 203, 0, 113, 2])
    head = struct.pack("!BBHHHBBH", 69, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    return bytes(12) + b"\x08\0" + head + ends + udp


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]], str]:
    code = main(["replay", "--json", *words])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def kinds(lines: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(x["class"], x["source"], x["target"]) for x in lines if x["type"] == "alert"}


@pytest.mark.parametrize("wrap", [pppoe, vxlan])
def test_wrapped_attacks_give_the_alerts_of_plain_ones(
    wrap: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner, times = packets()
    write_capture(tmp_path / "a.pcap", [wrap(p) for p in inner], times)
    code, lines, err = run(capsys, str(tmp_path / "a.pcap"))
    _, plain, _ = run(capsys, str(ATTACK))
    assert kinds(lines) == kinds(plain) != set()
    assert (code, err) == (0, "")


def test_tunnels_of_strangers_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner, times = packets()
    frames = [vxlan(p, 1 + n % 2 * 8) for n, p in enumerate(inner)]
    write_capture(tmp_path / "a.pcap", frames, times)
    code, _, err = run(capsys, str(tmp_path / "a.pcap"))
    assert code == 0
    assert f"{len(inner)} packets came in tunnels that anybody can have sent" in err
    _, _, err = run(
        capsys, str(tmp_path / "a.pcap"), "--tunnel", "203.0.113.1", "--tunnel", "203.0.113.9"
    )
    assert err == ""


@pytest.mark.parametrize(
    ("link_type", "frame", "told"),
    [
        (189, bytes(64), "3 in link-type-USB_LINUX"),
        (1, bytes(12) + b"\x88\xe5" + bytes(60), "3 in EtherType-0x88e5"),
        (1, bytes(12) + b"\x88\xcc" + bytes(60), "3 in protocols without addresses"),
        (1, bytes(5), "3 in malformed (truncated-link)"),
        (9, b"\xff\3\0\xfd" + bytes(40), "3 in PPP-0x00fd"),
    ],
)
def test_a_capture_of_which_nothing_can_be_read_ends_with_1_and_says_why(
    link_type: int, frame: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pcap"
    write_capture(path, [frame] * 3, [1, 2, 3], link_type)
    code, lines, err = run(capsys, str(path))
    assert (code, lines) == (1, [])
    assert err == f"ontoidps replay: {path}: not one of 3 packets could be read: {told}\n"


def test_what_is_read_in_part_is_told_and_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner, times = packets()
    write_capture(
        tmp_path / "a.pcap",
        [pppoe(inner[0]), bytes(12) + b"\x88\xe5" + bytes(60)],
        times[:2],
    )
    code, _, err = run(capsys, str(tmp_path / "a.pcap"))
    assert code == 0
    assert "not all of 2 packets could be read: 1 in EtherType-0x88e5" in err


def test_an_empty_capture_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_capture(tmp_path / "a.pcap", [], [])
    assert run(capsys, str(tmp_path / "a.pcap")) == (0, [], "")
