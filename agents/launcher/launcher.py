"""The launcher: starts, watches and stops the agents of this host, each an OS process of its own,
forked from one warm parent (`agents.launcher.fork_server`).

An agent that ends is started again with back-off; one whose event loop does not answer a ping for
`SILENT_AFTER_S` is reported as silent, and killed and started again after `PING_LIMIT_S`. SIGTERM
stops everything in order. The node's state is written to ``state_dir/run/NODE.json`` each second
for ``ontoidps status``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agents.base import users
from agents.base.clock_watch import ClockNews
from agents.clock import now_us
from agents.launcher.child import MAX_LINE, Child
from agents.launcher.fork_server import AgentProcess, ForkServer, ForkServerError, reap_orphans
from agents.launcher.log_file import LogFile, turn_file
from agents.launcher.node_state import NodeSocket
from agents.launcher.priority import RAISED, raise_priority
from agents.launcher.restarts import RestartPolicy
from agents.launcher.xmpp_server import XmppServer
from agents.settings.honeynet import Node, Settings
from agents.trust.identity import ensure_keys, load_identity
from ontology.records import Role

logger = logging.getLogger(__name__)

PING_EVERY_S = 1.0
# Noticed soon, killed late: a busy machine can stall a healthy agent for some seconds.
SILENT_AFTER_S = 4.0
PING_LIMIT_S = 20.0
# The first answer may take longer: imports, the JVM and the capture ring come first.
START_LIMIT_S = 60.0
STOP_LIMIT_S = 8.0
# An agent retries for ever and in silence: whoever reads the log must learn that it is alone.
ALONE_LIMIT_S = 10.0
# Supervisor first and sensors last, so that little has to be retried; any order works.
START_ORDER: tuple[Role, ...] = (
    "supervisor",
    "console",
    "ontology",
    "correlation",
    "reaction",
    "analyzer",
    "sensor",
)


class Launcher:
    """Runs the agents of some nodes until SIGTERM or SIGINT.

    Raises (from `run`): IdentityError if this host lacks keys, RuntimeError if another launcher
    runs one of the nodes, or if the embedded XMPP server can't start.
    """

    def __init__(
        self, settings: Settings, file: Path, nodes: Sequence[Node], *, verbose: bool = False
    ) -> None:
        self._settings = settings
        self._file = file
        self._nodes = nodes
        self._verbose = verbose
        self._children = [
            Child(role, node.name, settings.jid(role, node.name))
            for role in START_ORDER
            for node in nodes
            if role in node.agents
        ]
        self._stopping = asyncio.Event()
        self._locks: list[int] = []
        self._server: XmppServer | None = None
        self._shared_user = ""
        """Why agents that root starts have no users of their own."""
        self._forks = ForkServer(child.role for child in self._children)
        self._trouble = ""
        """Why the run files can't be written."""
        self._clock = ClockNews()
        """Agents tell it as well, but for one that was not there at that moment."""

    def prepare(self) -> None:
        """Make folders, check keys, and fork the fork server; before `run`, and before this
        process has threads or an event loop.

        Raises: IdentityError.
        """
        self._settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._settings.state_dir / "run").mkdir(mode=0o700, exist_ok=True)
        self._check_keys({node.name for node in self._nodes})
        if os.geteuid() == 0 and (why := users.why_shared(self._settings)) is not None:
            self._shared_user = why
            logger.warning(
                "all agents are user 0, without capabilities but those that they need, and kept "
                "apart by Landlock and seccomp alone: %s",
                why,
            )
        if raise_priority():
            logger.info("from packet to block all runs at nice %d", RAISED)
        self._forks.start()

    async def run(self) -> int:
        """Returns 0 after a clean stop."""
        run_dir = self._settings.state_dir / "run"
        self._lock_nodes(run_dir)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        names = {node.name for node in self._nodes}
        try:
            if self._settings.xmpp.embedded and self._settings.server_node in names:
                self._server = XmppServer(self._settings)
                await asyncio.to_thread(_start_server, self._server)
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._keep(child))
                if self._server is not None:
                    group.create_task(self._keep_server(self._server))
                group.create_task(self._report(run_dir))
        finally:
            self._forks.close()
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)
            for name in names:
                (run_dir / f"{name}.json").unlink(missing_ok=True)
            for lock in self._locks:
                os.close(lock)
        logger.info("stopped")
        return 0

    def _check_keys(self, names: set[str]) -> None:
        """Once here, not by each agent at each of its restarts.

        Raises: IdentityError, one line with what to type where.
        """
        maker = self._settings.server_node in names
        ensure_keys(self._settings, None if maker else min(names))
        for child in self._children:
            load_identity(self._settings, child.role, child.node)

    def _lock_nodes(self, run_dir: Path) -> None:
        for node in self._nodes:
            lock = os.open(
                run_dir / f"{node.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            self._locks.append(lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise RuntimeError(
                    f"node {node.name!r} is already run by another launcher ({run_dir})"
                ) from e

    async def _keep(self, child: Child) -> None:
        """Start, watch, start again, until the launcher stops."""
        while not self._stopping.is_set():
            child.policy.on_start(time.monotonic())
            try:
                code = await self._run_once(child)
            except (OSError, ForkServerError) as e:  # no processes or descriptors, for now
                logger.error("%s can't be started: %s", child.jid, e)
                code, child.last_words = None, f"it can't be started: {e}"
            if self._stopping.is_set():
                break
            delay = child.policy.delay_after_exit(time.monotonic())
            child.state, child.restarts = "waiting", child.restarts + 1
            child.last_code = code
            logger.warning("%s ended with code %s; again in %.1f s", child.jid, code, delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
        child.state = "stopped"

    async def _run_once(self, child: Child) -> int | None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours, theirs:
            request = {
                "role": child.role,
                "node": child.node,
                "file": str(self._file),
                "verbose": self._verbose,
            }
            process = await self._forks.fork(request, theirs)
            theirs.close()
            child.process, child.state, child.health = process, "starting", {}
            child.answered_s = time.monotonic() + START_LIMIT_S - PING_LIMIT_S
            watch = asyncio.ensure_future(self._watch(child, process, ours))
            ended = asyncio.ensure_future(process.wait())
            stop = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
                if process.returncode is None:
                    await _end(process)
            finally:
                for task in (watch, stop, ended):
                    task.cancel()
                await asyncio.gather(watch, stop, ended, return_exceptions=True)
            child.hear_the_rest(ours)
            return process.returncode

    async def _watch(self, child: Child, process: AgentProcess, channel: socket.socket) -> None:
        """Ping the agent's event loop; kill the process when it stays silent."""
        loop = asyncio.get_running_loop()
        buffer = b""
        while process.returncode is None:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(channel, b"ping\n")
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    while True:
                        data = await loop.sock_recv(channel, 65536)
                        if not data:
                            return
                        *lines, buffer = (buffer + data).split(b"\n")
                        if len(buffer) > MAX_LINE:
                            raise ValueError(f"a line of more than {MAX_LINE} bytes")
                        for line in lines:
                            child.hear(line)
                            self._tell_if_alone(child, time.monotonic())
            except TimeoutError:
                pass
            except (OSError, ValueError) as e:
                logger.warning("%s: health channel: %s", child.jid, e)
                return
            silent = time.monotonic() - child.answered_s
            if silent > SILENT_AFTER_S and child.state == "running":
                child.state = "silent"
                logger.warning("%s has not answered for %.0f s", child.jid, silent)
            if silent > PING_LIMIT_S:
                logger.error("%s did not answer for %.0f s; killed", child.jid, silent)
                child.last_words = f"it did not answer for {silent:.0f} s and was killed"
                process.kill()
                return

    def _tell_if_alone(self, child: Child, now_s: float) -> None:
        """One line when an agent has no session for `ALONE_LIMIT_S`, one when it has it again."""
        if child.health.get("connected"):
            if child.told_alone:
                logger.info("%s is connected again", child.jid)
            child.alone_since_s, child.told_alone = None, False
            return
        if child.alone_since_s is None:
            child.alone_since_s = now_s
        if not child.told_alone and now_s - child.alone_since_s >= ALONE_LIMIT_S:
            child.told_alone = True
            logger.warning(
                "%s gets no session on the XMPP server %s port %d (%s); it tries on, and works "
                "with %d of the %d other agents of its node (is the server up and reachable, its "
                "certificate signed by our CA, the account registered?)",
                child.jid,
                self._settings.xmpp.host,
                self._settings.xmpp.port,
                child.health.get("server_error") or "no reason known",
                child.health.get("local", 0),
                child.health.get("local_peers", 0),
            )

    async def _keep_server(self, server: XmppServer) -> None:
        policy = RestartPolicy()
        policy.on_start(time.monotonic())
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.5)
            if self._stopping.is_set() or server.alive():
                continue
            delay = policy.delay_after_exit(time.monotonic())
            logger.error("XMPP server ended; again in %.1f s", delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            if not self._stopping.is_set():
                policy.on_start(time.monotonic())
                try:
                    await asyncio.to_thread(_start_server, server)
                    logger.info("XMPP server answers again")
                except (RuntimeError, OSError) as e:
                    logger.error("XMPP server: %s", e)

    async def _report(self, run_dir: Path) -> None:
        log_file = LogFile()
        sockets = [
            NodeSocket(run_dir / f"{node.name}.sock", partial(self._state_of, node))
            for node in self._nodes
        ]
        try:
            while not self._stopping.is_set():
                reap_orphans(self._children_pids())
                before = self._trouble
                self._clock.look()
                if await asyncio.to_thread(log_file.turn):
                    logger.info("the log was long enough and begins anew")
                if self._server is not None:
                    for name in ("prosody.log", "prosody.out"):
                        await asyncio.to_thread(turn_file, self._server.directory / name)
                try:
                    for listener in sockets:
                        await listener.open()
                    self._trouble = ""  # that is what is written, if it can be
                    self._write_run_files(run_dir)
                except OSError as e:
                    # A full disk must not end the agents; who asks at the socket is told of it.
                    trouble = f"{e.filename or run_dir}: {e.strerror}"
                    if not before:
                        logger.error("%s: the state of the node can't be kept there", trouble)
                    self._trouble = trouble
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), 1.0)
        finally:
            for listener in sockets:
                await listener.close()

    def _children_pids(self) -> list[int]:
        found = [child.process.pid for child in self._children if child.process is not None]
        found += [pid for pid in (self._forks.pid,) if pid is not None]
        if self._server is not None and self._server.pid is not None:
            found.append(self._server.pid)
        return found

    def _state_of(self, node: Node) -> dict[str, Any]:
        return {
            "node": node.name,
            "pid": os.getpid(),
            "updated_us": now_us(),
            "shared_user": self._shared_user,
            "xmpp": self._server.alive() if self._server else None,
            "trouble": self._trouble,
            "clock": self._clock.text,
            "agents": [c.as_json() for c in self._children if c.node == node.name],
        }

    def _write_run_files(self, run_dir: Path) -> None:
        for node in self._nodes:
            text = json.dumps(self._state_of(node))
            temporary = run_dir / f"{node.name}.json.new"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(run_dir / f"{node.name}.json")


def _start_server(server: XmppServer) -> None:
    """Raises: RuntimeError if it does not answer."""
    server.start()
    if not server.ready():
        raise RuntimeError("the XMPP server does not answer")


async def _end(process: AgentProcess) -> None:
    """SIGTERM, and SIGKILL when that is not heard."""
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
    except TimeoutError:
        logger.warning("pid %d did not stop in %.0f s; killed", process.pid, STOP_LIMIT_S)
        process.kill()
        await process.wait()
