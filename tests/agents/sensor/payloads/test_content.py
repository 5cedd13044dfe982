"""Content features on conversations in cleartext, whole and cut into segments; hostile ones too."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from agents.sensor.flows.marks import CONTENT_COLUMNS, add_counts
from agents.sensor.payloads.content import MAX_LINE, ContentReader, readable
from datasets.captures.pcap import PADDING, RawPackets
from ontology.records import CONTENT_FLAGS

C, S = True, False


class Talk:
    """Frames of one connection: C(lient) and S(erver) payloads with right sequence numbers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.next = {C: 1, S: 1}
        self.frames: list[bytes] = []
        self.send(C, b"", flags=2, seq=0)
        self.send(S, b"", flags=18, seq=0)

    def send(self, client: bool, payload: bytes, *, flags: int = 24, seq: int = -1) -> None:
        ends = [(bytes([10, 0, 0, 1]), 4000), (bytes([10, 0, 0, 2]), self.port)]
        (src, sport), (dst, dport) = ends if client else ends[::-1]
        if seq < 0:
            seq = self.next[client]
            self.next[client] += len(payload)
        tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, flags, 8192, 0, 0)
        size = 40 + len(payload)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, len(self.frames), 0, 64, 6, 0, src, dst)
        self.frames.append(bytes(12) + b"\x08\x00" + ip + tcp + payload)

    def raw(self, step_us: int = 1000) -> RawPackets:
        lengths = np.array([len(f) for f in self.frames], np.int64)
        data = np.frombuffer(b"".join(self.frames) + bytes(PADDING), np.uint8)
        times = np.arange(len(lengths), dtype=np.int64) * step_us
        return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, 1)


def said(port: int, lines: list[tuple[bool, bytes]], pieces: int = 0) -> dict[str, int]:
    """What the records of a conversation sum up to; ``pieces``: segments of so many bytes."""
    talk = Talk(port)
    for client, text in lines:
        step = pieces or max(len(text), 1)
        for at in range(0, len(text), step):
            talk.send(client, text[at : at + step])
    core = SensorCore("s")
    core.on_packets(talk.raw())
    (batch,) = core.take_batches(core.last_us, final=True)
    rows: Any = batch.connections
    out = {name: int(rows[name].sum()) for name in (*CONTENT_COLUMNS[:-1], "failed_logins")}
    bits = np.bitwise_or.reduce(rows["content_flags"])
    out |= {name: int(bits >> number & 1) for number, name in enumerate(CONTENT_FLAGS)}
    return {name: value for name, value in out.items() if value}


