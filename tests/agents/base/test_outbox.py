from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.outbox import (
    CAPACITY,
    RETRY_LIMIT_S,
    SEEN,
    WINDOW,
    Outbox,
    Seen,
    open_mail,
    priority_of,
)
from agents.base.storage import Database
from agents.base.store_limits import NO_LIMITS, Growth
from agents.clock import ClockReading
from agents.messages.acl import AclMessage, to_metadata
from ontology.records import Record
from tests.factories import make_alert, make_batch, make_decision, make_incident

TO = "analyzer.gw1@honeynet.test"
POSTED = ClockReading("boot", 1_000.0, 1_700_000_000_000_000)


def message(key: str, to: str = TO) -> AclMessage:
    return AclMessage(
        performative="inform",
        sender="sensor.gw1@honeynet.test",
        receivers=(to,),
        protocol="fipa-subscribe",
        conversation_id="c",
        reply_with=key,
        content=f"content of {key}\n",
    )


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[Database]:
    with closing(open_mail(tmp_path / "mail.sqlite3")) as connection:
        yield connection


def taken(outbox: Outbox, now: float, limit: int = 1000) -> list[str]:
    return [due.message.reply_with for due in outbox.take(now, limit)]


def test_message_comes_back_as_it_was_put(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    [due] = outbox.take(0.0, 10)
    found = due.message
    assert (due.receiver, due.posted, due.within_s) == (TO, POSTED, None)
    assert (found.reply_with, found.content, found.receivers) == ("a", "content of a\n", (TO,))


def test_retry_doubles_up_to_the_limit(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    now, gaps, last = 0.0, [], 0.0
    assert taken(outbox, now) == ["a"]
    while len(gaps) < 7:
        due = outbox.next_due()
        assert due is not None
        assert taken(outbox, due - 0.001) == []
        assert taken(outbox, due) == ["a"]
        gaps.append(due - last)
        last = due
    assert gaps == [2.0, 4.0, 8.0, 16.0, RETRY_LIMIT_S, RETRY_LIMIT_S, RETRY_LIMIT_S]


def test_acknowledged_is_gone_for_good(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    outbox.take(0.0, 10)
    assert outbox.done(["a", "unknown"]) == ["a"]
    assert (len(outbox), taken(outbox, 100.0)) == (0, [])
    assert len(Outbox(mail)) == 0


def test_only_the_receiver_can_acknowledge(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    assert outbox.done(["a"], "reaction.gw1@honeynet.test") == []
    assert outbox.done(["a"], TO) == ["a"]


def test_new_session_sends_at_once_with_the_clock_at_zero(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    for now in (0.0, 2.0, 6.0):
        assert taken(outbox, now) == ["a"]
    outbox.restart()
    assert taken(outbox, 6.5) == ["a"]
    assert taken(outbox, 8.4) == []
    assert taken(outbox, 8.5) == ["a"]
    assert taken(outbox, 8.6) == []  # the clock of the earlier session (14.0) was forgotten
    assert taken(outbox, 12.5) == ["a"]


def test_restart_for_one_receiver(mail: Database) -> None:
    outbox = Outbox(mail)
    other = "reaction.gw1@honeynet.test"
    outbox.put(message("a"), TO, 1, POSTED)
    outbox.put(message("b", other), other, 1, POSTED)
    assert sorted(taken(outbox, 0.0)) == ["a", "b"]
    outbox.restart(other)
    assert taken(outbox, 0.1) == ["b"]


def test_window_per_receiver_lets_others_pass(mail: Database) -> None:
    outbox = Outbox(mail)
    other = "reaction.gw1@honeynet.test"
    for number in range(WINDOW + 5):
        outbox.put(message(f"a{number}"), TO, 1, POSTED)
    outbox.put(message("b", other), other, 1, POSTED)
    assert len(taken(outbox, 0.0)) == WINDOW + 1
    outbox.done(["a0"], TO)
    assert taken(outbox, 0.1) == [f"a{WINDOW}"]


def test_survives_the_process(tmp_path: Path) -> None:
    with closing(open_mail(tmp_path / "m")) as first:
        outbox = Outbox(first)
        outbox.put(message("a"), TO, 3, POSTED)
        outbox.put(message("b"), TO, 0, POSTED)
        outbox.take(0.0, 10)
    with closing(open_mail(tmp_path / "m")) as second:
        assert taken(Outbox(second), 0.0) == ["b", "a"]  # by priority


@pytest.mark.parametrize(
    ("now", "waited_s"),
    [
        # Of one boot it is exact, whatever was done to the wall clock.
        (ClockReading("boot", 1_050.0, POSTED.wall_us - 30 * 86_400_000_000), 50.0),
        (ClockReading("boot", 1_050.0, POSTED.wall_us + 86_400_000_000), 50.0),
        # After another boot: at least its time, more if the wall clock says so.
        (ClockReading("next", 70.0, POSTED.wall_us - 30 * 86_400_000_000), 70.0),
        (ClockReading("next", 70.0, POSTED.wall_us + 600_000_000), 600.0),
    ],
)
def test_how_long_a_message_waited_is_known_over_restarts(
    tmp_path: Path, now: ClockReading, waited_s: float
) -> None:
    with closing(open_mail(tmp_path / "m")) as first:
        Outbox(first).put(message("a"), TO, 1, POSTED, 90.0)
    with closing(open_mail(tmp_path / "m")) as second:
        [due] = Outbox(second).take(0.0, 10)
    assert (due.waited_s(now), due.within_s) == (waited_s, 90.0)


def test_a_message_of_an_older_file_is_sent_as_if_it_had_not_waited(tmp_path: Path) -> None:
    with closing(open_mail(tmp_path / "m")) as first:
        first.execute(
            "INSERT INTO outbox (reply_with, receiver, priority, metadata, content)"
            " VALUES ('a', ?, 1, ?, 'x')",
            (TO, json.dumps(to_metadata(message("a")))),
        )
    with closing(open_mail(tmp_path / "m")) as second:
        [due] = Outbox(second).take(0.0, 10)
    assert (due.waited_s(POSTED), due.within_s, due.message.reply_with) == (0.0, None, "a")


def test_room_is_made_among_the_least_important(mail: Database) -> None:
    outbox = Outbox(mail, capacity=4)
    order = [("d1", 0), ("c1", 3), ("a1", 2), ("c2", 3), ("o1", 1), ("a2", 2), ("d2", 0), ("d3", 0)]
    for key, priority in order:
        outbox.put(message(key), TO, priority, POSTED)
    assert sorted(taken(outbox, 0.0)) == ["d1", "d2", "d3", "o1"]
    assert dict(outbox.dropped) == {3: 2, 2: 2}
    for number in range(4, 9):
        outbox.put(message(f"d{number}"), TO, 0, POSTED)
    assert {key[0] for key in taken(Outbox(mail), 0.0)} == {"d"}  # a decision is never dropped
    assert len(outbox) == 8


def test_room_is_counted_in_bytes_too(mail: Database) -> None:
    size = len(message("a1").content)
    outbox = Outbox(mail, capacity_bytes=3 * size)
    for key in ("a1", "a2", "a3", "a4"):
        outbox.put(message(key), TO, 2, POSTED)
    assert taken(outbox, 0.0) == ["a2", "a3", "a4"]


def test_a_key_is_used_once(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    with pytest.raises(ValueError, match="in use"):
        outbox.put(message("a"), TO, 1, POSTED)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "ack", "take", "restart", "reopen"]), st.integers(0, 19)),
        max_size=60,
    )
)
def test_nothing_is_lost_and_nothing_comes_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever the order of events: in the end exactly the unacknowledged messages are sent."""
    path = tmp_path_factory.mktemp("outbox") / "m"
    mail = open_mail(path)
    outbox, alive, used, now = Outbox(mail), set(), set(), 0.0
    for step, number in steps:
        key = f"k{number}"
        now += 0.5
        if step == "put" and key not in used:
            outbox.put(message(key), TO, number % 4, POSTED)
            alive.add(key)
            used.add(key)
        elif step == "ack":
            outbox.done([key], TO)
            alive.discard(key)
        elif step == "take":
            assert set(taken(outbox, now)) <= alive
        elif step == "restart":
            outbox.restart()
        elif step == "reopen":
            mail.close()
            mail = open_mail(path)
            outbox = Outbox(mail)
    found = {key for wait in range(200) for key in taken(outbox, now + wait)}
    mail.close()
    assert found == alive


def test_seen_survives_and_is_bounded(tmp_path: Path) -> None:
    with closing(open_mail(tmp_path / "m")) as mail:
        seen = Seen(mail, capacity=500)
        for number in range(2000):
            seen.add(("s", "c", f"m{number}"))
        seen.add(("s", "c", "m1999"))
    with closing(open_mail(tmp_path / "m")) as mail:
        seen = Seen(mail, capacity=500)
        assert ("s", "c", "m1999") in seen and ("s", "c", "m1600") in seen
        assert ("s", "c", "m0") not in seen and ("other", "c", "m1999") not in seen
        assert mail.execute("SELECT count(*) FROM seen").fetchone()[0] <= 1500


DECISION, INCIDENT = make_decision(), make_incident()
FORGEABLE = make_alert(verified_source=False)
VERIFIED = make_alert(verified_source=True)


@pytest.mark.parametrize(
    ("records", "priority"),
    [
        ((DECISION, INCIDENT, FORGEABLE), 0),
        ((INCIDENT, FORGEABLE), 1),
        ((), 1),
        ((VERIFIED,), 2),
        ((FORGEABLE, VERIFIED), 2),
        ((make_batch(()),), 3),
        ((FORGEABLE, FORGEABLE), 4),
    ],
)
def test_priority_is_that_of_the_most_important_record(
    records: tuple[Record, ...], priority: int
) -> None:
    assert priority_of(records) == priority


def test_decisions_are_bounded_too(mail: Database) -> None:
    outbox = Outbox(mail, capacity=4)
    for number in range(12):
        outbox.put(message(f"d{number:02}"), TO, 0, POSTED)
    assert len(outbox) == 8 and outbox.dropped[0] == 4
    assert taken(outbox, 0.0) == [f"d{number:02}" for number in range(4, 12)]


def test_what_could_be_forged_goes_first(mail: Database) -> None:
    outbox = Outbox(mail, capacity=3)
    for key, priority in [("v1", 2), ("f1", 4), ("b1", 3), ("f2", 4), ("v2", 2), ("v3", 2)]:
        outbox.put(message(key), TO, priority, POSTED)
    assert taken(outbox, 0.0) == ["v1", "v2", "v3"]
    assert dict(outbox.dropped) == {4: 2, 3: 1}


def test_a_message_whose_row_is_gone_is_given_up(mail: Database) -> None:
    outbox = Outbox(mail)
    outbox.put(message("a"), TO, 1, POSTED)
    outbox.put(message("b"), TO, 1, POSTED)
    mail.execute("DELETE FROM outbox WHERE reply_with = 'a'")
    assert taken(outbox, 0.0) == ["b"]
    assert len(outbox) == 1 and outbox.dropped[1] == 1


def test_a_file_beyond_its_bound_is_cut_before_it_is_read(tmp_path: Path) -> None:
    with closing(open_mail(tmp_path / "m")) as mail:
        mail._limits, mail._growth = NO_LIMITS, Growth(NO_LIMITS)
        with mail.transaction():
            mail.executemany(
                "INSERT INTO outbox (reply_with, receiver, priority, metadata, content)"
                " VALUES (?, 'to', ?, '{}', 'x')",
                [(f"k{n}", n % 5) for n in range(30_000)],
            )
            mail.executemany(
                "INSERT INTO seen (sender, conversation, reply_with) VALUES ('s', 'c', ?)",
                [(f"k{n}",) for n in range(150_000)],
            )
    with closing(open_mail(tmp_path / "m")) as mail:
        assert len(Outbox(mail)) == 2 * CAPACITY
        found = mail.execute("SELECT priority, count(*) FROM outbox GROUP BY priority")
        assert dict(found) == {0: 6000, 1: 6000, 2: 6000, 3: 2000}
        assert mail.execute("SELECT count(*) FROM seen").fetchone()[0] <= SEEN + 1000
        assert ("s", "c", "k149999") in Seen(mail)
