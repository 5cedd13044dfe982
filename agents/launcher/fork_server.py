"""The fork server: a warm process that agents are forked from, so that they share its pages.

It has imported what the agents of this host run on, has one thread, no event loop and nothing
open, and waits. The launcher, which is a fork of the same process, asks for an agent by role and
node and hands over the agent's end of its health channel. The agent becomes the launcher's own
child (PR_SET_CHILD_SUBREAPER, prctl(2)): its exit code comes by waitid, and the end of the fork
server ends no agent. The launcher then starts another one, which has to import all by itself.

Agents of one fork server share the seed that their strings hash by. It is random, and whoever
doesn't know it can't choose keys that collide (`HASH_SEED`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from agents.launcher.priority import settle

logger = logging.getLogger(__name__)

HASH_SEED = "PYTHONHASHSEED"
ENVIRONMENT = {
    # One BLAS/OpenMP thread an agent: k-means on two cores slows the event loops of all others.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    # Strangers choose the keys of our tables: nobody may know how their names hash.
    HASH_SEED: "random",
}
ANSWER_LIMIT_S = 30.0
"""How long the launcher waits for a new agent's process id: a new server imports for 1 to 2 s."""
_MAX_REQUEST = 16_384
_SET_NAME, _SET_CHILD_SUBREAPER = 15, 36
"""PR_SET_NAME, PR_SET_CHILD_SUBREAPER of prctl(2)."""


class ForkServerError(RuntimeError):
    """No agent can be started just now."""


def warm_up(roles: Iterable[str]) -> None:
    """Import what the agents of these roles run on.

    A room that can't be imported is left to its own agents, which then say so at each start.
    """
    gc.disable()  # a collection would leave holes in the pages that are to be shared
    import_module("agents.base")
    import_module("agents.launcher.process")
    # numpy imports it where it is first needed: in an agent that has no descriptor left, never.
    import_module("numpy.ma")
    for role in roles:
        try:
            import_module(f"agents.{role}.agent")
        except Exception:
            logger.exception("agents.%s.agent can't be imported", role)


# --- the launcher's side --------------------------------------------------------------------------


class ForkServer:
    """The launcher's hold on its fork server. `fork` may be called by one task at a time or more.

    Made by `start`, before the launcher has threads or an event loop.
    """

    def __init__(self, roles: Iterable[str]) -> None:
        self._roles = tuple(dict.fromkeys(roles))
        self._lock = asyncio.Lock()
        self._channel: socket.socket | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the fork server while there is one."""
        return self._pid

    def start(self) -> None:
        """Import everything into this process, and leave a copy of it behind as the fork server.

        Without a random seed of its own (it was started with `HASH_SEED` set) this process can't
        be the parent; then the first `fork` starts a server afresh.
        """
        adopt_orphans()
        if os.environ.get(HASH_SEED, "random") != "random":
            return
        os.environ.update(ENVIRONMENT)
        warm_up(self._roles)
        gc.freeze()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            _serve_and_exit(theirs)
        theirs.close()
        gc.enable()
        ours.setblocking(False)
        self._channel, self._pid = ours, pid

    async def fork(self, request: Mapping[str, object], health: socket.socket) -> AgentProcess:
        """A new agent (`agents.launcher.process.run_from` gets ``request``) with this health
        channel.

        Raises: ForkServerError; the next call starts another server.
        """
        async with self._lock:
            if self._channel is None:
                self._start_afresh()
            try:
                answer = await self._ask(json.dumps(request).encode(), health)
            except (OSError, ValueError, TimeoutError) as e:
                self.close()
                raise ForkServerError(f"the fork server is gone: {e or type(e).__name__}") from e
        if "pid" not in answer:
            raise ForkServerError(str(answer.get("error")))
        return AgentProcess(int(answer["pid"]))

    async def _ask(self, request: bytes, health: socket.socket) -> dict[str, Any]:
        assert self._channel is not None  # noqa: S101
        socket.send_fds(self._channel, [request], [health.fileno()])
        async with asyncio.timeout(ANSWER_LIMIT_S):
            data = await asyncio.get_running_loop().sock_recv(self._channel, _MAX_REQUEST)
        if not data:
            raise ConnectionResetError("it ended")
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _start_afresh(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            command = [sys.executable, "-m", "agents.launcher.fork_server", str(theirs.fileno())]
            try:
                child = subprocess.Popen(
                    [*command, *self._roles],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    env=os.environ | ENVIRONMENT,
                    start_new_session=True,
                )
            except OSError as e:
                ours.close()
                raise ForkServerError(f"no fork server can be started: {e}") from e
        child.returncode = 0  # `close` and `reap_orphans` see to its end
        self._channel, self._pid = ours, child.pid
        logger.info("fork server started, pid %d", child.pid)

    def close(self) -> None:
        """End the server; agents live on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = None


