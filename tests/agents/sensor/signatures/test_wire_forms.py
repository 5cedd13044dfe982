"""An expression for the wire finds all that the rule's own finds, wherever its buffer stands."""

from functools import cache
from typing import Any

import hyperscan
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.signatures.leads import Lead, compile_leads
from agents.sensor.signatures.wire_forms import without_assertions
from rules.signatures.payload_options import read_expression

EXPRESSIONS = [
    r"^ab\S{2}$",
    r"^(?:a|^b)[^\sx]+\b",
    r"a[\S]\Sb|^c$",
    r"(?:^|&)a=[^&]*$",
    r"^a[]^$]+b?$",
    r"[[:space:]^]\$b",
    r"^\.a{2,3}\n",
]


@cache
def both(text: str) -> tuple[Any, hyperscan.Database]:
    check = read_expression(f'"/{text}/"')
    wire = without_assertions(check)
    assert wire is not None
    return check.compile(), compile_leads([Lead(wire, hyperscan.HS_FLAG_ALLOWEMPTY)])


@pytest.mark.parametrize("text", EXPRESSIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.text("ab&=x\v \t\n.^$]c", max_size=9).map(str.encode))
def test_what_is_left_out_only_finds_more(text: str, data: bytes) -> None:
    expression, database = both(text)
    if expression.search(data):
        found: list[int] = []
        database.scan(b"GET /" + data + b" HTTP", match_event_handler=lambda *_: found.append(1))
        assert found


@pytest.mark.parametrize(
    "text", [r"/[^a\S]b/", r"/\Qab\E/", r"/\xe9/i", r"/a\b{2}/", r"/(?P<n>a)/", r"/a/H"]
)
def test_what_the_dialects_read_differently_is_left_alone(text: str) -> None:
    assert without_assertions(read_expression(f'"{text}"')) is None
