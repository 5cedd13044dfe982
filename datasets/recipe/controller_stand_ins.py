"""An S7 controller, and masters of controllers, for the sample traffic; laboratory use only.

``python -m datasets.recipe.controller_stand_ins serve ADDRESS`` answers on port 102 as far as
clients ask; Modbus is answered by `datasets.recipe.peers`. ``supervise ADDRESS`` polls both and
then writes a value, as a control room does; ``stop ADDRESS`` tells the S7 controller to stop.
"""

from __future__ import annotations

import argparse
import socket
import socketserver
import struct
import sys
import time
from collections.abc import Sequence

MODBUS, S7 = 502, 102
_SETUP = bytes.fromhex("f0000001000103c0")
_READ = bytes.fromhex("0401120a10020001000184000000")
_WRITE = bytes.fromhex("0501120a10020001000184000000")
_VALUE = bytes.fromhex("0004000807")
_STOP = b"\x29\0\0\0\0\0\x09P_PROGRAM"


def _frame(cotp: bytes, data: bytes = b"") -> bytes:
    """TPKT (RFC 1006) around COTP."""
    body = bytes([len(cotp)]) + cotp + data
    return struct.pack(">BBH", 3, 0, 4 + len(body)) + body


def _s7(kind: int, parameters: bytes, data: bytes = b"") -> bytes:
    head = struct.pack(">BBHHHH", 0x32, kind, 0, 1, len(parameters), len(data))
    if kind == 3:
        head += b"\0\0"
    return _frame(b"\xf0\x80", head + parameters + data)


class _Controller(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        while len(head := self.rfile.read(4)) == 4:
            body = self.rfile.read(struct.unpack(">H", head[2:])[0] - 4)
            if body[1:2] == b"\xe0":
                self.wfile.write(_frame(b"\xd0" + body[4:6] + b"\0\1" + body[6:]))
            elif body[4:5] == b"\7":
                self.wfile.write(_s7(7, body[13:21], b"\xff\x09\0\0"))
            else:
                self.wfile.write(_s7(3, body[13:15], b"\xff\x04\0\x08\7"))


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: scanners hang up in the middle."""


def serve(arguments: argparse.Namespace) -> None:
    """Answer until killed."""
    server = _Threads((arguments.address, S7), _Controller)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


class _Session:
    """One connection of a master."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.create_connection((address, port), timeout=5)
        self._number = 0
        if port == S7:
            self._ask(_frame(bytes.fromhex("e00000000100c0010ac1020100c2020102")))
            self._ask(_s7(1, _SETUP))

    def _ask(self, data: bytes) -> None:
        self._socket.sendall(data)
        self._socket.recv(1024)

    def modbus(self, function: int, value: int) -> None:
        self._number += 1
        self._ask(struct.pack(">HHHBBHH", self._number, 0, 6, 1, function, 0, value))

    def s7(self, parameters: bytes, data: bytes = b"") -> None:
        self._ask(_s7(1, parameters, data))

    def close(self) -> None:
        self._socket.close()


def supervise(arguments: argparse.Namespace) -> None:
    """Poll both controllers, come again, poll and set a value."""
    for writes in (False, True):
        modbus, s7 = _Session(arguments.address, MODBUS), _Session(arguments.address, S7)
        for number in range(20):
            modbus.modbus(3, 4)
            s7.s7(_READ)
            if writes and number > 16:
                modbus.modbus(6, number)
                s7.s7(_WRITE, _VALUE)
        modbus.close()
        s7.close()
        time.sleep(0.6)


def stop(arguments: argparse.Namespace) -> None:
    """Tell the controller to stop its program."""
    _Session(arguments.address, S7).s7(_STOP)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.controller_stand_ins")
    commands = parser.add_subparsers(required=True)
    for act in (serve, supervise, stop):
        sub = commands.add_parser(act.__name__)
        sub.add_argument("address")
        sub.set_defaults(run=act)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