class AgentProcess:
    """A child by its pidfd (pidfd_open(2)): signals never reach another that got its number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """Exit code, or the negative number of the signal that ended it."""
        self._descriptor = os.pidfd_open(pid)
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._reap)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        try:
            found = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED)
        except ChildProcessError:  # somebody else was told
            self.returncode = 255
        else:
            assert found is not None  # noqa: S101
            exited = found.si_code == os.CLD_EXITED
            self.returncode = found.si_status if exited else -found.si_status
        os.close(self._descriptor)
        self._ended.set()

    async def wait(self) -> int:
        """Its `returncode`, once it has ended."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101
        return self.returncode

    def terminate(self) -> None:
        """SIGTERM, if it still runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)


def adopt_orphans() -> None:
    """Be the parent of descendants whose own parents end."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(ours: Iterable[int]) -> None:
    """Let go of ended processes that nobody waits for: what agents that were killed had started.

    ``ours``: children whose exit codes are still wanted.
    """
    known = set(ours)
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in known:
                return  # its own waiter comes first; the others have time until the next call
            os.waitpid(found.si_pid, 0)


# --- the server's side ----------------------------------------------------------------------------


def _serve_and_exit(channel: socket.socket) -> NoReturn:
    """The whole life of the server; it never returns into what it was forked from."""
    try:
        os.setsid()  # a group of its own: Ctrl-C reaches only the launcher, which stops all
    except PermissionError:
        pass  # started in a session of its own
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _name_process("ontoidps-forks")
        _serve(channel)
    except BaseException:
        traceback.print_exc()
        os._exit(os.EX_SOFTWARE)
    os._exit(0)


def _serve(channel: socket.socket) -> None:
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 1)
        if not data:
            return  # the launcher is gone
        try:
            pid = _fork_agent(channel, data, descriptors[0])
            answer: dict[str, object] = {"pid": pid}
        except OSError as e:
            answer = {"error": f"can't fork: {e.strerror}"}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        channel.send(json.dumps(answer).encode())


def _fork_agent(channel: socket.socket, request: bytes, health: int) -> int:
    """By way of a child that ends at once, so that the agent falls to the launcher."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        try:
            pid = os.fork()
            if pid == 0:
                for descriptor in (reading, writing):
                    os.close(descriptor)
                channel.close()
                _become_agent(json.loads(request), health)
            os.write(writing, pid.to_bytes(4, "big"))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        found = os.read(reading, 4)
    finally:
        os.close(reading)
        os.waitpid(between, 0)
    if len(found) < 4:
        raise BlockingIOError(11, "no more processes")
    return int.from_bytes(found, "big")


def _become_agent(request: dict[str, Any], health: int) -> NoReturn:
    code = os.EX_SOFTWARE
    try:
        os.setsid()
        os.set_inheritable(health, False)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        settle(request["role"])
        _reseed()
        gc.enable()
        _name_process(f"{request['role']}.{request['node']}", "ontoidps-agent", request)
        from agents.launcher.process import run

        code = run(
            request["role"],
            request["node"],
            Path(request["file"]),
            health_fd=health,
            verbose=bool(request.get("verbose")),
        )
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        logging.shutdown()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Not sys.exit: it waits for every worker thread, also for one that hangs in a system call.
        os._exit(code)


def _reseed() -> None:
    """Chance of its own for each agent. OpenSSL and os.urandom see to theirs themselves."""
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()


def _name_process(
    name: str, program: str = "", request: Mapping[str, object] | None = None
) -> None:
    """Show in ps and /proc what this process is: otherwise all would look like the launcher."""
    ctypes.CDLL(None).prctl(_SET_NAME, name.encode()[:15], 0, 0, 0)
    words = [program or name]
    if request is not None:
        words += [str(request["role"]), str(request["node"]), str(request["file"])]
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        # arg_start and arg_end, fields 48 and 49 of proc(5); the name, field 2, may hold blanks.
        start, end = (int(word) for word in fields.rpartition(")")[2].split()[45:47])
    except (OSError, ValueError):
        return
    if not 0 < start < end:
        return
    text = b"\0".join(word.encode() for word in words)[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


def main(argv: list[str]) -> NoReturn:
    """``python -m agents.launcher.fork_server CHANNEL ROLE…``: a server that is no fork."""
    channel = socket.socket(fileno=int(argv[0]))
    warm_up(argv[1:])
    gc.freeze()
    _serve_and_exit(channel)


if __name__ == "__main__":
    main(sys.argv[1:])
