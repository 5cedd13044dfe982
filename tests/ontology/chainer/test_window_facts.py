"""Facts of a window: read fast or through the whole grammar, with one result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology.chainer.window_facts import IllTyped, Row, _rows, read_rows
from ontology.reasoner.window import build_window
from tests.factories import make_alert, make_profile

XSD = "http://www.w3.org/2001/XMLSchema#"


def test_a_window_is_read_fast_as_by_the_grammar() -> None:
    alert = make_alert()
    assert alert.target is not None
    window = build_window([alert], {alert.target: make_profile(alert.target)})
    fast, whole = read_rows(window.ntriples), list(_rows(window.ntriples))
    assert [row[:3] for row in fast] == [row[:3] for row in whole]
    assert b"\n".join(row.line for row in fast) + b"\n" == window.ntriples


def test_literals_have_their_value() -> None:
    line = f'<urn:a> <urn:p> "007"^^<{XSD}integer> .'.encode()
    assert read_rows(line + b"\n") == [Row("urn:a", "urn:p", ("n", 7), line)]


@given(st.text(max_size=20))
def test_any_text_is_a_value_or_a_syntax_error(text: str) -> None:
    escaped = text.encode("unicode_escape").decode().replace('"', '\\"')
    data = f'<urn:a> <urn:p> "{escaped}"^^<{XSD}string> .\n'.encode()
    try:
        (row,) = read_rows(data)
    except SyntaxError:
        assert "\\x" in escaped or "\\" in text
    else:
        assert row.value[0] == "s"


@pytest.mark.parametrize("bad", [b"<urn:a> <urn:p> .", b"nothing", b"<urn:a> <urn:p> <urn:b>"])
def test_what_is_no_triple_is_refused(bad: bytes) -> None:
    with pytest.raises(SyntaxError):
        read_rows(bad + b"\n")


def test_a_literal_that_is_no_value_of_its_type_names_the_property() -> None:
    with pytest.raises(IllTyped, match="urn:p"):
        read_rows(f'<urn:a> <urn:p> "x"^^<{XSD}integer> .\n'.encode())