FTP = [
    (S, b"220 ready\r\n"), (C, b"USER anonymous\r\n"), (S, b"331 mail?\r\n"),
    (C, b"PASS a@b\r\n"), (S, b"230 welcome\r\n"),
    (C, b"CWD /etc\r\n"), (S, b"250 ok\r\n"),
    (C, b"RETR /etc/passwd\r\n"), (S, b"150 here\r\n"),
    (C, b"STOR .rhosts\r\n"), (C, b"MKD x\r\n"), (C, b"SITE EXEC sh\r\n"),
    (C, b"RETR nothing\r\n"), (S, b"550 nothing: No such file or directory\r\n"),
]  # fmt: skip
FTP_SAID = {
    "hot": 3, "access_files": 2, "file_creations": 2, "compromised": 1, "LoggedIn": 1,
    "GuestLogin": 1,
}  # fmt: skip
TELNET = [
    (S, b"\xff\xfd\x18\xff\xfb\x01login: "), (C, b"bob\r\0"), (S, b"bob\r\nPassword: "),
    (C, b"cat > x\r\0"),  # a password, whatever it looks like
    (S, b"\r\nLast login: today\r\nbob@host:~$ "),
    (C, b"ls -l\r\0"), (S, b"ls -l\r\ntotal 0\r\nbob@host:~$ "),
    (C, b"su -\r\0"), (S, b"Password: "), (C, b"secret\r\0"), (S, b"\r\nroot@host:~# "),
    (C, b"cat /etc/shadow\r\0"), (S, b"root:x\r\nroot@host:~# "),
    (C, b"touch /tmp/y\r\0"), (S, b"root@host:~# "),
    (C, b"/bin/sh\r\0"), (S, b"# "),
    (C, b"gxx\x7f\x7fcc a.c\r\0"), (S, b"a.c: No such file or directory\r\n# "),
]  # fmt: skip
TELNET_SAID = {
    "hot": 3, "compromised": 1, "root_actions": 4, "file_creations": 1, "shells": 1,
    "access_files": 1, "LoggedIn": 1, "RootShell": 1, "SuAttempted": 1,
}  # fmt: skip
SMTP = [
    (S, b"220 mail\r\n"), (C, b"EHLO a\r\n"), (S, b"250 ok\r\n"), (C, b"WIZ\r\n"),
    (C, b"VRFY root\r\n"), (C, b"MAIL FROM:<|/bin/mail>\r\n"), (C, b"DATA\r\n"),
    (S, b"354 go\r\n"), (C, b"DEBUG\r\nWIZ\r\n.\r\n"), (S, b"250 ok\r\n"),
    (C, b"DEBUG\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("pieces", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("port", "lines", "expected"),
    [(21, FTP, FTP_SAID), (23, TELNET, TELNET_SAID), (25, SMTP, {"hot": 4})],
    ids=["ftp", "telnet", "smtp"],
)
def test_conversations_say_the_same_however_they_are_cut(
    port: int, lines: list[tuple[bool, bytes]], expected: dict[str, int], pieces: int
) -> None:
    if port == 23 and pieces:  # the commands of Telnet itself are two or three bytes, kept whole
        lines = [(S, b"login: "), *lines[1:]]
    assert said(port, lines, pieces) == expected


def test_refused_login_and_named_accounts() -> None:
    refused = [(C, b"USER root\r\n"), (C, b"PASS x\r\n"), (S, b"530 no\r\n")]
    assert said(21, refused) == {"failed_logins": 1, "HostLogin": 1}
    assert said(23, [(S, b"login: "), (C, b"guest\r\n")]) == {"GuestLogin": 1}


def test_the_wrong_side_says_nothing() -> None:
    assert said(21, [(S, b"STOR x\r\n"), (C, b"230 welcome\r\n")]) == {}


def test_web_requests_for_access_files() -> None:
    request = b"GET /a?f=../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"
    assert said(80, [(C, request)]) == {"access_files": 1}
    assert said(80, [(C, b"GET /.htpasswd HTTP/1.0\r\n\r\n")]) == {"access_files": 1}
    assert said(80, [(C, b"GET /index.html HTTP/1.0\r\n\r\n")]) == {}


def test_retransmission_and_loss_inside_a_line() -> None:
    talk = Talk(21)
    talk.send(C, b"STOR ")
    talk.send(C, b"STOR ", seq=1)
    talk.send(C, b"R x\r\n", seq=4)  # begins inside what was read
    talk.next[C] = 100  # lost: what follows is another line
    talk.send(C, b"MKD y\r\n")
    core = SensorCore("s")
    core.on_packets(talk.raw())
    (batch,) = core.take_batches(core.last_us, final=True)
    assert int(batch.connections["file_creations"].sum()) == 2


def test_counts_stay_at_255() -> None:
    assert said(21, [(C, b"STOR x\r\n" * 9)] * 40)["file_creations"] == 255
    counts = np.array([[250] * 7], np.uint8)
    add_counts(counts, np.array([0, 0]), np.array([[9] * 6 + [1], [0] * 6 + [4]], np.uint8))
    assert counts.tolist() == [[255] * 6 + [250 | 5]]


def test_memory_is_bounded_and_what_is_forgotten_counted() -> None:
    reader = ContentReader(max_connections=3)
    for port in range(10):
        talk = Talk(21)
        talk.send(C, b"x" * 2000)
        old, new = struct.pack(">H", 4000), struct.pack(">H", 5000 + port)
        talk.frames = [f.replace(old, new, 1) for f in talk.frames]
        packets = decode(talk.raw())
        reader.read(packets, np.flatnonzero(readable(packets)))
    assert (len(reader), reader.forgotten) == (3, 7)
    assert all(len(c.client.tail) <= MAX_LINE for c in reader._open.values())


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from([21, 23, 25]),
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.binary(max_size=60),
                st.sampled_from([line for _, line in FTP + TELNET + SMTP]),
            ),
        ),
        max_size=20,
    ),
    st.integers(0, 5),
)
def test_any_conversation_is_read_without_error(
    port: int, lines: list[tuple[bool, bytes]], pieces: int
) -> None:
    assert all(0 < value <= 255 for value in said(port, lines, pieces).values())


@pytest.mark.parametrize(
    "payload",
    [b"\r" * 2048, b"a;" * 1024, b"../" * 700, b"\xff\xfa" * 1024, b"\x1b[" * 1024, b"su " * 700,
     b">" * 2048, b"\x7f" * 2048, b"/" * 2048, b" " * 2048, b"(" * 2048],
)  # fmt: skip
def test_hostile_lines_take_bounded_work(payload: bytes) -> None:
    """Polynomial matching of 100 packets would not end within the time-out of a test."""
    for port in (21, 23, 25):
        said(port, [(C, payload), (C, b"\n"), (S, payload), (S, b"\n")] * 25)
