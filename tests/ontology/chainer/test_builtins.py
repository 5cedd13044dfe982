"""Built-ins as Pellet runs them; `test_chainer` compares each with Pellet itself."""

from decimal import Decimal
from typing import Any

import pytest

from ontology.chainer.builtins import FUNCTIONS, TESTS, Unsure, literal

XSD = "http://www.w3.org/2001/XMLSchema#"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("7", "integer", ("n", 7)),
        ("7.50", "decimal", ("n", Decimal("7.50"))),
        ("7.5", "double", ("n", 7.5)),
        ("true", "boolean", ("b", True)),
        ("0", "boolean", ("b", False)),
        ("x", "string", ("s", "x")),
        ("2026", "gYear", (XSD + "gYear", "2026")),
    ],
)
def test_literals(text: str, name: str, value: tuple[str, Any]) -> None:
    assert literal(text, XSD + name) == value


@pytest.mark.parametrize(("text", "name"), [("x", "integer"), ("yes", "boolean"), ("", "decimal")])
def test_no_value_of_its_type(text: str, name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        literal(text, XSD + name)


def test_numbers_of_any_type_compare() -> None:
    assert TESTS["equal"](("n", 1), ("n", Decimal("1.0")))
    assert TESTS["lessThan"](("n", 1), ("n", 1.5))
    assert not TESTS["equal"](("n", 1), ("s", "1"))
    assert not TESTS["notEqual"](("n", 1), ("s", "1")), "no order between them, so nothing holds"


def test_arithmetic_on_what_is_no_number_does_not_hold() -> None:
    assert FUNCTIONS["add"][2](("n", 1), ("s", "2")) is None
    assert FUNCTIONS["divide"][2](("n", 1), ("n", 0)) is None
    assert FUNCTIONS["add"][2](("n", 1), ("n", Decimal("0.5"))) == ("n", Decimal("1.5"))
    assert FUNCTIONS["divide"][2](("n", 1), ("n", 4)) == ("n", Decimal("0.25"))


def test_text_of_what_is_no_text_is_left_to_pellet() -> None:
    with pytest.raises(Unsure):
        FUNCTIONS["stringLength"][2](("n", 12))
    assert FUNCTIONS["stringLength"][2](("s", "äb")) == ("n", 2)
