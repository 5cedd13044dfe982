"""An input as the sensor agent uses it, from honeynet.toml to records."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.sensor.inputs.follower import NOT_UNDERSTOOD, Follower
from agents.settings.honeynet import Input
from ontology.records import Alert, ConnectionBatch

NOW_US = 1_795_000_000_000_000


def follower(log: Path, state: Path, kind: str = "cowrie") -> Follower:
    return Follower(
        Input(kind=kind, path=log, from_start=True),
        sensor="sensor.gw1@honeynet.test",
        state_dir=state,
        honeypots=[ip_address("172.17.0.3")],
    )


def test_a_crash_between_sending_and_settling_gives_the_same_ids(
    tmp_path: Path, lines: dict[str, tuple[str, ...]]
) -> None:
    """Also for lines that need what earlier ones said: the sessions come back with the place."""
    log = tmp_path / "cowrie.json"
    events = lines["cowrie"]
    log.write_text("\n".join(events[:3]) + "\n")
    first = follower(log, tmp_path)
    assert first.next(NOW_US)
    first.done()
    with log.open("a") as file:
        file.write("\n".join(events[3:]) + "\n")
    sent = first.next(NOW_US)
    first.close()  # died here
    with log.open("a") as file:
        file.write(events[0].replace("1733", "9") + "\n")
    second = follower(log, tmp_path)
    assert second.next(NOW_US) == sent
    assert sent is not None
    assert {a.classification for a in sent if isinstance(a, Alert)} == {"RootAccess"}
    second.done()
    rest = second.next(NOW_US)
    assert rest is not None
    assert [len(r.connections) for r in rest if isinstance(r, ConnectionBatch)] == [1]
    second.done()
    assert second.next(NOW_US) is None
    second.close()
    assert second.next(NOW_US) is None


def test_a_file_that_cannot_be_read_is_counted_and_tried_again(
    tmp_path: Path, lines: dict[str, tuple[str, ...]]
) -> None:
    log = tmp_path / "eve.json"
    log.mkdir()
    made = follower(log, tmp_path, "eve")
    assert made.next(NOW_US) is None
    assert made.counters()["input.eve.errors"] == 1
    log.rmdir()
    assert made.next(NOW_US) is None
    log.write_text(lines["eve"][0] + "\nnonsense\n")
    (alert,) = made.next(NOW_US) or ()
    assert isinstance(alert, Alert)
    made.done()
    assert made.counters()["input.eve.refused.json"] == 1
    made.close()


def test_memory_of_another_time_only_costs_the_sessions(
    tmp_path: Path, lines: dict[str, tuple[str, ...]], caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "cowrie.json"
    log.write_text(lines["cowrie"][0] + "\n")
    first = follower(log, tmp_path)
    assert first.next(NOW_US)
    first.done()
    first.close()
    (state,) = tmp_path.glob("input-cowrie-*.json")
    state.write_text(state.read_text().replace("1733", "x" * 65).replace("172.17", "a.b"))
    second = follower(log, tmp_path)
    assert "forgets" in caplog.text
    assert second.next(NOW_US) is None  # the place is kept
    second.close()


def test_two_inputs_of_one_kind_keep_their_own_places(tmp_path: Path, lines: Any) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(lines["dionaea"][0] + "\n")
        made = follower(tmp_path / name, tmp_path, "dionaea")
        assert made.next(NOW_US)
        made.done()
        made.close()
    assert len(list(tmp_path.glob("input-dionaea-*.json"))) == 2


@pytest.mark.parametrize("kind", ["cowrie", "dionaea", "eve", "zeek"])
def test_a_log_of_another_program_is_told_and_so_is_its_end(
    tmp_path: Path, lines: dict[str, tuple[str, ...]], kind: str
) -> None:
    log = tmp_path / "x.log"
    log.write_text("Nov 29 12:00:00 host kernel: something else\n" * NOT_UNDERSTOOD)
    one = follower(log, tmp_path, kind)
    assert one.next(NOW_US) == []
    one.done()
    assert one.trouble().startswith(f"log {kind}: no line of {log} is understood")
    with log.open("a") as file:
        file.write("\n".join(lines[kind]) + "\n")
    one.next(NOW_US)
    one.done()
    assert one.trouble() == ""
    one.close()


def test_a_few_bad_lines_among_good_ones_are_no_trouble(
    tmp_path: Path, lines: dict[str, tuple[str, ...]]
) -> None:
    """Whoever writes into a log must not make the whole of it look broken."""
    log = tmp_path / "cowrie.json"
    log.write_text("".join(f"{line}\n" + "junk\n" * 9 for line in lines["cowrie"]))
    one = follower(log, tmp_path)
    one.next(NOW_US)
    one.done()
    assert one.trouble() == ""
    one.close()


def test_a_missing_log_is_told_one_that_is_rotated_is_not(
    tmp_path: Path, lines: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "cowrie.json"
    one = follower(log, tmp_path)
    one.next(NOW_US)
    assert one.trouble() == f"log cowrie: no file {log}"
    log.write_text(lines["cowrie"][0] + "\n")
    one.next(NOW_US)
    one.done()
    assert one.trouble() == ""
    log.rename(tmp_path / "cowrie.json.1")
    one.next(NOW_US)
    assert one.trouble() == ""  # the next one is about to be made
    monkeypatch.setattr("agents.sensor.inputs.follower.ROTATION_S", -1.0)
    assert one.trouble() == f"log cowrie: no file {log}"
    log.write_text(lines["cowrie"][1] + "\n")
    one.next(NOW_US)
    assert one.trouble() == ""
    one.close()


@pytest.mark.parametrize("spoil", [Path.mkdir, lambda p: p.symlink_to(p)])
def test_what_can_not_be_read_is_told(tmp_path: Path, spoil: Any) -> None:
    log = tmp_path / "cowrie.json"
    spoil(log)
    one = follower(log, tmp_path)
    assert one.next(NOW_US) is None
    assert one.trouble().startswith(f"log cowrie: {log}: ")
    one.close()
