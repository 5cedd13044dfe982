"""Open services for the sample traffic, and a debugger's client; laboratory use only.

``python -m datasets.recipe.service_stand_ins serve ADDRESS`` answers on the ports of Redis,
Docker's API and Android's debugger as they would, and does nothing of what it is told. ``adb
ADDRESS COMMAND`` asks the debugger's shell for a command, its words joined by ``+``.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence

REDIS, DOCKER, ADB = 6379, 2375, 5555


def _redis(asked: bytes) -> bytes:
    return b"*0\r\n" if asked.upper().startswith(b"*2\r\n$7\r\nCOMMAND") else b"+OK\r\n"


def _docker(_: bytes) -> bytes:
    body = b'{"Id":"4f66ad9a0b2e"}'
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _message(command: bytes, one: int, two: int, data: bytes) -> bytes:
    """A message of the debugger: six words, then the data."""
    (word,) = struct.unpack("<I", command)
    head = struct.pack("<6I", word, one, two, len(data), sum(data) & 0xFFFFFFFF, word ^ 0xFFFFFFFF)
    return head + data


def _adb(asked: bytes) -> bytes:
    if asked.startswith(b"CNXN"):
        return _message(b"CNXN", 0x01000000, 4096, b"device::ro.product.name=lab;\0")
    return _message(b"OKAY", 1, 1, b"")


def _answer(connection: socket.socket, say: Callable[[bytes], bytes]) -> None:
    with connection:
        while asked := connection.recv(4096):
            connection.sendall(say(asked))


def _serve(address: str, port: int, say: Callable[[bytes], bytes]) -> None:
    listening = socket.create_server((address, port))

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_answer, args=(connection, say), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def serve(arguments: argparse.Namespace) -> None:
    """Answer until killed."""
    for port, say in ((REDIS, _redis), (DOCKER, _docker), (ADB, _adb)):
        _serve(arguments.address, port, say)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


def adb(arguments: argparse.Namespace) -> None:
    """Ask for a command."""
    with socket.create_connection((arguments.address, ADB), timeout=5) as connection:
        connection.sendall(_message(b"CNXN", 0x01000000, 4096, b"host::\0"))
        connection.recv(4096)
        command = arguments.command.replace("+", " ").encode()
        connection.sendall(_message(b"OPEN", 1, 0, b"shell:" + command + b"\0"))
        connection.recv(4096)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.service_stand_ins")
    commands = parser.add_subparsers(required=True)
    for name, act, names in (("serve", serve, ("address",)), ("adb", adb, ("address", "command"))):
        sub = commands.add_parser(name)
        for argument in names:
            sub.add_argument(argument)
        sub.set_defaults(run=act)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
