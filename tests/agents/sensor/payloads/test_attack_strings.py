"""Attack strings: what hides them, and what only looks like them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads.attack_strings import (
    MAX_COMMENTS,
    SQL_INJECTION,
    AttackStrings,
    _tautology,
    without_comments,
)

pieces = st.sampled_from([b"/", b"*", b"/*", b"*/", b"\n", b"a", b"b" * 63, b"c" * 30])


@given(st.lists(pieces, max_size=14).map(b"".join))
@settings(max_examples=500)
def test_comments_are_taken_out_as_one_expression_says_it(text: bytes) -> None:
    plain, whole = without_comments(text)
    if whole:
        assert plain == re.sub(rb"(?s)/\*.{0,64}?\*/", b" ", text)


def test_more_comments_than_anybody_needs_are_an_injection() -> None:
    (found, _), (few, _) = AttackStrings().look([b"a/**/" * MAX_COMMENTS, b"a/**/" * 3])
    assert (found & SQL_INJECTION, few) == (SQL_INJECTION, 0)


@pytest.mark.parametrize("blank", [b"/**/", b"/*\n*/", b"/*" + b"x" * 64 + b"*/", b"%2f**%2f"])
def test_words_kept_apart_by_comments(blank: bytes) -> None:
    ((found, _),) = AttackStrings().look([blank.join((b"1 union", b"all", b"select 2"))])
    assert found & SQL_INJECTION


comparisons = st.lists(
    st.sampled_from(
        [b"or", b"and", b" ", b"\t", b"=", b"1", b"12", b"0", b"(", b"a", b"_", b"x=3", b"\n"]
    ),
    max_size=20,
).map(b"".join)


@given(comparisons)
@settings(max_examples=500)
def test_numbers_compared_with_themselves(text: bytes) -> None:
    """As an expression with a back-reference says it, except for what stands before the word."""
    expected = re.search(rb"(?i)(?:or|and)\s+(\d{1,48})\s*=\s*\1(?!\w)", text)
    if text.count(b"=") < 32:
        assert _tautology(text) == (expected is not None)


def test_a_tautology_behind_many_parameters() -> None:
    look = AttackStrings().look
    assert look([b"a=1&" * 10 + b"b=2 or 7=7"])[0][0] & SQL_INJECTION
    assert look([b"a=1&" * 90 + b"b=2 or 7=7"])[0][0] & SQL_INJECTION
    assert look([b"a=1&" * 90 + b"b=2 or 7"])[0][0] == 0
    assert look([b"a=1 or 7=8"])[0][0] == 0


def test_access_files_are_told_beside() -> None:
    assert [asked for _, asked in AttackStrings().look([b"/%2ehtpasswd", b"/index"])] == [
        True,
        False,
    ]
