"""Complaints and strangers' text."""

from __future__ import annotations

from agents.idmef.complaints import IdmefError, clean


def test_clean_is_bounded_also_where_escapes_make_it_longer() -> None:
    assert clean("a\nb", 10) == "a\\nb"
    assert len(clean("\x00" * 50, 20)) == 20
    assert clean("x" * 50, 20) == "x" * 19 + "…"


def test_a_complaint_is_one_printable_line() -> None:
    line = str(IdmefError("alert 1", "Node\x1b", "\n" * 500, "no"))
    assert line.isprintable()
    assert line.startswith("alert 1: Node\\x1b '")
    assert str(IdmefError("alert 1", "Node", None, "no")) == "alert 1: Node: no"
