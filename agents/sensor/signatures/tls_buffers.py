"""What a TLS handshake says in clear: server name, certificates, fingerprints of the hellos.

Handshake messages that aren't whole in the bytes at hand say nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509.oid import NameOID

MAX_CERTIFICATES = 16
_HANDSHAKE = 22
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
}


def read_tls(data: bytes) -> dict[str, tuple[bytes, ...]]:
    """Buffers by name, each with its instances; bytes that are no handshake give none."""
    found: dict[str, tuple[bytes, ...]] = {}
    for kind, body in _messages(data):
        try:
            if kind == _CLIENT_HELLO:
                _client_hello(body, found)
            elif kind == _SERVER_HELLO:
                _server_hello(body, found)
            elif kind == _CERTIFICATE:
                _certificates(body, found)
        except (struct.error, IndexError, ValueError):
            continue  # cut short or nonsense: not what it claims to be
    return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    stream, at = b"", 0
    while data[at : at + 1] == b"\x16" and data[at + 1 : at + 2] == b"\x03" and len(data) >= at + 5:
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        stream += data[at + 5 : at + 5 + size]
        at += 5 + size
    at = 0
    while at + 4 <= len(stream):
        size = int.from_bytes(stream[at + 1 : at + 4], "big")
        if at + 4 + size > len(stream):
            return
        yield stream[at], stream[at + 4 : at + 4 + size]
        at += 4 + size


def _short(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", data, at)[0])


def _grease(number: int) -> bool:
    """Numbers that browsers send at random (RFC 8701)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def _extensions(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    if at + 2 > len(data):
        return
    end = at + 2 + _short(data, at)
    at += 2
    while at + 4 <= min(end, len(data)):
        size = _short(data, at + 2)
        yield _short(data, at), data[at + 4 : at + 4 + size]
        at += 4 + size


def _numbers(data: bytes, width: int) -> list[int]:
    return [
        int.from_bytes(data[at : at + width], "big")
        for at in range(0, len(data) - width + 1, width)
    ]


def _hash(*parts: object) -> tuple[bytes, ...]:
    text = ",".join(map(str, parts)).encode()
    return (hashlib.md5(text, usedforsecurity=False).hexdigest().encode(),)


def _joined(numbers: list[int]) -> str:
    return "-".join(str(number) for number in numbers if not _grease(number))


def _client_hello(body: bytes, found: dict[str, tuple[bytes, ...]]) -> None:
    version = _short(body, 0)
    at = 34
    at += 1 + body[at]
    size = _short(body, at)
    ciphers = _numbers(body[at + 2 : at + 2 + size], 2)
    at += 2 + size
    at += 1 + body[at]
    kinds, curves, formats = [], [], []
    for kind, value in _extensions(body, at):
        kinds.append(kind)
        if kind == 0 and len(value) >= 5 and value[2] == 0:
            name = value[5 : 5 + _short(value, 3)]
            if name:
                found.setdefault("tls.sni", (name,))
        elif kind == 10:
            curves = _numbers(value[2:], 2)
        elif kind == 11:
            formats = list(value[1:])
    plain = "-".join(map(str, formats))
    found["ja3.hash"] = _hash(version, _joined(ciphers), _joined(kinds), _joined(curves), plain)


def _server_hello(body: bytes, found: dict[str, tuple[bytes, ...]]) -> None:
    at = 34
    at += 1 + body[at]
    cipher = _short(body, at)
    kinds = [kind for kind, _ in _extensions(body, at + 3)]
    found["ja3s.hash"] = _hash(_short(body, 0), cipher, "-".join(map(str, kinds)))


def _certificates(body: bytes, found: dict[str, tuple[bytes, ...]]) -> None:
    certificates: list[bytes] = []
    at, end = 3, 3 + int.from_bytes(body[:3], "big")
    while at + 3 <= min(end, len(body)) and len(certificates) < MAX_CERTIFICATES:
        size = int.from_bytes(body[at : at + 3], "big")
        certificates.append(body[at + 3 : at + 3 + size])
        at += 3 + size
    if not certificates:
        return
    found["tls.certs"] = tuple(certificates)
    first = x509.load_der_x509_certificate(certificates[0])
    serial = first.serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    found["tls.cert_serial"] = (octets.hex(":").upper().encode(),)
    found["tls.cert_fingerprint"] = (first.fingerprint(SHA1()).hex(":").encode(),)  # noqa: S303
    found["tls.cert_subject"] = (_name(first.subject),)
    found["tls.cert_issuer"] = (_name(first.issuer),)


def _name(name: x509.Name) -> bytes:
    """``C=US, O=Example, CN=example.org``, in the certificate's order."""
    return ", ".join(
        " + ".join(
            f"{_NAMES.get(part.oid, part.oid.dotted_string)}={_text(part.value)}" for part in rdn
        )
        for rdn in name.rdns
    ).encode()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()
