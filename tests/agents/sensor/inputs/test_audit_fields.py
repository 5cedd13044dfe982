"""Values of the audit log: who could choose them, and what they mean."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.inputs.audit_fields import (
    arguments,
    connected,
    identity,
    process_number,
    socket_address,
    untrusted,
    words,
)


def written(raw: bytes) -> bytes:
    """As the kernel's audit_log_untrustedstring() writes it."""
    plain = all(0x20 < byte < 0x7F and byte != 0x22 for byte in raw)
    return b'"' + raw + b'"' if plain else raw.hex().upper().encode()


@given(st.binary(min_size=1, max_size=200).filter(lambda raw: b"\0" not in raw))
def test_what_a_user_chose_comes_back_and_stays_one_word(raw: bytes) -> None:
    value = written(raw)
    assert b" " not in value
    assert untrusted(value) == raw.decode("utf-8", "replace")


@pytest.mark.parametrize("value", [b"(null)", b"(none)", b"?", b""])
def test_what_is_absent_is_empty(value: bytes) -> None:
    assert untrusted(value) == ""


def test_arguments_are_between_nuls_in_a_title() -> None:
    assert untrusted(b"77676574002D7100") == "wget -q"


@given(st.ip_addresses(), st.integers(1, 65535))
def test_socket_addresses_of_both_byte_orders(address: object, port: int) -> None:
    ip = ip_address(str(address))
    family = 2 if isinstance(ip, IPv4Address) else 10
    rest = port.to_bytes(2, "big") + (b"" if family == 2 else bytes(4)) + ip.packed + bytes(8)
    for order in ("little", "big"):
        raw = family.to_bytes(2, order) + rest  # type: ignore[arg-type]
        found = socket_address(raw.hex().upper().encode())
        assert found is not None
        assert (found[0].packed[-4:], found[1]) == (ip.packed[-4:], port)


def test_long_arguments_come_in_pieces() -> None:
    records = [
        b': argc=3 a0="sh" a1_len=8 a1[0]="abcd" a1[1]="efgh"',
        b': a2="end"\x1da9="not an argument"',
    ]
    assert arguments(records) == "sh abcdefgh end"


def test_arguments_are_bounded() -> None:
    body = b" ".join(b'a%d="%s"' % (n, b"x" * 200) for n in range(2000))
    assert len(arguments([body])) < 5000


def test_users_by_name_else_number() -> None:
    fields = words(b"auid=1000 uid=4294967295 euid=33")
    assert identity(fields, {b"AUID": b'"admin"'}, b"auid") == "admin"
    assert identity(fields, {b"EUID": b'"unknown"'}, b"euid") == "33"
    assert identity(fields, {}, b"uid") == ""


def test_a_connection_in_progress_was_begun() -> None:
    assert connected(words(b"success=no exit=-115"))
    assert connected(words(b"success=yes exit=0"))
    assert not connected(words(b"success=no exit=-111"))


@pytest.mark.parametrize("value", [None, b"", b"-1", b"x", b"99999999999", b"4294967296"])
def test_what_is_no_process_number(value: bytes | None) -> None:
    assert process_number(value) is None
