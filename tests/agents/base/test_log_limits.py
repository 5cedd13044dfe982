from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from agents.base.log_limits import INTERVAL_S, LINES, MAX_KINDS, ORDER, LimitedHandler


class Log:
    """A logger of its own over one handler, whose clock is turned by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.out = io.StringIO()
        self.handler = LimitedHandler(self.out, clock=lambda: self.now_s)
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.logger = logging.Logger("agents.some")
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.handler.close()


def test_a_flood_of_lines_is_cut_and_counted_at_the_end_of_the_interval(log: Log) -> None:
    for n in range(1000):
        log.logger.info("%s from %s", "HoneypotContact", n)
    assert len(log.lines) == LINES
    log.now_s = INTERVAL_S
    log.logger.info("something else")
    assert log.lines[LINES:] == [
        "INFO agents.some: left out: 950 more lines like '%s from %s'",
        "INFO agents.some: something else",
    ]
    # A new interval has new room.
    log.logger.info("%s from %s", "HoneypotContact", "again")
    assert log.lines[-1].endswith("HoneypotContact from again")


def test_one_kind_takes_no_room_from_another(log: Log) -> None:
    for n in range(500):
        log.logger.info("packet %d", n)
    log.logger.warning("packet %d", 1)
    log.logger.info("blocked %s", "192.0.2.66")
    assert log.lines[-2:] == [
        "WARNING agents.some: packet 1",
        "INFO agents.some: blocked 192.0.2.66",
    ]


def test_lines_about_orders_have_much_room_but_a_bound(log: Log) -> None:
    for n in range(3000):
        log.logger.info("blocked %d", n, extra=ORDER)
    assert len(log.lines) == ORDER["line_limit"]


def test_what_was_left_out_is_told_though_nothing_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.base.log_limits.INTERVAL_S", 0.2)
    out = io.StringIO()
    handler = LimitedHandler(out)
    logger = logging.Logger("agents.some")
    logger.addHandler(handler)
    for n in range(LINES + 7):
        logger.error("packet %d", n)
    deadline = time.monotonic() + 10
    while "left out: 7" not in out.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    handler.close()


def test_the_end_of_the_process_tells_it_too() -> None:
    program = (
        "import logging\n"
        "from agents.launcher.logs import configure_logging\n"
        "configure_logging('sensor.gw1')\n"
        f"for n in range({LINES} + 3): logging.getLogger('agents.x').info('packet %d', n)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stderr.splitlines()
    assert len(lines) == LINES + 1
    assert lines[-1].endswith("sensor.gw1 INFO agents.x: left out: 3 more lines like 'packet %d'")


def test_texts_that_a_stranger_fills_in_share_what_is_left(log: Log) -> None:
    """A library that formats before it logs must not make a kind of each packet."""
    for text in [f"packet {n} \x1b[31m{'x' * 5000}" for n in range(MAX_KINDS * 4)]:
        log.logger.info(text)
    assert len(log.handler._kinds) <= MAX_KINDS + 1
    written = len(log.lines)
    assert written <= MAX_KINDS + LINES
    log.now_s = INTERVAL_S
    log.logger.info("next")
    told = log.lines[written:-1]
    assert told == [f"INFO root: left out: {MAX_KINDS * 4 - written} more lines like 'any other'"]


def test_a_long_text_is_told_in_short_and_harmless(log: Log) -> None:
    text = "\x1b[31m" + "y" * 5000
    for _ in range(LINES + 1):
        log.logger.info(text)
    log.now_s = INTERVAL_S
    log.logger.info("next")
    assert "\\x1b[31m" in log.lines[-2] and len(log.lines[-2]) < 250


def test_debug_lines_are_whole(log: Log) -> None:
    for n in range(LINES * 3):
        log.logger.debug("message %d", n)
    assert len(log.lines) == LINES * 3
