import json
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.conditions import (
    MAX_CONDITIONS,
    MAX_REASON,
    MAX_TEXT,
    Condition,
    Conditions,
    as_text,
    described,
    from_text,
    is_degraded,
)


def test_a_fault_is_told_once_kept_with_its_numbers_and_told_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now = [1_000_000]
    conditions = Conditions(lambda: now[0])
    news: list[int] = []
    conditions.on_change = lambda: news.append(1)
    for lost in (3, 40, 1234):
        conditions.fault("ring", "packets lost", level="warning", lost=lost)
        now[0] += 1_000_000
    (held,) = conditions.current()
    assert (held.since_us, held.numbers) == (1_000_000, {"lost": 1234})
    assert described(held) == "packets lost (1,234 lost)" and not is_degraded([held])
    assert len(news) == 1 and caplog.text.count("packets lost") == 1
    conditions.fault("ring", "packets lost", level="degraded", lost=9999)
    assert is_degraded(conditions.current()) and len(news) == 2
    conditions.clear("ring")
    assert conditions.current() == () and len(news) == 3
    assert "over after 3 s: packets lost (9,999 lost)" in caplog.text
    conditions.clear("ring")
    assert len(news) == 3


def test_degraded_ones_come_first_and_a_flood_of_names_is_bounded() -> None:
    conditions = Conditions(lambda: 1)
    for number in range(100):
        conditions.fault(f"warning.{number:03}", "x", level="warning")
    conditions.fault("z", "the one that counts")
    found = conditions.current()
    assert len(found) == MAX_CONDITIONS and found[0].name == "z"
    assert found[-1].reason == f"and {101 - MAX_CONDITIONS + 1} more conditions"
    conditions.keep("warning.", {"warning.007"})
    assert [c.name for c in conditions.current()] == ["z", "warning.007"]


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[2Jb", "a b", "a\x00\x07 b"])
def test_a_reason_is_one_line_whatever_a_file_is_called(text: str) -> None:
    conditions = Conditions(lambda: 1)
    conditions.fault("file", text + "x" * 5000)
    reason = conditions.current()[0].reason
    assert reason.isprintable() and len(reason) == MAX_REASON


some = st.builds(
    Condition,
    name=st.text(min_size=1, max_size=20).filter(lambda s: s.isprintable() and s == s.strip()),
    level=st.sampled_from(["degraded", "warning"]),
    reason=st.just("a reason"),
    since_us=st.integers(0, 2**60),
    numbers=st.dictionaries(st.text(max_size=10), st.integers(0, 2**60), max_size=4),
)


@given(st.lists(some, max_size=MAX_CONDITIONS))
def test_what_is_written_is_read(held: list[Condition]) -> None:
    text = as_text(held)
    assert len(text) <= MAX_TEXT
    found = from_text(text)
    clean = [c for c in held if "  " not in c.name]
    if len(clean) == len(held):
        assert found == tuple(held[: len(found)])
    assert bool(text) == bool(held)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_whatever_another_process_says_is_conditions_or_a_value_error(text: str) -> None:
    try:
        from_text(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": 1, "level": "degraded", "reason": "x", "since_us": 0, "numbers": {}},
        {"name": "a", "level": "fine", "reason": "x", "since_us": 0, "numbers": {}},
        {"name": "a", "level": [], "reason": "x", "since_us": 0, "numbers": {}},
        {"name": "a", "level": "degraded", "reason": "x", "since_us": "0", "numbers": {}},
        {"name": "a", "level": "degraded", "reason": "x", "since_us": 0, "numbers": []},
    ],
)
def test_what_is_no_condition_is_refused(entry: object) -> None:
    with pytest.raises(ValueError, match="condition"):
        from_text(json.dumps([entry]))


def test_nesting_without_end_is_no_crash() -> None:
    with pytest.raises(ValueError, match="deeply"):
        from_text("[" * 100_000)


def test_threads_may_report_while_others_look() -> None:
    conditions = Conditions(lambda: 1)
    end = threading.Event()

    def work(name: str) -> None:
        while not end.is_set():
            conditions.fault(name, "x", level="warning")
            conditions.clear(name)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(3)]
    logging.disable(logging.CRITICAL)
    try:
        for thread in threads:
            thread.start()
        for _ in range(3000):
            conditions.current()
    finally:
        end.set()
        for thread in threads:
            thread.join()
        logging.disable(logging.NOTSET)
    assert conditions.current() == ()
