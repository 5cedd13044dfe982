"""pcapng, block by block: byte orders, clocks, and lengths that lie."""

import io
import struct
from pathlib import Path

import pytest

from datasets.captures.capture_files import CaptureError, CaptureStats
from datasets.captures.pcap import read_capture


def block(order: str, kind: int, body: bytes, claim: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12 if claim is None else claim
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, options: bytes = b"", link_type: int = 1) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, 65535) + options)


def packet(
    order: str, units: int, data: bytes, number: int = 0, captured: int | None = None
) -> bytes:
    size = len(data) if captured is None else captured
    head = struct.pack(order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, size, len(data))
    return block(order, 6, head + data)


def read(
    tmp_path: Path, content: bytes, stats: CaptureStats | None = None
) -> list[tuple[int, int, bytes]]:
    """(link type, time, bytes) of every packet."""
    path = tmp_path / "x.pcapng"
    path.write_bytes(content)
    return [
        (raw.link_type, int(raw.times_us[n]), raw.frame(n))
        for raw in read_capture(path, stats=stats or CaptureStats())
        for n in range(len(raw))
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(tmp_path: Path, order: str) -> None:
    content = section(order) + interface(order) + packet(order, 5_000_000, b"abc")
    assert read(tmp_path, content) == [(1, 5_000_000, b"abc")]


def test_clocks_of_interfaces(tmp_path: Path) -> None:
    nano = struct.pack("<HHBxxx", 9, 1, 9)
    binary = struct.pack("<HHBxxx", 9, 1, 0x80 | 10)
    later = struct.pack("<HHq", 14, 8, 100)
    content = section("<") + b"".join(interface("<", o) for o in (nano, binary, later))
    content += packet("<", 2_000_000_000, b"n", 0) + packet("<", 2048, b"b", 1)
    content += packet("<", 2_000_000, b"l", 2)
    assert [time for _, time, _ in read(tmp_path, content)] == [2_000_000, 2_000_000, 102_000_000]


def test_blocks_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    content = section("<") + block("<", 0x0BAD, b"whatever") + interface("<") + packet("<", 1, b"x")
    assert len(read(tmp_path, content)) == 1


def test_a_new_section_forgets_the_interfaces(tmp_path: Path) -> None:
    content = section("<") + interface("<") + section(">") + packet(">", 1, b"x")
    with pytest.raises(CaptureError, match="names interface 0, 0 are described"):
        read(tmp_path, content)


def test_a_change_of_link_type_ends_a_block(tmp_path: Path) -> None:
    content = section("<") + interface("<") + interface("<", link_type=101)
    content += packet("<", 1, b"a", 0) + packet("<", 2, b"b", 1)
    assert [kind for kind, _, _ in read(tmp_path, content)] == [1, 101]


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (packet("<", 1, b"abc", captured=4000), "claims 4000 captured bytes"),
        (block("<", 6, b"short"), "too short"),
        (block("<", 1, b"abcd"), "interface block too short"),
        (block("<", 6, b"", claim=13), "length of 13"),
        (block("<", 6, b"", claim=1 << 30), "length of 1073741824"),
    ],
)
def test_lengths_that_lie_are_named_with_their_place(
    tmp_path: Path, tail: bytes, words: str
) -> None:
    with pytest.raises(CaptureError, match=words):
        read(tmp_path, section("<") + interface("<") + tail)


def test_a_file_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    stats = CaptureStats()
    content = section("<") + interface("<") + packet("<", 1, b"a") + packet("<", 2, b"b")[:-3]
    assert len(read(tmp_path, content, stats)) == 1
    assert stats.truncated == 1
    assert io.BytesIO(content).read(4) == b"\x0a\x0d\x0d\x0a"
