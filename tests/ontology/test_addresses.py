"""One form for every address, and the IPv4 address inside an IPv6 one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology.addresses import canonical, canonical_network, embedded, purpose

INNER = IPv4Address("192.0.2.33")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.33", "192.0.2.33"),
        ("::ffff:192.0.2.33", "192.0.2.33"),
        ("2001:db8::1%eth0", "2001:db8::1"),
        ("::192.0.2.33", "::c000:221"),
    ],
)
def test_one_form(text: str, expected: str) -> None:
    assert canonical(ip_address(text)) == ip_address(expected)
    assert getattr(canonical(ip_address(text)), "scope_id", None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
    ],
)
def test_one_form_of_networks(text: str, expected: str) -> None:
    assert canonical_network(ip_network(text)) == ip_network(expected)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("64:ff9b::192.0.2.33", "NAT64"),
        # The examples of RFC 6052 section 2.4, under the prefix of RFC 8215.
        ("64:ff9b:1:c000:2:2100::", "NAT64"),
        ("64:ff9b:1:c0:0:221::", "NAT64"),
        ("64:ff9b:1:0:c0:2:2100::", "NAT64"),
        ("64:ff9b:1::192.0.2.33", "NAT64"),
        ("64:ff9b:1:abcd::192.0.2.33", "NAT64"),
        ("2002:c000:221::1", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("::192.0.2.33", "IPv4-compatible"),
    ],
)
def test_what_an_address_carries(text: str, form: str) -> None:
    found = embedded(IPv6Address(text))
    assert {f.form for f in found} == {form}
    # The client of the Teredo example is 192.0.2.45: RFC 4380 writes it with each bit inverted.
    wanted = IPv4Address("192.0.2.45") if form == "Teredo" else INNER
    assert wanted in {f.address for f in found}


@pytest.mark.parametrize(
    "text", ["192.0.2.33", "::", "::1", "2001:db8::192.0.2.33", "64:ff9b:1:c000:102:2100::1"]
)
def test_what_carries_nothing(text: str) -> None:
    """An interface identifier is the attacker's to choose: it is never read."""
    assert INNER not in {f.address for f in embedded(ip_address(text))}


@given(
    inner=st.integers(0, 2**32 - 1).map(IPv4Address),
    subnet=st.integers(0, 2**16 - 1),
)
def test_every_prefix_length_of_rfc_6052_is_read(inner: IPv4Address, subnet: int) -> None:
    n, base = int(inner), 0x0064_FF9B_0001 << 80
    written = {
        48: base | (n >> 16) << 64 | (n & 0xFFFF) << 40,
        56: base | (subnet >> 8) << 72 | (n >> 24) << 64 | (n & 0xFFFFFF) << 32,
        64: base | subnet << 64 | n << 24,
        96: base | subnet << 64 | n,
    }
    for number in written.values():
        assert inner in {f.address for f in embedded(IPv6Address(number))}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("0.0.0.0", "unspecified"),  # noqa: S104  (nothing listens)
        ("0.1.2.3", "reserved"),
        ("127.8.8.8", "loopback"),
        ("169.254.1.1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_addresses_of_no_host(text: str, word: str) -> None:
    assert word in (purpose(ip_address(text)) or "")


@pytest.mark.parametrize("text", ["192.0.2.33", "10.0.0.255", "2001:db8::1", "fc00::1"])
def test_addresses_of_hosts(text: str) -> None:
    assert purpose(ip_address(text)) is None
