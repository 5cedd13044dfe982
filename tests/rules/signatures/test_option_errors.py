"""Words of strangers' rules, fit to be shown."""

from rules.signatures.option_errors import printable


def test_control_characters_are_spaces_and_utf8_is_put_right() -> None:
    assert printable("a\x1b[2Jb\nc") == "a [2Jb c"
    assert printable("Ã©") == "é"
