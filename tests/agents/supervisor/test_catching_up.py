"""Few things at once; of many a part, and others have their turn in between."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.supervisor.catching_up import PACE_S, PART, UNDER_WAY, CatchingUp


async def test_many_are_told_bit_by_bit_and_all_of_them() -> None:
    tasks: list[asyncio.Task[None]] = []
    catching_up = CatchingUp(lambda work: tasks.append(asyncio.create_task(work)))  # noqa: TID251
    told: list[int] = []
    turns = 0

    async def say(part: Sequence[int]) -> None:
        assert len(part) <= PART
        told.extend(part)

    await catching_up.tell(range(PART), say)
    assert told == list(range(PART)) and not tasks and not catching_up.is_under_way

    told.clear()
    await catching_up.tell(range(4 * PART + 1), say)
    assert catching_up.is_under_way and not told
    while catching_up.is_under_way:
        turns += 1
        await asyncio.sleep(0)
    assert told == list(range(4 * PART + 1))
    assert turns > 4


async def test_a_failure_ends_it() -> None:
    tasks: list[asyncio.Task[None]] = []
    catching_up = CatchingUp(lambda work: tasks.append(asyncio.create_task(work)))  # noqa: TID251

    async def say(part: Sequence[int]) -> None:
        raise OSError

    await catching_up.tell(range(PART + 1), say)
    await asyncio.wait(tasks)
    assert isinstance(tasks[0].exception(), OSError) and not catching_up.is_under_way


async def test_alone_all_is_told_at_once() -> None:
    told: list[int] = []

    async def say(part: Sequence[int]) -> None:
        told.extend(part)

    await CatchingUp().tell(range(3 * PART), say)
    assert len(told) == 3 * PART


async def test_the_next_part_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.supervisor.catching_up.PATIENCE_S", 3600.0)
    tasks: list[asyncio.Task[None]] = []
    waiting = [UNDER_WAY]
    catching_up = CatchingUp(
        lambda work: tasks.append(asyncio.create_task(work)),  # noqa: TID251
        lambda: waiting[0],
    )
    told: list[int] = []

    async def say(part: Sequence[int]) -> None:
        told.extend(part)

    await catching_up.tell(range(2 * PART), say)
    await asyncio.sleep(4 * PACE_S)
    assert len(told) == PART
    waiting[0] = 0
    async with asyncio.timeout(30):
        await tasks[0]
    assert len(told) == 2 * PART
