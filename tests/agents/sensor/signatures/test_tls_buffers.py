"""What TLS handshakes say in clear, from real ones of OpenSSL."""

from __future__ import annotations

import datetime
import hashlib
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.signatures.tls_buffers import read_tls


def hello(name: str = "www.example.org") -> bytes:
    """The ClientHello that OpenSSL sends."""
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def certificate() -> bytes:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, "evil.example"),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 0x80FF, now, now)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def handshake(kind: int, body: bytes, pieces: int = 1) -> bytes:
    """A handshake message in so many records."""
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    size = -(-len(message) // pieces)
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x03" + len(part).to_bytes(2, "big") + part for part in parts)


def certificates(*all_: bytes) -> bytes:
    body = b"".join(len(one).to_bytes(3, "big") + one for one in all_)
    return len(body).to_bytes(3, "big") + body


def test_the_name_a_client_asks_for() -> None:
    found = read_tls(hello())
    assert found["tls.sni"] == (b"www.example.org",)
    assert len(found["ja3.hash"][0]) == 32
    assert read_tls(hello("b.example"))["ja3.hash"] == found["ja3.hash"]


def test_a_fingerprint_leaves_random_numbers_out() -> None:
    """771,4865-49195,0-10-11,29-23,0 with a number of RFC 8701 in each list."""
    lists = b"\x00\x06\x0a\x0a\x13\x01\xc0\x2b" + b"\x01\x00"
    extensions = b"\x1a\x1a\0\0" + b"\0\0\0\0" + b"\0\x0a\0\x08\0\x06\x2a\x2a\0\x1d\0\x17"
    extensions += b"\0\x0b\0\x02\x01\0"
    body = b"\x03\x03" + bytes(32) + b"\0" + lists + len(extensions).to_bytes(2, "big") + extensions
    wanted = hashlib.md5(b"771,4865-49195,0-10-11,29-23,0").hexdigest()  # noqa: S324
    assert read_tls(handshake(1, body))["ja3.hash"] == (wanted.encode(),)


def test_a_servers_certificates() -> None:
    der = certificate()
    for pieces in (1, 3):
        found = read_tls(handshake(11, certificates(der, b"more"), pieces))
        assert found["tls.certs"] == (der, b"more")
        assert found["tls.cert_subject"] == (b"C=XX, O=Example, CN=evil.example",)
        assert found["tls.cert_issuer"] == found["tls.cert_subject"]
        assert found["tls.cert_serial"] == (b"00:80:FF",)
        sha1 = hashlib.sha1(der).hexdigest()  # noqa: S324
        assert found["tls.cert_fingerprint"][0].replace(b":", b"").decode() == sha1


def test_what_is_cut_short_says_nothing() -> None:
    whole = handshake(11, certificates(certificate()))
    assert read_tls(whole[:-1]) == {}
    assert read_tls(hello()[:60]) == {}


@given(st.integers(0, 400), st.binary(max_size=40))
def test_no_bytes_break_it(at: int, junk: bytes) -> None:
    data = HELLO[:at] + junk + HELLO[at + len(junk) :]
    read_tls(data)
    read_tls(handshake(11, certificates(junk)))
    read_tls(handshake(2, junk))


HELLO = hello()
