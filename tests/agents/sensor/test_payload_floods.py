"""Floods of chosen payloads on a wire, against plain floods of the same rate: no more is lost."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.agent import SensorAgent
from agents.sensor.capture.packet_sources import Sources
from agents.sensor.core import SensorCore
from agents.sensor.payloads.reading_shares import SAVED_US, ReadingShares
from agents.settings.honeynet import Node
from datasets.captures.pcap import PADDING, RawPackets
from ontology.records import ConnectionBatch

Namespace = Callable[[Callable[[], None]], None]
SENDER = Path(__file__).with_name("flood_sender.py")
HONEYPOT, GUESSER = bytes((198, 51, 100, 18)), bytes((192, 0, 2, 80))
SIZE = 1460
SECONDS = 2.5
GUESSES = 20


def frame(
    source: tuple[bytes, int],
    target: tuple[bytes, int],
    flags: int,
    seq: int,
    ack: int,
    data: bytes,
) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", source[1], target[1], seq, ack, 0x50, flags, 8192, 0, 0)
    size = 40 + len(data)
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, size, seq & 0xFFFF, 0x4000, 64, 6, 0, source[0], target[0]
    )
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip + tcp + data


def guesser() -> list[bytes]:
    """One connection to FTP with 20 passwords, each refused: 43 frames."""
    client, server = (GUESSER, 40_000), (HONEYPOT, 21)
    frames = [
        frame(client, server, 2, 99, 0, b""),
        frame(server, client, 18, 499, 100, b""),
        frame(client, server, 16, 100, 500, b""),
    ]
    sent, answered = 100, 500
    for number in range(GUESSES):
        password, refusal = b"PASS %02d\r\n" % number, b"530 Login incorrect.\r\n"
        frames.append(frame(client, server, 24, sent, answered, password))
        sent += len(password)
        frames.append(frame(server, client, 24, answered, sent, refusal))
        answered += len(refusal)
    return frames


def blind(port: int, unit: bytes, head: bytes = b"") -> Callable[[int], bytes]:
    """Packets that nobody answers, each from another address, as in the case's script."""
    payload = (head + unit * SIZE)[: SIZE - 1] + b"\n"

    def made(number: int) -> bytes:
        source = struct.pack(">I", 0x0B000000 + (number * 2_654_435_761 & 0xFFFFFF))
        port_of = 1024 + number % 60_000
        return frame((source, port_of), (HONEYPOT, port), 24, number, 1, payload)

    return made


def spoken(port: int, unit: bytes) -> Callable[[int], bytes]:
    """One source's packets in a connection that the honeypot has answered."""
    ends = (bytes((192, 0, 2, 66)), 41_000), (HONEYPOT, port)
    opening = [
        frame(*ends, 2, 99, 0, b""),
        frame(*ends[::-1], 18, 499, 100, b""),
        frame(*ends, 16, 100, 500, b""),
    ]
    payload = (unit * SIZE)[: SIZE - 1] + b"\n"

    def made(number: int) -> bytes:
        if number < len(opening):
            return opening[number]
        return frame(*ends, 24, 100 + (number - len(opening)) * SIZE, 500, payload)

    return made


@dataclass(frozen=True)
class Outcome:
    """What came of a flood with the guesser in it."""

    sent: int
    lost: int
    cpu_us: float
    """Of this process, per packet sent."""
    refused: int
    """Of the guesser's logins, as the records count them."""


def flood(made: Callable[[int], bytes], pps: int) -> Outcome:
    """In a namespace: send for `SECONDS`, and see what the sensor's own threads make of it."""
    among, frames = guesser(), []
    every = int(pps * SECONDS * 0.9) // len(among)
    for number in range(int(pps * SECONDS)):
        frames.append(made(number))
        if number % every == every - 1 and among:
            frames.append(among.pop(0))
    data = b"".join(struct.pack(">H", len(one)) + one for one in frames)
    sources = Sources(
        Node.model_validate(
            {
                "name": "gw1",
                "agents": ["sensor", "analyzer"],
                "interfaces": ["b0"],
                "sides": {"b0": "tap"},  # both ends' packets arrive here
            }
        ),
        "sensor.gw1@h",
    )
    sources.start(None)
    batches: list[ConnectionBatch] = []
    try:
        deadline = time.monotonic() + 10
        while not sources.capturing:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        begin = time.process_time()
        sender = subprocess.Popen(
            [sys.executable, str(SENDER), "a0", str(pps)], stdin=subprocess.PIPE
        )
        assert sender.stdin is not None
        sender.stdin.write(data)
        sender.stdin.close()
        while sender.poll() is None:
            batches += sources.take()
            time.sleep(0.1)
        time.sleep(0.5)
        counters = sources.counters()
        spent = time.process_time() - begin
        assert sender.returncode == 0
    finally:
        batches += sources.stop()
    rows = np.concatenate([batch.connections for batch in batches])
    of_guesser = (rows["src"][:, 12:] == np.frombuffer(GUESSER, np.uint8)).all(axis=1)
    return Outcome(
        len(frames),
        len(frames) - counters["packets"],
        spent / len(frames) * 1e6,
        int(rows["failed_logins"][of_guesser].sum()),
    )


