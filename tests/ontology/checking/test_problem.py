"""Problems in one line each."""

from pathlib import Path

from ontology.checking.problem import Problem


def test_a_line_says_where_what_and_how_bad() -> None:
    problem = Problem(
        path=Path("a.owl"), code="unknown-term", where="rule 'X'", message="no\n  such\tterm"
    )
    assert str(problem) == "a.owl: rule 'X': no such term [error: unknown-term]"


def test_a_whole_file_has_no_place_in_it() -> None:
    problem = Problem(path=Path("a.owl"), code="c", where="", message="m", level="warning")
    assert str(problem) == "a.owl: m [warning: c]"
