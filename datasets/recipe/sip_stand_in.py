"""A telephone server and its telephones for the sample traffic; laboratory use only.

``python -m datasets.recipe.sip_stand_in serve ADDRESS`` registers ``alice`` and puts no calls
through, over UDP and TCP. ``register ADDRESS USER PASSWORD`` does as a telephone does, ``--times``
over; ``call ADDRESS NUMBER …`` dials the numbers one after the other.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import socket
import socketserver
import sys
import threading
from collections.abc import Sequence

PORT = 5060
ACCOUNTS = {"alice": "correct horse", "100": "hard to guess"}
REALM, NONCE = "lab", "5f3c9a1e"


def _digest(user: str, password: str, uri: str) -> str:
    """The answer to a challenge (RFC 2617, section 3.2.2), without ``qop``."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    return md5(f"{md5(f'{user}:{REALM}:{password}')}:{NONCE}:{md5(f'REGISTER:{uri}')}")


def _quoted(name: str, text: str) -> str:
    found = re.search(rf'\b{name}="([^"]{{0,200}})"', text)
    return found.group(1) if found else ""


def answer(request: str) -> str:
    """What the server says."""
    lines = request.split("\r\n")
    method = lines[0].partition(" ")[0]
    kept = [line for line in lines[1:] if line.lower().startswith(_COPIED)]
    status, more = "200 OK", []
    if method == "REGISTER":
        user = re.sub(r".*?sip:([^@>;]*).*", r"\1", _line(lines, "to:"))
        sent = _line(lines, "authorization:")
        if user not in ACCOUNTS:
            status = "404 Not Found"
        elif not sent:
            status = "401 Unauthorized"
        elif _quoted("response", sent) != _digest(user, ACCOUNTS[user], _quoted("uri", sent)):
            status = "403 Forbidden"
        if status.startswith("401"):
            more = [f'WWW-Authenticate: Digest realm="{REALM}", nonce="{NONCE}", algorithm=MD5']
    elif method == "INVITE":
        status = "404 Not Found"
    return "\r\n".join([f"SIP/2.0 {status}", *kept, *more, "Content-Length: 0", "", ""])


_COPIED = ("via:", "from:", "to:", "call-id:", "cseq:")


def _line(lines: Sequence[str], name: str) -> str:
    return next((line for line in lines if line.lower().startswith(name)), "")


class _Datagrams(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, server = self.request
        server.sendto(answer(data.decode("latin-1")).encode(), self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        request = ""
        while line := self.rfile.readline(4096).decode("latin-1"):
            request += line
            if line == "\r\n":
                self.wfile.write(answer(request).encode())
                request = ""


def serve(arguments: argparse.Namespace) -> None:
    """Answer until killed."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    for server in (
        socketserver.UDPServer((arguments.address, PORT), _Datagrams),
        socketserver.ThreadingTCPServer((arguments.address, PORT), _Stream),
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


class _Telephone:
    def __init__(self, arguments: argparse.Namespace) -> None:
        kind = socket.SOCK_STREAM if arguments.tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(5)
        self._socket.connect((arguments.address, PORT))
        self._host = arguments.address
        self._via = "TCP" if arguments.tcp else "UDP"
        self._number = 0

    def ask(self, method: str, uri: str, user: str, *more: str) -> str:
        self._number += 1
        own = f"<sip:{user}@{self._host}>"
        peer = own if method == "REGISTER" else f"<{uri}>"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self._via} client:5060;branch=z9hG4bK{self._number}",
            f"From: {own};tag=7",
            f"To: {peer}",
            f"Call-ID: {user}-{self._number // 2}",
            f"CSeq: {self._number} {method}",
            "User-Agent: Desk Telephone 4.2",
            *more,
            "Content-Length: 0",
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        return self._socket.recv(4096).decode("latin-1")


def register(arguments: argparse.Namespace) -> None:
    """Challenge and answer, so many times."""
    telephone, uri = _Telephone(arguments), f"sip:{arguments.address}"
    user = arguments.user
    for number in range(arguments.times):
        telephone.ask("REGISTER", uri, user)
        wrong = str(number) if arguments.guess else ""
        digest = _digest(user, arguments.password.replace("+", " ") + wrong, uri)
        telephone.ask(
            "REGISTER",
            uri,
            user,
            f'Authorization: Digest username="{user}", realm="{REALM}", nonce="{NONCE}", '
            f'uri="{uri}", response="{digest}"',
        )


def call(arguments: argparse.Namespace) -> None:
    """Dial."""
    telephone = _Telephone(arguments)
    for number in arguments.numbers:
        telephone.ask("INVITE", f"sip:{number}@{arguments.address}", "alice")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.sip_stand_in")
    commands = parser.add_subparsers(required=True)
    for name, act in (("serve", serve), ("register", register), ("call", call)):
        sub = commands.add_parser(name)
        sub.add_argument("address")
        sub.add_argument("--tcp", action="store_true")
        if act is register:
            sub.add_argument("user")
            sub.add_argument("password")
            sub.add_argument("--times", type=int, default=1)
            sub.add_argument("--guess", action="store_true", help="another password each time")
        if act is call:
            sub.add_argument("numbers", nargs="+")
        sub.set_defaults(run=act)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
