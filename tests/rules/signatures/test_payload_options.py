"""Options that look into payloads: contents and expressions, read or refused by name."""

import pytest

from rules.signatures.option_errors import OptionError
from rules.signatures.payload_options import (
    read_content,
    read_expression,
    read_number,
    read_range,
)


@pytest.mark.parametrize(
    ("text", "pattern", "negated"),
    [
        ('"GET /"', b"GET /", False),
        ('!"x"', b"x", True),
        ('"a|0D 0a|b"', b"a\r\nb", False),
        (r'"\"\;\:\\"', b'";:\\', False),
        ('"|00|"', b"\0", False),
    ],
)
def test_contents(text: str, pattern: bytes, negated: bool) -> None:
    content = read_content(text)
    assert (content.pattern, content.negated, content.relative) == (pattern, negated, False)


@pytest.mark.parametrize("text", [None, "", "x", '""', '"a|0D"', '"|0|"', '"|zz|"'])
def test_no_contents(text: str | None) -> None:
    with pytest.raises(OptionError, match="content"):
        read_content(text)


def test_expressions() -> None:
    found = read_expression('"/union\\s+select/Ui"')
    assert (found.buffer, found.caseless) == ("http.uri", True)
    assert found.compile().search(b"UNION  select")


def test_a_dollar_matches_before_the_last_line_feed_as_in_pcre() -> None:
    compiled = read_expression('"/end$/"').compile()
    assert compiled.search(b"the end") and compiled.search(b"the end\n")
    assert not compiled.search(b"the end\n\n")


@pytest.mark.parametrize(
    "text",
    [
        '"/(a+)\\1/"',  # back-reference
        '"/a(?=b)/"',  # look-ahead
        '"/a(?<!b)/"',
        '"/(/"',
        '"/a++/"',
        '"/a/UP"',  # two buffers
        '"/a/X"',
        '"a"',
    ],
)
def test_what_would_need_backtracking_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="pcre"):
        read_expression(text)


@pytest.mark.parametrize("text", ["", "x", "5<", "<>", "5<>", "-1", "2<>3", "4<>4", "5,norm"])
def test_no_ranges(text: str) -> None:
    with pytest.raises(OptionError, match="dsize"):
        read_range(text, "dsize", 99)


def test_numbers() -> None:
    assert [read_number(text, "n") for text in ("10", "0x10", " -3 ", "007")] == [10, 16, -3, 7]
    for text in ("", "x", "4294967297", "1 2"):
        with pytest.raises(OptionError, match="n "):
            read_number(text, "n")


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("5", (5, 5)), ("<5", (0, 4)), (">5", (6, 99)), ("<=5", (0, 5)), ("2<>4", (3, 3)),
        ("2-5", (3, 4)),
    ],
)  # fmt: skip
def test_ranges_hold_what_is_between_their_ends(text: str, ends: tuple[int, int]) -> None:
    assert read_range(text, "n", 99) == ends