def mbit(rate: float) -> int:
    """Packets a second of `SIZE` bytes of payload that make so many Mbit/s."""
    return int(rate * 1e6 / 8 / (SIZE + 54))


@pytest.mark.root
@pytest.mark.slow
def test_chosen_payloads_lose_no_more_than_any_others(namespace: Namespace) -> None:
    """Telnet at 11 and 42 Mbit/s lost 57 and 84 % of the packets, and with them the guesser."""
    outcomes: dict[str, Outcome] = {}

    def body() -> None:
        for arguments in (
            ("link", "add", "a0", "type", "veth", "peer", "name", "b0"),
            *(("link", "set", name, "addrgenmode", "none") for name in ("a0", "b0")),
            *(("link", "set", name, "up") for name in ("a0", "b0")),
        ):
            subprocess.run(["ip", *arguments], check=True)
        outcomes["plain"] = flood(blind(9_999, b"\0\1"), mbit(42))
        outcomes["telnet at 11"] = flood(blind(23, b";/"), mbit(11))
        outcomes["telnet"] = flood(blind(23, b";/"), mbit(42))
        outcomes["rsh"] = flood(blind(514, b"+ >"), mbit(42))
        outcomes["web"] = flood(blind(80, b"%2541", b"GET /?"), mbit(42))
        outcomes["ftp"] = flood(blind(21, b"CWD /etc\r\n"), mbit(42))
        outcomes["telnet, answered"] = flood(spoken(23, b"su;/"), mbit(42))
        outcomes["ftp, answered"] = flood(spoken(21, b"CWD /etc\r\n"), mbit(42))

    namespace(body)
    plain = outcomes.pop("plain")
    for name, seen in outcomes.items():
        assert seen.lost <= plain.lost + seen.sent // 100, (name, seen, plain)
        if seen.lost == 0:
            assert seen.refused == GUESSES, (name, seen)
        # At 11 Mbit/s the same number of blocks holds a quarter of the packets.
        dear = 8 if "at 11" in name else 20 if "answered" in name else 3
        assert seen.cpu_us <= dear * plain.cpu_us, (name, seen, plain)


def test_what_is_thinned_is_counted_and_told() -> None:
    """20,000 dear payloads at once, of one source, and a guesser between them."""
    frames = [*(spoken(21, b"CWD /etc\r\n")(number) for number in range(20_000))]
    among = guesser()
    for number, one in enumerate(among):
        frames.insert(3 + number * 400, one)
    lengths = np.array([len(one) for one in frames], np.int64)
    data = np.frombuffer(b"".join(frames) + bytes(PADDING), np.uint8)
    times = np.arange(len(frames), dtype=np.int64) + 1_000_000
    raw = RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, 1)
    rows, counters = {}, {}
    for name, shares in (("live", ReadingShares()), ("replay", None)):
        core = SensorCore("s", shares=shares)
        core.on_packets(raw)
        (batch,) = core.take_batches(core.last_us, final=True)
        rows[name], counters[name] = batch.connections, core.counters
    for name in rows:
        assert int(rows[name]["failed_logins"].sum()) == GUESSES
        assert int(rows[name]["login_attempts"].sum()) == GUESSES
    assert counters["replay"]["thinned"] == 0
    read = counters["live"]["payloads"]
    assert counters["live"]["thinned"] == counters["replay"]["payloads"] - read > 0
    assert read * 20 < SAVED_US
    assert "thinned" in {loss.pattern for loss in SensorAgent.losses}
