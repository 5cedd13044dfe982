from pathlib import Path

import pytest

from agents.base.subscriptions import MAX_SUBSCRIBERS, Subscribers
from tests.agents.base.small_disk import run_on_small_disk


def test_subscribers_survive_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "subscribers.json"
    first = Subscribers(path)
    assert first.add("a@x", "Alert") and first.add("b@x", "Alert") and first.add("a@x", "Other")
    assert not first.add("a@x", "Alert")
    assert first.remove("b@x", "Alert") and not first.remove("b@x", "Alert")
    again = Subscribers(path)
    assert again.to("Alert") == ("a@x",) == again.to("Other")
    assert again.to("Weather") == ()


def test_a_list_from_before_there_were_topics_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "subscribers.json"
    path.write_text('["a@x"]')
    assert Subscribers(path).to("Alert") == ("a@x",)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1, null]", "7", "\udcff"])
def test_a_damaged_list_is_an_empty_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "subscribers.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    found = Subscribers(path)
    assert found.to("Alert") == ()
    assert found.add("a@x", "Alert")
    assert Subscribers(path).to("Alert") == ("a@x",)


def test_there_is_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "subscribers.json"
    path.write_text(str([f"{n}@x" for n in range(MAX_SUBSCRIBERS)]).replace("'", '"'))
    with pytest.raises(ValueError, match=str(MAX_SUBSCRIBERS)):
        Subscribers(path).add("one-more@x", "Alert")


def test_on_a_full_disk_they_are_known_in_memory_and_stored_later(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
import asyncio
from agents.base.subscriptions import Subscribers
from tests.agents.base.test_state_folder import Told
told = Told()
one = Subscribers(disk / "s.json", told)
one.add("a@x", "Alert")
fill()
assert one.add("b@x", "Alert") and one.to("Alert") == ("a@x", "b@x")
assert "full" in told[str(disk / "s.json")]
assert Subscribers(disk / "s.json").to("Alert") == ("a@x",)
asyncio.run(one.save_again())
assert told
empty()
asyncio.run(one.save_again())
assert not told
assert Subscribers(disk / "s.json").to("Alert") == ("a@x", "b@x")
""",
    )
