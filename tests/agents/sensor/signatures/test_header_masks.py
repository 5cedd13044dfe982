"""Addresses and ports of rules: lists, exclusions and variables as sets of intervals."""

import pytest

from agents.sensor.signatures.header_masks import read_addresses, read_ports

MAPPED = 0xFFFF << 32


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("80", [(80, 80)]),
        ("1:3", [(1, 3)]),
        (":3", [(0, 3)]),
        ("65530:", [(65530, 65535)]),
        ("[80,81, 90]", [(80, 81), (90, 90)]),
        ("!80", [(0, 79), (81, 65535)]),
        ("[1:10,!5]", [(1, 4), (6, 10)]),
        ("[!80,!81]", [(0, 79), (82, 65535)]),
        ("[1:10,![2,4]]", [(1, 1), (3, 3), (5, 10)]),
        ("$WEB", [(80, 80), (8080, 8080)]),
        ("![$WEB,1:]", [(0, 0)]),
        ("any", [(0, 65535)]),
    ],
)
def test_ports(text: str, intervals: list[tuple[int, int]]) -> None:
    assert read_ports(text, {"WEB": "[80,8080]"}) == intervals


def test_addresses_of_both_versions_lie_on_one_line() -> None:
    assert read_addresses("192.0.2.0/30", {}) == [(MAPPED + 0xC0000200, MAPPED + 0xC0000203)]
    (both,) = read_addresses("::/0", {})
    assert both == (0, (1 << 128) - 1)
    assert read_addresses("[192.0.2.0/24,!192.0.2.0/25]", {}) == [
        (MAPPED + 0xC0000280, MAPPED + 0xC00002FF)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "65536",
        "3:1",
        "[1,2",
        "[1]]",
        "$NOBODY",
        "$LOOP",
        "!" * 20 + "1",
        "[" * 20 + "1" + "]" * 20,
    ],
)
def test_what_can_t_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_ports(text, {"LOOP": "$LOOP"})
