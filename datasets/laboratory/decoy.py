"""A low-interaction decoy for the laboratory: FTP that refuses every login, and a web page.

``python -m datasets.laboratory.decoy ADDRESS...`` listens on ports 21 and 80 of each address until
it ends. It is what attackers of the demo and of the sample traffic talk to; it is not a hardened
honeypot.
"""

from __future__ import annotations

import argparse
import http.server
import logging
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Sequence

from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

PAGE = b"<!doctype html><title>intranet</title><h1>Under construction</h1>\n"
BANNER = "FTP server ready"


class NobodyMayEnter(DummyAuthorizer):  # type: ignore[misc]
    """Every password is wrong: the decoy only counts tries (and answers 530)."""

    def validate_authentication(self, username: str, password: str, handler: object) -> None:
        raise AuthenticationFailed("Authentication failed.")


class DecoyFtp(FTPHandler):  # type: ignore[misc]
    """One FTP session; three tries, like vsftpd."""

    authorizer = NobodyMayEnter()
    banner = BANNER
    max_login_attempts = 3
    # pyftpdlib waits 5 s before it says 530; a decoy doesn't slow guessers down.
    auth_failed_timeout = 0.05


class DecoyPage(http.server.BaseHTTPRequestHandler):
    """One page under every path."""

    server_version, sys_version = "Apache", ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    do_POST = do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the sensor does the watching."""


class _WebServer(socketserver.ThreadingTCPServer):
    """Not http.server's own: that one asks DNS for its name, which costs seconds in a namespace."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), DecoyPage)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.laboratory.decoy")
    parser.add_argument("address", nargs="+", help="IPv4 or IPv6 address to listen on")
    parser.add_argument("--ftp-port", type=int, default=21)
    parser.add_argument("--web-port", type=int, default=80)
    arguments = parser.parse_args(argv)
    # Without a handler of ours pyftpdlib makes one and logs every session.
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    loop = IOLoop.instance()
    servers = []
    for address in arguments.address:
        web = _WebServer(address, arguments.web_port)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        servers.append(FTPServer((address, arguments.ftp_port), DecoyFtp, ioloop=loop))
    try:
        os.write(1, b"ready\n")
    except BrokenPipeError:
        return 1  # who started us has ended meanwhile
    # All servers share one loop; handle_exit ends it on SIGTERM and Ctrl-C.
    servers[0].serve_forever(handle_exit=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
