"""The honeynet's own certificate authority and the certificate of its embedded XMPP server."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID_FROM = datetime(2000, 1, 1, tzinfo=UTC)
_VALID_UNTIL = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The last moment that UTCTime can say (RFC 5280, 4.1.2.5.1): ejabberd takes no certificate that
ends in 9999, which would mean no end. Clocks are not trusted: a host that boots with its clock a
month off, whichever made the certificate, must still reach the server. Both go with the honeynet's
keys."""


def ensure_authority(directory: Path) -> None:
    """``ca.crt`` and ``ca.key`` (0600) in ``directory``, made if they aren't there."""
    certificate, key_file = directory / "ca.crt", directory / "ca.key"
    if certificate.exists() and key_file.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("OntoIDPS private CA")
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_file, _pem(key), 0o600)
    _write(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def issue_server_certificate(authority: Path, domain: str) -> tuple[bytes, bytes]:
    """(certificate, key), PEM, for the XMPP domain; signed with the CA in ``authority``.

    Raises: OSError, ValueError if the CA's files can't be read.
    """
    ca_key = serialization.load_pem_private_key((authority / "ca.key").read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{authority / 'ca.key'}: not an EC key")
    ca = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_id = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    built = (
        x509.CertificateBuilder()
        .subject_name(_name(domain[:64]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_UNTIL)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM), _pem(key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
