"""Everyday texts are known by any part of them, in either case."""

from agents.sensor.signatures.everyday import stands_in_everyday


def test_parts_of_messages() -> None:
    assert stands_in_everyday(b"MOZILLA/5.0 (") and stands_in_everyday(b"get ")
    assert not stands_in_everyday(b"/wp-content/evil.php")
