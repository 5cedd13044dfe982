"""What a conversation speaks, judged by the first bytes that either end sends.

Names are those of rules (``alert http …``). A protocol is only named on evidence in the bytes; for
DNS and for greetings that several protocols share the port has to agree as well.
"""

from __future__ import annotations

from agents.sensor.flows.packets import TCP, UDP
from agents.sensor.signatures.http_buffers import METHODS

NAMES = ("", "http", "tls", "ssh", "ftp", "smtp", "smb", "dns")
"""By number; 0 is what is not recognised."""
NUMBERS = {name: number for number, name in enumerate(NAMES)}
LOOK = 64
"""Bytes that are looked at."""
_MAIL = frozenset([25, 465, 587, 2525])
_DNS_HEADER = 12


def recognise(data: bytes, transport: int, server_port: int) -> int:
    """Number of the protocol; 0 if it isn't clear. ``data``: at least `LOOK` bytes, or all."""
    if transport == TCP:
        return NUMBERS[_stream(data, server_port)]
    if transport == UDP and server_port == 53 and is_dns(data):
        return NUMBERS["dns"]
    return 0


def is_dns(data: bytes) -> bool:
    """Whether it may be a DNS message: known operation, few questions."""
    if len(data) < _DNS_HEADER:
        return False
    operation = data[2] >> 3 & 15
    questions = int.from_bytes(data[4:6], "big")
    return operation in (0, 1, 2, 4, 5) and questions <= 16 and not data[3] & 0x40


def _stream(data: bytes, port: int) -> str:
    if data[:4] in METHODS or data[:5] == b"HTTP/":
        return "http"
    if data[:2] == b"\x16\x03":
        return "tls"
    if data[:4] == b"SSH-":
        return "ssh"
    if data[4:8] in (b"\xffSMB", b"\xfeSMB"):
        return "smb"
    if port == 53 and len(data) > 2 and is_dns(data[2:]):
        return "dns"
    upper = data[:LOOK].upper()
    if upper[:5] in (b"EHLO ", b"HELO "):
        return "smtp"
    if upper[:4] in (b"220 ", b"220-"):
        if port == 21 or b"FTP" in upper:
            return "ftp"
        if port in _MAIL or b"SMTP" in upper:
            return "smtp"
    if upper[:5] == b"USER " and port == 21:
        return "ftp"
    return ""


def client_speaks(data: bytes) -> bool | None:
    """Whether these first bytes are a client's (True) or a server's; None: can't say."""
    if data[:4] in METHODS:
        return True
    if data[:5] == b"HTTP/":
        return False
    if data[:2] == b"\x16\x03" and data[5:6] in (b"\x01", b"\x02"):
        return data[5] == 1
    return None
