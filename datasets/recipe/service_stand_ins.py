"""Open services for the sample traffic, and a debugger's client; laboratory use only.

``python -m datasets.recipe.service_stand_ins serve ADDRESS`` answers on the ports of Redis,
Docker's API, Android's debugger, Telnet and remote desktop as they would, and does nothing of what
it is told. ``adb ADDRESS COMMAND`` asks the shell for a command, its words joined by ``+``;
``telnet ADDRESS COMMAND …`` types commands after a login; ``desktop ADDRESS CHANNEL`` asks a remote
desktop for a channel.
"""

from __future__ import annotations

import argparse
import socket
import struct
import sys
import threading
from collections.abc import Callable, Sequence

REDIS, DOCKER, ADB, TELNET, RDP = 6379, 2375, 5555, 23, 3389


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


def _shell(asked: bytes) -> bytes:
    asked = asked.strip()
    return b"Password: " if asked == b"root" else b"\r\n# "


def _desktop(asked: bytes) -> bytes:
    """A connection confirm (X.224); nothing more is granted."""
    if asked[5:6] == b"\xe0":
        return b"\3\0\0\x13\x0e\xd0\0\0\x12\x34\0\2\0\x08\0\0\0\0\0"
    return b"\3\0\0\x09\2\xf0\x80\x21\x80"


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
    for port, say in (
        (REDIS, _redis),
        (DOCKER, _docker),
        (ADB, _adb),
        (TELNET, _shell),
        (RDP, _desktop),
    ):
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


def telnet(arguments: argparse.Namespace) -> None:
    """Log in and type."""
    with socket.create_connection((arguments.address, TELNET), timeout=5) as connection:
        for line in ("root", "xc3511", *arguments.commands):
            connection.sendall(line.replace("+", " ").encode() + b"\r\n")
            connection.recv(4096)


def desktop(arguments: argparse.Namespace) -> None:
    """Ask for one channel (T.125, connect-initial; [MS-RDPBCGR] 2.2.1.3)."""
    channel = arguments.channel.encode().ljust(8, b"\0") + bytes(4)
    network = struct.pack("<HHI", 0xC003, 8 + len(channel), 1) + channel
    body = b"\x7f\x65\x82\1\x94\4\1\1\4\1\1\1\1\xff" + bytes(380 - len(network)) + network
    with socket.create_connection((arguments.address, RDP), timeout=5) as connection:
        connection.sendall(b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\0\0\0\0")
        connection.recv(64)
        connection.sendall(struct.pack(">BBH", 3, 0, 7 + len(body)) + b"\2\xf0\x80" + body)
        connection.recv(64)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.service_stand_ins")
    commands = parser.add_subparsers(required=True)
    for name, act, names in (
        ("serve", serve, ("address",)),
        ("adb", adb, ("address", "command")),
        ("telnet", telnet, ("address", "commands")),
        ("desktop", desktop, ("address", "channel")),
    ):
        sub = commands.add_parser(name)
        for argument in names:
            sub.add_argument(argument, nargs="+" if argument == "commands" else None)
        sub.set_defaults(run=act)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
