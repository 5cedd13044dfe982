"""Entry of an agent's process: event loop, signals, health channel, exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
from typing import Any

import uvloop

from agents.base.agent import BaseAgent
from agents.base.confinement import enter
from agents.base.context import AgentContext
from agents.base.health import answer_pings, say_last
from agents.trust.identity import IdentityError

logger = logging.getLogger(__name__)

LEFTOVER_LIMIT_S = 2.0


def run_agent(
    agent_type: type[BaseAgent[Any]], context: AgentContext, health_fd: int | None
) -> int:
    """Run one agent in this process until SIGTERM or SIGINT.

    Returns the exit code: 0 after a clean stop, 1 for what a person has to mend (keys, server,
    settings; one log line), 70 (EX_SOFTWARE) after an unexpected exception.
    """
    if not logging.getLogger().handlers:
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
    # Stanzas cut off by a lost link are logged there with their payload; we count and resend them.
    for chatty in ("slixmpp", "SPADE", "spade"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    last = None if health_fd is None else socket.socket(fileno=os.dup(health_fd))
    try:
        taken = agent_type.take(context)
        enter(context, agent_type.needs(context))
        agent = agent_type(context)
        agent.taken = taken
        _run_in_loop(agent, health_fd)
    except Exception as e:
        if last is not None:
            say_last(last, e)
        if isinstance(e, (IdentityError, ConnectionError, sqlite3.Error, RuntimeError)):
            logger.error("%s: %s", context.jid, e)
            return 1
        logger.exception("%s: unexpected end", context.jid)
        return os.EX_SOFTWARE
    finally:
        if last is not None:
            last.close()
    return 0


def _run_in_loop(agent: BaseAgent[Any], health_fd: int | None) -> None:
    # uvloop is the loop SPADE picks itself. Not asyncio.Runner: when it closes, it waits without a
    # limit for tasks that SPADE's behaviours keep alive by swallowing their cancellation.
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_live(agent, health_fd))
    finally:
        loop.run_until_complete(_end_leftovers())
        asyncio.set_event_loop(None)


async def _end_leftovers() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFTOVER_LIMIT_S)


async def _live(agent: BaseAgent[Any], health_fd: int | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    pings: asyncio.Task[None] | None = None
    if health_fd is not None:
        channel = socket.socket(fileno=health_fd)
        pings = asyncio.ensure_future(answer_pings(channel, agent.health, agent.stop))
    try:
        await agent.run()
    finally:
        if pings is not None:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
