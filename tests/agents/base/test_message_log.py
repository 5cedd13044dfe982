"""The message monitor's log: bounded, whole entries only, no message lost before its limit."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from agents.base.message_log import NAMES, MessageLog, log_folder, read_log, read_places
from agents.commands import messages
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from ontology.fragments import encode
from ontology.records import OntologyChanged
from tests.agents.base.small_disk import run_on_small_disk

SENDER, RECEIVER = "ontology.gw1@honeynet.test", "analyzer.gw1@honeynet.test"


def a_message(number: int, performative: str = "inform", detail: str = "") -> AclMessage:
    change = OntologyChanged(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        version="1.0.0",
        changed_us=0,
        detail=detail or f"number {number}",
    )
    return AclMessage(
        performative=performative,
        sender=SENDER,
        receivers=(RECEIVER,),
        content=encode([change]),
        protocol="fipa-subscribe",
        conversation_id=f"c-{number}",
    )


def test_what_is_added_is_read_back_whole_and_in_order(tmp_path: Path) -> None:
    with closing(MessageLog(tmp_path, 1 << 20, Counter())) as log:
        for number in range(10):
            log.add(a_message(number), "received" if number % 2 else "sent", number, "stale")
    found = list(read_log(tmp_path))
    assert [e.time_us for e in found] == list(range(10))
    assert [e.way for e in found] == ["sent", "received"] * 5
    assert {e.verdict for e in found} == {"stale"}
    assert [e.message() for e in found] == [a_message(n) for n in range(10)]


def test_the_oldest_half_goes_first_and_the_limit_holds(tmp_path: Path) -> None:
    with closing(MessageLog(tmp_path, 20_000, Counter())) as log:
        for number in range(200):
            log.add(a_message(number), "received", number)
            assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 20_000
    times = [e.time_us for e in read_log(tmp_path)]
    assert times == list(range(times[0], 200))
    assert 5 < len(times) < 60
    assert {p.name for p in tmp_path.iterdir()} == set(NAMES)


def test_a_new_process_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    for number in range(3):
        log = MessageLog(tmp_path, 1 << 20, Counter())
        log.add(a_message(number), "sent", number)
        log.close()
    assert [e.time_us for e in read_log(tmp_path)] == [0, 1, 2]
    assert (tmp_path / NAMES[0]).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_an_entry_cut_by_a_crash_is_left_out(tmp_path: Path, cut: int) -> None:
    with closing(MessageLog(tmp_path, 1 << 20, Counter())) as log:
        for number in range(2):
            log.add(a_message(number), "sent", number)
    path = tmp_path / NAMES[0]
    path.write_bytes(path.read_bytes()[:-cut])
    assert [e.time_us for e in read_log(tmp_path)] == [0]


def test_a_disk_that_fails_is_counted_and_nothing_else(tmp_path: Path) -> None:
    counters: Counter[str] = Counter()
    (tmp_path / "file").touch()
    log = MessageLog(tmp_path / "file", 1 << 20, counters)
    log.add(a_message(1), "sent", 1)
    assert counters["message_log_errors"] == 1
    (tmp_path / "file").unlink()
    assert not MessageLog(tmp_path, 0, counters).add(a_message(1), "sent", 1)
    assert list(tmp_path.iterdir()) == []


def asked(**words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    messages.add_arguments(parser)
    found = parser.parse_args(["honeynet.toml"])
    for name, value in words.items():
        assert hasattr(found, name)
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("wish", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"last": 1}, [3]),
        ({"sent": True}, [0]),
        ({"performative": "request"}, [2]),
        ({"refused": True}, [3]),
        ({"agent": "analyzer"}, [1, 2, 3]),
        ({"agent": "reaction"}, []),
        ({"record": "OntologyChanged"}, [1, 2, 3]),
        ({"record": "Alert"}, []),
        ({"conversation": "c-2"}, [2]),
        ({"text": "number 3"}, [3]),
        ({"protocol": "fipa-request"}, []),
    ],
)
def test_the_monitor_filters(
    wish: dict[str, object],
    numbers: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    honeynet: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = honeynet.model_copy(update={"state_dir": tmp_path})
    monkeypatch.setattr(messages, "load_settings", lambda _: settings)
    with closing(MessageLog(log_folder(tmp_path, RECEIVER), 1 << 20, Counter())) as log:
        log.add(a_message(0), "sent", 0)
        log.add(a_message(1), "received", 1)
        log.add(a_message(2, "request"), "received", 2)
        log.add(a_message(3), "received", 3, "stale")
    assert messages.run(asked(**wish)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split("  ")[4].removeprefix("c-")) for line in lines] == numbers
    assert all("OntologyChanged" in line for line in lines)


def test_whole_messages_show_their_fragment_and_no_control_characters(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    honeynet: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = honeynet.model_copy(update={"state_dir": tmp_path})
    monkeypatch.setattr(messages, "load_settings", lambda _: settings)
    with closing(MessageLog(log_folder(tmp_path, RECEIVER), 1 << 20, Counter())) as log:
        log.add(a_message(1, detail="\u202egnp.exe"), "received", 1)
    messages.run(asked(fipa=True))
    out = capsys.readouterr().out
    assert "(inform" in out
    assert "OntologyChanged" in out
    assert ":sender (agent-identifier" in out
    assert "\u202e" not in out


def test_nothing_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, honeynet: Settings
) -> None:
    settings = honeynet.model_copy(update={"state_dir": tmp_path, "message_log_mib": 0})
    monkeypatch.setattr(messages, "load_settings", lambda _: settings)
    with pytest.raises(ValueError, match=r"no agent .* has kept a message \(message_log_mib is 0"):
        messages.run(asked())


@pytest.mark.parametrize("damage", ["zeroes", "cut", "other text"])
def test_what_is_damaged_in_the_middle_hides_nothing_after_it(tmp_path: Path, damage: str) -> None:
    with closing(MessageLog(tmp_path, 1 << 20, Counter())) as log:
        for number in range(10):
            log.add(a_message(number), "sent", number)
    path = tmp_path / NAMES[0]
    data = bytearray(path.read_bytes())
    middle = data.index(b"\n5 sent ") - 200  # in the entry before
    if damage == "zeroes":
        data[middle : middle + 100] = bytes(100)
        data[middle - 1] = 10
        data[data.index(b"\n4 sent ") + 1 : data.index(b"\n4 sent ") + 5] = bytes(4)
    elif damage == "cut":
        del data[middle : middle + 50]
    else:
        data[middle:middle] = b"\n\n" + b"word " * 1000 + b"\n"
    path.write_bytes(data)
    found = [e.time_us for e in read_log(tmp_path)]
    assert found[:4] == [0, 1, 2, 3] and found[-4:] == [6, 7, 8, 9]
    assert [place.time_us for place in read_places(tmp_path)] == found


def test_on_a_full_disk_messages_are_left_out_whole_and_told(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
from collections import Counter
from agents.base.message_log import MessageLog, read_log
from tests.agents.base.test_message_log import a_message
from tests.agents.base.test_state_folder import Told
told, counters = Told(), Counter()
log = MessageLog(disk / "log", 1 << 20, counters, told)
for n in range(3):
    log.add(a_message(n), "sent", n)
fill()
for n in range(3, 60):
    log.add(a_message(n), "sent", n)
assert counters["message_log_errors"] and "full" in next(iter(told.values())), told
kept = [e.time_us for e in read_log(disk / "log")]
assert kept == list(range(len(kept)))
empty()
for n in range(60, 70):
    log.add(a_message(n), "sent", n)
assert not told
assert [e.time_us for e in read_log(disk / "log")] == [*kept, *range(60, 70)]
""",
    )
