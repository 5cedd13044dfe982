"""A blocked loop shows as lag, an idle one doesn't."""

import asyncio
import time

from agents.base.loop_lag import EVERY_S, MINUTE, LoopLag


def test_the_99th_percentile_of_the_last_minute() -> None:
    lag = LoopLag()
    assert lag.p99_ms() == 0.0
    for _ in range(98):
        lag.note(0.001)
    lag.note(0.03)
    lag.note(0.04)
    assert lag.p99_ms() == 30.0
    for _ in range(MINUTE):
        lag.note(-0.0001)
    assert lag.p99_ms() == 0.0


def test_a_stall_counts_as_long_as_it_lasted() -> None:
    lag = LoopLag()
    for _ in range(MINUTE):
        lag.note(0.0)
    lag.note(1.0)
    assert lag.p99_ms() == 1000.0
    lag.note(1e9)
    assert lag.p99_ms() == 1e12


async def test_a_loop_that_is_blocked_is_late() -> None:
    lag = LoopLag()
    looking = asyncio.ensure_future(lag.keep_looking())
    await asyncio.sleep(4 * EVERY_S)
    time.sleep(0.5)  # noqa: ASYNC251  that is what is looked for
    await asyncio.sleep(2 * EVERY_S)
    looking.cancel()
    assert lag.p99_ms() > 300
