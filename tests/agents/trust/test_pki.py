"""Certificates: a private authority, and servers that TLS clients accept by name."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from agents.trust.pki import ensure_authority, issue_server_certificate


def verified(authority: Path, certificate: bytes, name: str, when: datetime | None = None) -> None:
    """Raises: VerificationError."""
    ca = x509.load_pem_x509_certificate((authority / "ca.crt").read_bytes())
    policy = PolicyBuilder().store(Store([ca]))
    if when is not None:
        policy = policy.time(when)
    verifier = policy.build_server_verifier(x509.DNSName(name))
    verifier.verify(x509.load_pem_x509_certificate(certificate), [])


def test_a_server_is_accepted_by_its_name_and_by_no_other(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    certificate, key = issue_server_certificate(tmp_path, "honeynet.test")
    verified(tmp_path, certificate, "honeynet.test")
    with pytest.raises(VerificationError):
        verified(tmp_path, certificate, "other.test")
    assert key.startswith(b"-----BEGIN")


@pytest.mark.parametrize("off", [timedelta(days=d) for d in (-7_000, -30, -1, 1, 30, 8_000)])
def test_a_client_whose_clock_is_off_accepts_it_as_well(tmp_path: Path, off: timedelta) -> None:
    ensure_authority(tmp_path)
    certificate, _ = issue_server_certificate(tmp_path, "honeynet.test")
    verified(tmp_path, certificate, "honeynet.test", datetime.now(UTC) + off)


def test_another_authority_s_server_is_refused(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        ensure_authority(folder)
    certificate, _ = issue_server_certificate(theirs, "honeynet.test")
    with pytest.raises(VerificationError):
        verified(ours, certificate, "honeynet.test")


def test_the_authority_is_made_once_and_its_key_is_its_owner_s(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    before = (tmp_path / "ca.key").read_bytes()
    ensure_authority(tmp_path)
    assert (tmp_path / "ca.key").read_bytes() == before
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_a_spoilt_key_is_an_error_of_its_own(tmp_path: Path) -> None:
    ensure_authority(tmp_path)
    (tmp_path / "ca.key").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r".+"):
        issue_server_certificate(tmp_path, "honeynet.test")
