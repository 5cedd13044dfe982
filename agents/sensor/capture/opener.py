"""Sockets that only a privileged process may open, for a sensor that has given its rights up.

An interface that goes and comes back needs a new socket, and the process that reads strangers'
packets must not keep the right to make one. So a child of the sensor's, made before that, keeps it
(CAP_NET_RAW, CAP_NET_ADMIN for log groups) and hands descriptors over (SCM_RIGHTS, unix(7)). It
reads no packet and takes three kinds of request, each only for what the node's ``[[node]]`` names.
It ends with the sensor.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Final, Protocol

from agents.base import confinement, privileges
from agents.base.users import Users
from agents.sensor.capture.nflog import open_log_group
from agents.sensor.capture.scapy_capture import ScapyProcess
from agents.settings.honeynet import Node
from datasets.captures.pcap import CaptureError
from ontology import landlock
from ontology.landlock import Allowed

logger = logging.getLogger(__name__)

_MAX: Final = 4096
_ANSWER_S: Final = 30.0
_READY: Final = b"ready"


class Opener(Protocol):
    """Who opens what a capture reads. Methods may block; raise OSError and CaptureError."""

    def packets(self) -> socket.socket:
        """A packet socket that receives nothing yet (packet(7), protocol 0)."""

    def log_group(self, group: int) -> socket.socket:
        """As `open_log_group`."""

    def scapy(self, interface: str) -> ScapyProcess:
        """As `ScapyProcess.start`, with the node's filter."""


class DirectOpener:
    """By this process's own rights."""

    def __init__(self, filter_expression: str = "") -> None:
        self._filter = filter_expression

    def packets(self) -> socket.socket:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)

    def log_group(self, group: int) -> socket.socket:
        return open_log_group(group)

    def scapy(self, interface: str) -> ScapyProcess:
        return ScapyProcess.start(interface, self._filter)


class SocketOpener:
    """By the other process; for several threads."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        channel.settimeout(_ANSWER_S)

    def packets(self) -> socket.socket:
        [descriptor] = self._ask({"kind": "packets"})
        return socket.socket(fileno=descriptor)

    def log_group(self, group: int) -> socket.socket:
        [descriptor] = self._ask({"kind": "log group", "group": group})
        return socket.socket(fileno=descriptor)

    def scapy(self, interface: str) -> ScapyProcess:
        return ScapyProcess(*self._ask({"kind": "scapy", "interface": interface}))

    def _ask(self, request: dict[str, Any]) -> list[int]:
        with self._lock:
            try:
                self._channel.send(json.dumps(request).encode())
                data, descriptors, _, _ = socket.recv_fds(self._channel, _MAX, 3)
            except OSError as e:
                self._mourn()
                raise CaptureError(f"who opens sockets does not answer: {e}") from e
        if not data:
            self._mourn()
            raise CaptureError("who opens sockets has ended")
        answer = json.loads(data)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "error" in answer:
            raise CaptureError(answer["error"])
        return descriptors

    def _mourn(self) -> None:
        """Only a new start of the sensor brings another one: end as the launcher would end us."""
        logger.error("who opens sockets for the sensor is gone: the sensor ends")
        os.kill(os.getpid(), signal.SIGTERM)


def start_opener(node: Node, users: Users | None, state: Path) -> SocketOpener:
    """Fork it. Only in a process with one thread, which has the rights. Raises: OSError.

    ``users``: whose ids to take, None to stay the same user; ``state``: what it may not read.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        code = os.EX_SOFTWARE
        try:
            ours.close()
            _keep_only(theirs.fileno())
            _give_up_the_rest(node, users, state)
            theirs.send(_READY)
            serve(theirs, node)
            code = 0
        except Exception:
            logger.exception("opener of sockets")
        finally:
            os._exit(code)
    theirs.close()
    opener = SocketOpener(ours)
    if ours.recv(_MAX) != _READY:
        raise ChildProcessError("who opens sockets for the sensor ended at once")
    return opener


def serve(channel: socket.socket, node: Node) -> None:
    """Until the other end closes."""
    direct = DirectOpener(node.capture_filter)
    while True:
        try:
            data = channel.recv(_MAX)
        except ConnectionResetError:
            return
        if not data:
            return
        sent: list[int] = []
        made: list[Any] = []
        try:
            answer, made, sent = _answer(json.loads(data), direct, node)
        except CaptureError as e:
            answer = {"error": str(e)}
        except OSError as e:
            answer = {"errno": e.errno}
        except (ValueError, TypeError, KeyError) as e:
            answer = {"error": f"not a request: {type(e).__name__}"}
        try:
            socket.send_fds(channel, [json.dumps(answer).encode()], sent)
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            for thing in made:
                thing.close()


def _answer(
    request: dict[str, Any], direct: DirectOpener, node: Node
) -> tuple[dict[str, Any], list[Any], list[int]]:
    match request["kind"]:
        case "packets" if node.interfaces:
            made: Any = direct.packets()
            return {}, [made], [made.fileno()]
        case "log group" if request["group"] in node.nflog:
            made = direct.log_group(request["group"])
            return {}, [made], [made.fileno()]
        case "scapy" if request["interface"] in node.interfaces:
            process = direct.scapy(request["interface"])
            process.hand_over()
            return {}, [process], [process.stdin, process.stdout, process.stderr]
    raise CaptureError(f"node {node.name!r} has no such source of packets")


def _keep_only(descriptor: int) -> None:
    """Of what was inherited, besides standard input, output and error."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for scapy's processes


def _give_up_the_rest(node: Node, users: Users | None, state: Path) -> None:
    privileges.name_process("ontoidps-opener")
    os.environ["HOME"] = "/nonexistent"  # scapy looks for what it kept there
    kept = {privileges.NET_RAW} if node.interfaces else set()
    if node.nflog:
        kept.add(privileges.NET_ADMIN)
    confinement.give_up(
        Allowed(tuple(landlock.program(state, executes=True)), connect=()),
        state=state,
        as_whom=None if users is None else (users.opener, users.group),
        capabilities=kept,
        families=(socket.AF_PACKET, socket.AF_NETLINK),
        executes=True,
    )
