import asyncio
from collections import Counter

from agents.base.tasks import Tasks


async def test_tasks_wait_until_the_agent_is_ready() -> None:
    ready = asyncio.Event()
    tasks = Tasks(Counter(), ready)
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    tasks.spawn(note("later"), name="later")
    tasks.spawn(note("at once"), name="at once", at_once=True)
    await asyncio.sleep(0.01)
    assert order == ["at once"]
    ready.set()
    await asyncio.sleep(0.01)
    assert order == ["at once", "later"]


async def test_an_exception_is_counted_and_periodic_work_goes_on() -> None:
    counters: Counter[str] = Counter()
    ready = asyncio.Event()
    ready.set()
    tasks = Tasks(counters, ready)
    calls = 0

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise ValueError("no")

    tasks.spawn(fails(), name="once")
    tasks.every(0.001, fails, name="again")
    async with asyncio.timeout(5):
        while calls < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert counters["task_errors"] >= 3
    await tasks.end()
    before = calls
    await asyncio.sleep(0.01)
    assert calls == before


async def test_what_never_began_ends_without_a_warning() -> None:
    tasks = Tasks(Counter(), asyncio.Event())

    async def never() -> None:
        raise AssertionError

    tasks.spawn(never(), name="never")
    await asyncio.sleep(0)
    await tasks.end()
