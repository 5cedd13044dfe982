import pytest

from agents.settings.fields import duration_text, parse_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(604800, "7d"), (90000, "25h"), (3600, "1h"), (900, "15m"), (90, "90s"), (0, "0s")],
)
def test_a_duration_is_written_as_it_is_read(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text
    assert parse_duration(text) == seconds
