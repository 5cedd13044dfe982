"""SMB and remote desktop, message by message as [MS-CIFS], [MS-SMB2] and [MS-SCMR] lay them out."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads import windows_services
from agents.sensor.payloads.windows_services import (
    CHANNEL,
    HOLE,
    OLD_ONLY,
    PROGRAM,
    SERVICE,
    WindowsServices,
)

ENDS, OTHER = b"a" * 34, b"b" * 34
PROGRAM_BYTES = b"MZ\x90\0" + bytes(60)


def framed(message: bytes) -> bytes:
    return struct.pack(">I", len(message)) + message


def old(command: int, words: bytes, data: bytes = b"") -> bytes:
    """SMB 1."""
    head = b"\xffSMB" + bytes([command]) + bytes(27)
    return framed(head + bytes([len(words) // 2]) + words + len(data).to_bytes(2, "little") + data)


def negotiate(*dialects: bytes) -> bytes:
    return old(0x72, b"", b"".join(b"\2" + dialect + b"\0" for dialect in dialects))


@pytest.mark.parametrize(
    ("dialects", "found"),
    [
        ((b"NT LM 0.12",), OLD_ONLY),
        ((b"PC NETWORK PROGRAM 1.0", b"LANMAN1.0", b"NT LM 0.12"), OLD_ONLY),
        # Windows and Samba, as long as they offer the old one at all.
        ((b"NT LM 0.12", b"SMB 2.002", b"SMB 2.???"), 0),
        ((b"SMB 2.002",), 0),
        ((), 0),
    ],
)
def test_who_offers_smb_1_alone_is_told_apart(dialects: tuple[bytes, ...], found: int) -> None:
    assert WindowsServices().smb(negotiate(*dialects), ENDS) == found


def new(command: int, body: bytes, following: int = 0) -> bytes:
    """SMB 2, without its frame."""
    head = b"\xfeSMB" + struct.pack("<HHIHHII", 64, 0, 0, command, 1, 0, following)
    return head.ljust(64, b"\0") + body


def tree(share: str) -> bytes:
    path = f"\\\\192.0.2.80\\{share}".encode("utf-16-le")
    return new(3, struct.pack("<HHHH", 9, 0, 72, len(path)) + path)


def create(name: str) -> bytes:
    return new(5, bytes(56) + name.encode("utf-16-le"))


def write(data: bytes) -> bytes:
    return new(9, struct.pack("<HHI", 49, 112, len(data)) + bytes(40) + data)


def call(number: int) -> bytes:
    """DCE/RPC, a request."""
    return struct.pack("<BBBBIHHIIHH", 5, 0, 0, 3, 16, 24, 0, 1, 0, 0, number)


def transceive(data: bytes) -> bytes:
    """IOCTL with FSCTL_PIPE_TRANSCEIVE."""
    return new(
        11, struct.pack("<HHI16sII", 57, 0, 0x11C017, b"", 120, len(data)) + bytes(24) + data
    )


def transaction(command: int, setup: bytes) -> bytes:
    return old(command, bytes(26) + bytes([len(setup) // 2, 0]) + setup)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (transaction(0x25, b"\x23\0\0\0"), HOLE),
        (transaction(0x25, b"\x23\0\1\x40"), 0),  # of a pipe that is open
        (transaction(0x25, b"\x26\0\0\0"), 0),
        (transaction(0x32, b"\x0e\0"), HOLE),
        (transaction(0x32, b"\x05\0"), 0),
        (old(0x72, b""), 0),
    ],
)
def test_the_holes_of_2017(message: bytes, expected: int) -> None:
    assert WindowsServices().smb(message, ENDS) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [("ADMIN$", PROGRAM), ("c$", PROGRAM), ("files", 0)]
)
def test_a_program_counts_on_an_administrators_share(share: str, expected: int) -> None:
    reader = WindowsServices()
    assert reader.smb(framed(tree(share)), ENDS) == 0
    assert reader.smb(framed(write(b"hello")), ENDS) == 0
    assert reader.smb(framed(write(PROGRAM_BYTES)), ENDS) == expected
    assert reader.smb(framed(write(PROGRAM_BYTES)), OTHER) == 0


def test_the_same_by_the_old_protocol() -> None:
    reader = WindowsServices()
    reader.smb(old(0x75, bytes(8), b"\0\\\\192.0.2.80\\C$\0A:\0"), ENDS)
    words = bytes(22) + (63).to_bytes(2, "little") + bytes(4)
    assert reader.smb(old(0x2F, words, PROGRAM_BYTES), ENDS) == PROGRAM


@pytest.mark.parametrize("wrap", [write, transceive])
@pytest.mark.parametrize(("number", "expected"), [(12, SERVICE), (44, SERVICE), (15, 0)])
def test_a_service_is_made_by_way_of_its_pipe(wrap: object, number: int, expected: int) -> None:
    reader = WindowsServices()
    message = framed(wrap(call(number)))  # type: ignore[operator]
    assert reader.smb(message, ENDS) == 0
    reader.smb(framed(create("srvsvc")), ENDS)
    assert reader.smb(message, ENDS) == 0
    reader.smb(framed(create("svcctl")), ENDS)
    assert reader.smb(message, ENDS) == expected


def test_compounds_are_read_in_bounds() -> None:
    reader = WindowsServices()
    path = tree("ADMIN$")
    size = -(-len(path) // 8) * 8
    first = path[:20] + size.to_bytes(4, "little") + path[24:].ljust(size - 24, b"\0")
    assert reader.smb(framed(first + write(PROGRAM_BYTES)), ENDS) == PROGRAM
    endless = new(5, b"", 64) * 100
    assert reader.smb(framed(endless), OTHER) == 0


def test_the_channel_of_bluekeep() -> None:
    reader = WindowsServices()
    assert reader.rdp(b"\3\0\1\0\2\xf0\x80\x7f\x65" + bytes(90) + b"MS_T120\0") == CHANNEL
    assert reader.rdp(b"\3\0\1\0\2\xf0\x80\x7f\x65" + bytes(90) + b"rdpdr\0\0\0") == 0


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_services, "MAX_CONNECTIONS", 10)
    reader = WindowsServices()
    for number in range(30):
        reader.smb(framed(tree("ADMIN$")), bytes([number]))
    assert len(reader._open) == 10


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([b"\xffSMB", b"\xfeSMB"]), st.binary(max_size=200))
def test_no_bytes_make_it_fail(name: bytes, rest: bytes) -> None:
    reader = WindowsServices()
    reader.smb(framed(tree("ADMIN$")), ENDS)
    assert reader.smb(b"\0\0\0\x40" + name + rest, ENDS) >= 0
    assert reader.rdp(rest) in (0, CHANNEL)
