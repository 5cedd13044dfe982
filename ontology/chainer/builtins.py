"""SWRL built-ins for `chainer`, as Pellet 2.3.1 runs them.

A literal is ``(space, value)``: space ``n`` (int, Decimal or float), ``b`` (bool), ``s`` (str) or,
for any other datatype, its IRI with the lexical form. Arithmetic on what is no number does not
hold, as in Pellet; a text built-in on what is no text is `Unsure`: Pellet takes the lexical form.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

Literal = tuple[str, Any]


class Unsure(RuntimeError):
    """The chainer can't tell what Pellet would conclude."""


_XSD = "http://www.w3.org/2001/XMLSchema#"
_INTEGERS = frozenset(
    """integer int long short byte nonNegativeInteger positiveInteger nonPositiveInteger
    negativeInteger unsignedLong unsignedInt unsignedShort unsignedByte""".split()
)
_PARSERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "decimal": ("n", Decimal),
    "double": ("n", float),
    "float": ("n", float),
    "string": ("s", str),
}
NUMERIC = frozenset(_INTEGERS | {"decimal"})


def literal(text: str, datatype: str) -> Literal:
    """Value of a typed literal.

    Raises: ValueError if the text is no value of the datatype.
    """
    name = datatype.removeprefix(_XSD)
    if name in _INTEGERS:
        return "n", int(text)
    if name == "boolean":
        if text not in ("true", "false", "1", "0"):
            raise ValueError(f"{text!r} is not a boolean")
        return "b", text in ("true", "1")
    if name in _PARSERS:
        space, parse = _PARSERS[name]
        try:
            return space, parse(text)
        except InvalidOperation:
            raise ValueError(f"{text!r} is not a {name}") from None
    return datatype, text


def _numbers(values: Sequence[Literal]) -> list[Any] | None:
    if any(space != "n" for space, _ in values):
        return None
    numbers = [value for _, value in values]
    # Decimal and float don't mix in Python; XPath promotes to double.
    return [float(n) for n in numbers] if any(isinstance(n, float) for n in numbers) else numbers


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Literal, Literal], bool]:
    def holds(a: Literal, b: Literal) -> bool:
        # Times and counts, nearly always. (A bool is no int here.)
        if type(a[1]) is int and type(b[1]) is int:
            return test(a[1], b[1])
        numbers = _numbers((a, b))
        if numbers is not None:
            return test(*numbers)
        return a[0] == b[0] and a[0] in "bs" and test(a[1], b[1])

    return holds


def _string(value: Literal) -> str:
    if value[0] != "s":
        raise Unsure(f"a text built-in meets {value[1]!r}")
    return str(value[1])


def _text(test: Callable[[str, str], bool]) -> Callable[[Literal, Literal], bool]:
    return lambda a, b: test(_string(a), _string(b))


def _arithmetic(operation: Callable[..., Any]) -> Callable[..., Literal | None]:
    def result(*values: Literal) -> Literal | None:
        numbers = _numbers(values)
        if numbers is None:
            return None
        try:
            return "n", operation(*numbers)
        except (ArithmeticError, InvalidOperation):
            return None

    return result


def _strings(operation: Callable[..., str]) -> Callable[..., Literal | None]:
    def result(*values: Literal) -> Literal | None:
        return "s", operation(*(_string(value) for value in values))

    return result


def _divide(a: Any, b: Any) -> Any:
    return a / b if isinstance(a, float) else Decimal(a) / Decimal(b)


def _length(text: Literal) -> Literal | None:
    return "n", len(_string(text))


TESTS: dict[str, Callable[[Literal, Literal], bool]] = {
    "equal": _compare(operator.eq),
    "notEqual": _compare(operator.ne),
    "lessThan": _compare(operator.lt),
    "lessThanOrEqual": _compare(operator.le),
    "greaterThan": _compare(operator.gt),
    "greaterThanOrEqual": _compare(operator.ge),
    "stringEqualIgnoreCase": _text(lambda a, b: a.lower() == b.lower()),
    "contains": _text(lambda a, b: b in a),
    "containsIgnoreCase": _text(lambda a, b: b.lower() in a.lower()),
    "startsWith": _text(lambda a, b: a.startswith(b)),
    "endsWith": _text(lambda a, b: a.endswith(b)),
}
"""Of two arguments, both bound."""

FUNCTIONS: dict[str, tuple[int, int, Callable[..., Literal | None]]] = {
    "add": (2, 99, _arithmetic(lambda *n: sum(n))),
    "multiply": (2, 99, _arithmetic(lambda *n: math.prod(n))),
    "subtract": (2, 2, _arithmetic(lambda a, b: a - b)),
    "divide": (2, 2, _arithmetic(_divide)),
    "abs": (1, 1, _arithmetic(abs)),
    "unaryPlus": (1, 1, _arithmetic(lambda a: a)),
    "unaryMinus": (1, 1, _arithmetic(lambda a: -a)),
    "ceiling": (1, 1, _arithmetic(math.ceil)),
    "floor": (1, 1, _arithmetic(math.floor)),
    "stringConcat": (2, 99, _strings(lambda *s: "".join(s))),
    "stringLength": (1, 1, _length),
    "upperCase": (1, 1, _strings(str.upper)),
    "lowerCase": (1, 1, _strings(str.lower)),
}
"""(fewest, most) arguments after the result, and the function; None: it has no value."""
