"""Bits and rates: read, or refused by name."""

import pytest

from rules.signatures.option_errors import OptionError
from rules.signatures.state_options import Bit, Effects, EffectsReader, Rate


def read(*options: tuple[str, str]) -> Effects:
    reader = EffectsReader()
    for name, value in options:
        reader.read(name, value)
    return reader.effects


def test_bits() -> None:
    found = read(
        ("flowbits", "isset, a|b.c"),
        ("flowbits", "noalert"),
        ("xbits", "set,x y,track ip_pair, expire 3600"),
    )
    assert found.silent
    assert found.bits == (
        Bit("isset", ("a", "b.c")),
        Bit("set", ("x y",), "pair", 3_600_000_000),
    )


@pytest.mark.parametrize(
    ("name", "value", "rate"),
    [
        ("threshold", "type limit,count 1, seconds 60 , track by_src",
         Rate("limit", 1, 60_000_000, "src")),
        ("threshold", "type both , track by_both,count 5,seconds 2",
         Rate("both", 5, 2_000_000, "pair")),
        ("detection_filter", "track by_dst, count 9, seconds 1",
         Rate("detection_filter", 9, 1_000_000, "dst")),
    ],
)  # fmt: skip
def test_rates(name: str, value: str, rate: Rate) -> None:
    assert read((name, value)).rates == (rate,)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flowbits", "reset", "flowbits (reset)"),
        ("flowbits", "set,a,group", "flowbits (set)"),
        ("flowbits", "set,a|b", "flowbits (name)"),
        ("flowbits", "isset,\x1b", "flowbits (name)"),
        ("xbits", "set,a,expire 9", "xbits (no track)"),
        ("xbits", "toggle,a,track ip_src", "xbits (toggle)"),
        ("threshold", "type both, track by_port, count 1, seconds 1", "threshold (track by_port)"),
        ("threshold", "type both, track by_src, count x, seconds 1", "threshold (not a number)"),
        ("threshold", "type both, track by_src, count 0, seconds 1", "threshold (out of range)"),
        ("detection_filter", "type both, count 1", "detection_filter (track )"),
    ],
)
def test_what_is_not_carried_out_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(OptionError) as refused:
        read((name, value))
    assert str(refused.value) == words
