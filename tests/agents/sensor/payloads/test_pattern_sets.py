"""Sets of patterns, against `re` where it is quick, and in linear time where it isn't."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads import attack_strings, content, payload, request_reader
from agents.sensor.payloads.pattern_sets import PatternSet

WEB = tuple(pattern for _, pattern in attack_strings._PATTERNS)
SETS: dict[str, tuple[tuple[bytes, ...], bool]] = {
    "web": ((*WEB, attack_strings._COMPARED, content.ACCESS_FILES), False),
    "request": (request_reader._PATTERNS, False),
    "auth": ((payload._AUTH,), True),
    "imap": ((payload._IMAP_LOGIN, payload._IMAP_REFUSAL), True),
    "telnet": ((payload._TELNET_REFUSAL, payload._LOGIN_WORDS, payload._TRUST_CHANGE), False),
    "smtp answers": (content._SMTP_ANSWERS, True),
    **{
        name: (tuple(pattern for _, pattern in getattr(content, name)), True)
        for name in ("_FTP_SAYS", "_FTP_ANSWERS", "_SMTP_SAYS", "_TYPED_SAYS", "_SHOWN")
    },
}
TOKENS = (
    b"union|select|all|or|and|'|\"|=|1|12|(|)|;|--|#|drop|x|sleep(|<|script|a on|error|../|..\\|"
    b"etc/|/etc/passwd|boot.ini|`|&|id|/bin/sh|>|>>|.rhosts|+ |exec |sudo|su|root|touch |make |./|"
    b"~root|"
    b"CWD |RETR |STOR |SITE EXEC|550 |230 |354 |235 |not found|RCPT TO:|VRFY |DEBUG|\\|/|\n|\r| |"
    b"AUTH  PLAIN|a LOGIN |a NO |password|login incorrect|basic |authorization:|${jndi:|() {|"
    b"pass=a|user_pwd=|\xff|\0|%c0%af|last login|welcome to|\xe9"
).split(b"|")
texts = st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3)), max_size=25).map(
    b"".join
)


@pytest.mark.parametrize("name", SETS)
@given(text=texts)
@settings(max_examples=150, deadline=None)
def test_finds_what_a_backtracking_search_finds(name: str, text: bytes) -> None:
    patterns, lines = SETS[name]
    found = PatternSet(*patterns, lines=lines).found(text)
    # RE2's $ is the end, `re`'s also stands before a last line feed; its \s leaves out \v.
    plain = [
        re.search(p if lines else p.replace(b"$)", rb"\Z)"), text, re.I | re.M * lines)
        for p in patterns
    ]
    if b"\v" not in text:
        assert found == sum(1 << bit for bit, match in enumerate(plain) if match)


def test_numbers_and_bits_agree() -> None:
    patterns = PatternSet(b"a+", b"^b", b"c$")
    assert sorted(patterns.which(b"bac")) == [0, 1, 2]
    assert patterns.found(b"bac") == 7
    assert (patterns.found(b"x\nb"), PatternSet(b"^b", lines=True).found(b"x\nb")) == (0, 1)
    assert not patterns.which(b"")


def test_an_expression_that_needs_backtracking_is_refused() -> None:
    for pattern in (rb"(a)\1", b"(?=a)", b"(?<!a)b", b"a++"):
        with pytest.raises(Exception, match="failed"):
            PatternSet(pattern)


def seconds(patterns: PatternSet, text: bytes) -> float:
    best = float("inf")
    for _ in range(5):
        begin = time.thread_time()
        for _ in range(20):
            patterns.found(text)
        best = min(best, time.thread_time() - begin)
    return best


@pytest.mark.parametrize("name", SETS)
def test_twice_the_text_takes_about_twice_the_time(name: str) -> None:
    """Of texts that make a backtracking search take the square of it."""
    expressions, lines = SETS[name]
    patterns = PatternSet(*expressions, lines=lines)
    for unit in (b";/", b"/* ", b"<a ", b"' or ", b"+ > ", b"a NO ", b"su ", b"../", b"union ("):
        short, long = unit * (8_000 // len(unit)), unit * (64_000 // len(unit))
        assert seconds(patterns, long) < 8 * 4 * seconds(patterns, short) + 0.002, unit
