"""Keys, quotas, and whom alerts of managers of others are told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.console.foreign_managers import ForeignManagers, KeyFileError, TooMany, read_keys
from agents.settings.manager_sections import Manager
from ontology.records import Record
from tests.agents.idmef.samples import document

KEY = "k" * 40
NOW_US = 1_795_000_000_000_000


class Post:
    def __init__(self) -> None:
        self.sent: list[Sequence[Record]] = []
        self.now_us = 0
        self.counters: Counter[str] = Counter()

    async def pass_on(self, records: Sequence[Record]) -> None:
        self.sent.append(records)

    def managers(self, *managers: Manager) -> ForeignManagers:
        return ForeignManagers(
            managers,
            sensor="console.gw1@x",
            pass_on=self.pass_on,
            clock=lambda: NOW_US,
            steady=lambda: self.now_us,
            counters=self.counters,
        )


def key_file(path: Path, text: str = KEY, mode: int = 0o600) -> Path:
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


def test_a_key_opens_for_its_manager_alone(tmp_path: Path) -> None:
    one = Manager(name="b", key_file=key_file(tmp_path / "b"))
    other = Manager(name="c", key_file=key_file(tmp_path / "c", "o" * 40))
    keys = read_keys([one, other, Manager(name="d")])
    taking = Post().managers(one, other)
    assert taking.by_key(KEY, keys) == one
    assert taking.by_key("o" * 40, keys) == other
    for wrong in ("", "k" * 39, "é\ud800"):
        assert taking.by_key(wrong, keys) is None


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("short", 0o600, "5 characters; 32 to 1024"),
        ("k" * 20 + "\n" + "k" * 20, 0o600, "41 characters"),
        (KEY, 0o644, "others can read it, mode 644"),
    ],
)
def test_a_key_that_can_not_be_used(tmp_path: Path, text: str, mode: int, words: str) -> None:
    path = key_file(tmp_path / "b", text, mode)
    with pytest.raises(KeyFileError, match=words) as caught:
        read_keys([Manager(name="b", key_file=path)])
    assert str(caught.value).startswith(f"key of manager 'b': {path}: ")


def test_a_key_that_is_missing_or_anothers(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        read_keys([Manager(name="b", key_file=tmp_path / "none")])
    path = key_file(tmp_path / "b")
    with pytest.raises(KeyFileError, match="another manager has the same key"):
        read_keys([Manager(name=name, key_file=path) for name in "bc"])


async def test_alerts_are_told_in_messages_that_fit() -> None:
    post, manager = Post(), Manager(name="b", trust=0.5)
    some = [document(ID=f"819df7bc-35ef-40d8-bbee-{n:012d}") for n in range(120)]
    taken = await post.managers(manager).take(manager, json.dumps(some).encode())
    assert (len(taken.alerts), [len(part) for part in post.sent]) == (120, [50, 50, 20])
    assert post.counters["idmef.b.taken"] == 120


async def test_a_quota_by_manager_that_fills_up_again() -> None:
    post = Post()
    one, other = (Manager(name=name, alerts_per_minute=200) for name in "bc")
    taking = post.managers(one, other)
    some = [document(ID=f"819df7bc-35ef-40d8-bbee-{n:012d}") for n in range(150)]
    data = json.dumps(some).encode()
    await taking.take(one, data)
    with pytest.raises(TooMany) as caught:
        await taking.take(one, data)
    assert (caught.value.wait_s, len(post.sent)) == (31, 3)
    await taking.take(other, data)
    post.now_us += 31_000_000
    await taking.take(one, data)
    assert post.counters["idmef.b.too_many"] == 1


async def test_what_is_refused_costs_as_much() -> None:
    post, manager = Post(), Manager(name="b", alerts_per_minute=200)
    taking = post.managers(manager)
    for _ in range(200):
        await taking.take(manager, b"{")
    with pytest.raises(TooMany):
        await taking.take(manager, b"{")
    assert post.sent == [] and post.counters["idmef.b.refused"] == 200
