"""Options that test headers: read as Snort's manual has them, or refused by name."""

import pytest

from rules.signatures.header_options import HEADER_READERS, HeaderTest
from rules.signatures.option_errors import OptionError, printable


def read(**options: str) -> HeaderTest:
    test = HeaderTest()
    for name, value in options.items():
        test = HEADER_READERS[name](test, value)
    return test


def test_flow() -> None:
    assert read(flow="established, from_client") == HeaderTest(to_server=True, established=True)
    assert read(flow="to_client,not_established") == HeaderTest(to_server=False, established=False)
    assert read(flow="stateless") == HeaderTest()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("S", ("=", 2, 0)),
        ("+SA", ("+", 18, 0)),
        ("SF*", ("*", 3, 0)),
        ("!R", ("!", 4, 0)),
        ("S,12", ("=", 2, 192)),
        ("S,CE", ("=", 2, 192)),
        ("0", ("=", 0, 0)),
    ],
)
def test_flags(text: str, flags: tuple[str, int, int]) -> None:
    assert read(flags=text).flags == flags


def test_numbers_and_ranges() -> None:
    assert read(dsize=">100").payload_bytes == (101, 65_535)
    assert read(dsize="10<>20").payload_bytes == (11, 19)
    assert read(itype="<5", icode="0") == HeaderTest(icmp_type=(0, 4), icmp_code=(0, 0))
    assert read(icmp_id="0x1F", icmp_seq="3") == HeaderTest(icmp_id=31, icmp_sequence=3)
    assert read(ip_proto="igmp").ip_protocol == {2}
    assert read(ip_proto=">50").ip_protocol == set(range(51, 256))
    assert read(ip_proto="!6").ip_protocol == set(range(256)) - {6}
    assert read(sameip="").same_address


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flow", "sideways", "flow (sideways)"),
        ("flags", "SX", "flags (unreadable)"),
        ("ip_proto", "300", "ip_proto (out of range)"),
        ("ip_proto", "many words", "ip_proto (unreadable)"),
        ("itype", "x", "itype (unreadable)"),
        ("icmp_id", "99999999999", "icmp_id (out of range)"),
    ],
)
def test_what_is_not_carried_out_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(OptionError) as refused:
        read(**{name: value})
    assert str(refused.value) == words


def test_bytes_of_a_rule_file_as_text() -> None:
    assert printable("caf\xc3\xa9\x1b[0m") == "café [0m"
