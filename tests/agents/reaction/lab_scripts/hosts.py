"""One process plays every host of a lab: a socket stays in the network namespace of its birth."""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable

from datasets.laboratory.topology import LabHost

PORT = 7000
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LIMIT_S = 5.0


def enter(namespace: str) -> None:
    with open(f"/run/netns/{namespace}", "rb") as file:
        if LIBC.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), namespace)


def make_socket(namespace: str, version: int, kind: socket.SocketKind) -> socket.socket:
    """A socket of another namespace; this process stays in the gateway's."""
    enter(namespace)
    try:
        return socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    finally:
        enter("gw1")


def serve(sock: socket.socket, kind: socket.SocketKind) -> None:
    """Echo for ever (the process ends by itself)."""
    with contextlib.suppress(OSError):
        while True:
            if kind is socket.SOCK_DGRAM:
                data, peer = sock.recvfrom(2048)
                with contextlib.suppress(OSError):
                    sock.sendto(data, peer)
            else:
                connection, _ = sock.accept()
                threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(2048):
            connection.sendall(data)


def start_servers(host: LabHost) -> None:
    for address in (host.ipv4, host.ipv6):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = make_socket(host.namespace, address.version, kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((str(address), PORT))
            if kind is socket.SOCK_STREAM:
                sock.listen()
            threading.Thread(target=serve, args=(sock, kind), daemon=True).start()


def passes(source: LabHost, target: LabHost, version: int, *, limit_s: float = 0.25) -> bool:
    """True if a datagram comes back within the limit."""
    address = target.ipv4 if version == 4 else target.ipv6
    with make_socket(source.namespace, version, socket.SOCK_DGRAM) as sock:
        sock.settimeout(limit_s / 2)
        for attempt in range(2):
            with contextlib.suppress(OSError):
                sock.sendto(b"probe %d" % attempt, (str(address), PORT))
                sock.recv(2048)
                return True
    return False


def wait_for(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
    """Seconds until the condition held."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            return float("inf")
    return time.monotonic() - began


def one_way(source: LabHost, target: LabHost, version: int) -> bool:
    """True if a datagram out of the blue arrives; nothing has to come back."""
    address = target.ipv4 if version == 4 else target.ipv6
    with (
        make_socket(target.namespace, version, socket.SOCK_DGRAM) as receiver,
        make_socket(source.namespace, version, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((str(address), 0))
        receiver.settimeout(0.25)
        with contextlib.suppress(OSError):
            sender.sendto(b"hello", (str(address), receiver.getsockname()[1]))
            return receiver.recv(100) == b"hello"
    return False


def nft(text: str) -> str:
    done = subprocess.run(
        ["nft", "-f", "-"], input=text, text=True, capture_output=True, check=False
    )
    return done.stderr


def listing(*what: str) -> str:
    return subprocess.run(["nft", *what], text=True, capture_output=True, check=True).stdout


def handle() -> int:
    out = json.loads(listing("-j", "-t", "list", "table", "inet", "ontoidps"))
    return next(int(o["table"]["handle"]) for o in out["nftables"] if "table" in o)
