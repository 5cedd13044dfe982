from pathlib import Path

import pytest

from agents.commands.output import check_writable, plural


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("alert",), "0 alerts"),
        (1, ("alert",), "1 alert"),
        (2, ("alert",), "2 alerts"),
        (1, ("entry", "entries"), "1 entry"),
        (7, ("entry", "entries"), "7 entries"),
    ],
)
def test_one_thing_is_one(count: int, words: tuple[str, ...], said: str) -> None:
    assert plural(count, *words) == said


def test_what_can_not_be_written_is_named(tmp_path: Path) -> None:
    check_writable(None, tmp_path / "new.csv")
    with pytest.raises(ValueError, match="is a directory"):
        check_writable(tmp_path)
    with pytest.raises(ValueError, match="there is no folder"):
        check_writable(tmp_path / "none" / "new.csv")
