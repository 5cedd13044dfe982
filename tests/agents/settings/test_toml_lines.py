"""Lines of values, and a parser's complaints in words that say what to do."""

from __future__ import annotations

import json
from tomllib import TOMLDecodeError, loads
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.settings.toml_lines import Place, explain, find_lines

TEXT = '''\
name = "x" # [[node]]
a.b."c.d" = 'it''s'
[policy]   # "
allow = [
  "one",   # , "no"
  "two", [3,
  4]]
when = 1979-05-27 07:32:00
long = """
"quoted" \\""" = [
"""
[[node]]
host = { ports = [1, 2], deep = { x = true } }
[node.more]
y = 1
[[node]]
name = "second"
inputs = [{ kind = "eve" },
          { kind = "zeek" }]
'''.replace("'it''s'", "'it is'")


def test_each_key_table_and_item_has_its_line() -> None:
    lines = find_lines(TEXT)
    wanted: dict[Place, int] = {
        ("name",): 1, ("a", "b", "c.d"): 2, ("policy",): 3, ("policy", "allow"): 4,
        ("policy", "allow", 0): 5, ("policy", "allow", 1): 6, ("policy", "allow", 2): 6,
        ("policy", "allow", 2, 1): 7, ("policy", "when"): 8, ("policy", "long"): 9,
        ("node", 0): 12, ("node", 0, "host", "ports", 1): 13,
        ("node", 0, "host", "deep", "x"): 13, ("node", 0, "more", "y"): 15, ("node", 1): 16,
        ("node", 1, "inputs", 1, "kind"): 19,
    }  # fmt: skip
    assert {place: lines.get(place) for place in wanted} == wanted


SCALARS = st.one_of(st.integers(-99, 99), st.booleans(), st.text("ab\"'\\#[]{}=,. \n", max_size=6))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text('ab. "#', min_size=1, max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


def written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f'  {written(v)}, # ] "\n' for v in value) + "]"
    return json.dumps(value)


def places(value: Any, place: Place) -> list[Place]:
    out = [place]
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, inner in value.items() if isinstance(value, dict) else ():
        out += places(inner, (*place, key))
    return out


@given(st.lists(VALUES, max_size=5))
def test_whatever_tomllib_reads_has_places_for_all_of_it(values: list[Any]) -> None:
    text = "".join(f"[[t]]\nkey = {written(value)}\n" for value in values)
    data = loads(text)
    lines = find_lines(text)
    begin = 1
    for number, value in enumerate(values):
        assert lines[("t", number)] == begin
        for place in places(data["t"][number]["key"], ("t", number, "key")):
            assert begin < lines[place] <= begin + written(value).count("\n") + 1
        begin += written(value).count("\n") + 2


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('a = 1\nname = "gw2\n', 2, "a quote is missing: 'name = \"gw2'"),
        ("a = 'x\n\n\n", 1, "a quote is missing"),
        ('a = """x\n\nb = 1\n', 1, "three quotes miss"),
        ("[[node]]\n[node]\n", 2, "[node] wants two brackets: [[node]]"),
        ("[honeypot]\nx = 1\n[[honeypot]]\n", 1, "[honeypot] wants two brackets: [[honeypot]]"),
        ("\ufeffa = 1\n", 1, "byte-order mark"),
        ("a = 1\nb = 2\na = [\n1,\n]\n", 3, "key 'a' is there twice"),
        ("a = {b = 1, b = 2}", 1, "a key is there twice"),
        ("[policy]\n[policy]\n", 2, "table '[policy]' is there twice"),
        ("a = [1,\nb = 2\n", 2, "a list that began before this line has no closing bracket"),
        ("[a\nb = 1", 1, "a closing bracket is missing"),
        ("a\n", 1, "neither KEY = VALUE nor [TABLE]"),
        ("a = yes\n", 1, "texts want quotes"),
        ('a = "C:\\dir"\n', 1, "use single quotes"),
        ("a = 1 b = 2\n", 1, "more than one value in a line"),
        ('a = "caf\x01"\n', 1, "a character is not allowed there (at column 9)"),
        ("a.b = 1\na.b.c = 2\n", 2, "key 'a.b.c' is there twice"),
        ("= 3", 1, "not understood at column 1"),
    ],
)
def test_what_is_no_toml_is_said_in_our_words(text: str, line: int, said: str) -> None:
    with pytest.raises(TOMLDecodeError) as error:
        loads(text)
    found, meaning = explain(error.value, text)
    assert found == line and said in meaning
    assert "\n" not in meaning and "\ufeff" not in meaning


@given(st.text("ab=[]{}\"'#,.\n\\1 -", max_size=40))
def test_any_text_gets_a_line_of_its_own_and_one_sentence(text: str) -> None:
    try:
        loads(text)
    except TOMLDecodeError as e:
        line, meaning = explain(e, text)
        assert 1 <= line <= text.count("\n") + 1 and meaning.isprintable()
    else:
        find_lines(text)
