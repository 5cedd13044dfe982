"""Bare packets to a honeypot, each from another forged address.

``forged_contacts.py IFACE GATEWAY_MAC HONEYPOT PACKETS_PER_S SECONDS KINDS``; KINDS: ``ack``,
``udp``, ``icmp``, or several with commas, which take turns.
"""

import socket
import struct
import sys
import time


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def packet(number: int, honeypot: bytes, kind: str) -> bytes:
    """IPv4, without its frame. Sources are spread over 23.0.0.0/8."""
    source = struct.pack(">I", 0x17000000 + (number * 2654435761 & 0xFFFFFF))
    here, there = 1024 + number % 60000, 1 + number % 1000
    if kind == "ack":
        protocol = 6
        body = struct.pack(">HHIIBBHHH", here, there, number, 1, 0x50, 0x10, 65535, 0, 0) + b"x"
    elif kind == "udp":
        protocol, body = 17, struct.pack(">HHHH", here, there, 9, 0) + b"x"
    else:
        echo = struct.pack(">BBHHH", 8, 0, 0, number & 0xFFFF, 1) + b"xx"
        protocol, body = 1, echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
    head = struct.pack(
        ">BBHHHBBH4s4s",
        *(0x45, 0, 20 + len(body), number & 0xFFFF, 0x4000, 64, protocol, 0, source, honeypot),
    )
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def main(interface: str, mac: str, honeypot: str, rate: float, seconds: float, kinds: str) -> None:
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    frame = bytes.fromhex(mac.replace(":", "")) + b"\2\0\0\0\0\1\x08\0"
    target = socket.inet_aton(honeypot)
    names = kinds.split(",")
    begin, sent = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        out.send(frame + packet(sent, target, names[sent % len(names)]))
        sent += 1
        if sent % 20 == 0:
            time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:4], float(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
