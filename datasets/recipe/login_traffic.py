"""Servers that let nobody in, for the sample traffic (`datasets.recipe.traffic`); laboratory use
only.

``python -m datasets.recipe.login_traffic ADDRESS`` asks for a name and a password as Telnet, POP3,
IMAP, MySQL and PostgreSQL servers do, and refuses whatever comes.
"""

from __future__ import annotations

import socketserver
import struct
import sys
import threading
from collections.abc import Sequence

TELNET, POP3, IMAP, MYSQL, POSTGRES = 23, 110, 143, 3306, 5432


class _Handler(socketserver.StreamRequestHandler):
    timeout = 10

    def say(self, text: bytes) -> None:
        self.wfile.write(text)

    def line(self) -> bytes:
        return self.rfile.readline(4096).strip()


class _Telnet(_Handler):
    def handle(self) -> None:
        for _ in range(3):
            self.say(b"login: ")
            if not self.line():
                return
            self.say(b"Password: ")
            self.line()
            self.say(b"\r\nLogin incorrect\r\n\r\n")


class _Pop3(_Handler):
    def handle(self) -> None:
        self.say(b"+OK POP3 ready\r\n")
        while line := self.line():
            word = line[:4].upper()
            if word == b"CAPA":
                self.say(b"+OK\r\nUSER\r\n.\r\n")
            elif word == b"PASS":
                self.say(b"-ERR [AUTH] Authentication failed.\r\n")
            elif word == b"QUIT":
                self.say(b"+OK bye\r\n")
                return
            else:
                self.say(b"+OK\r\n")


class _Imap(_Handler):
    def handle(self) -> None:
        self.say(b"* OK IMAP4rev1 ready\r\n")
        while line := self.line():
            tag, _, rest = line.partition(b" ")
            word = rest.partition(b" ")[0].upper()
            if word == b"CAPABILITY":
                self.say(b"* CAPABILITY IMAP4rev1 LOGIN\r\n")
            if word == b"LOGIN":
                self.say(tag + b" NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
            else:
                self.say(tag + b" OK done\r\n")
            if word == b"LOGOUT":
                return


class _MySql(_Handler):
    """Protocol::HandshakeV10, then error 1045."""

    def handle(self) -> None:
        capabilities = 0x000FA28F  # 4.1 protocol, secure connection, plugin authentication
        greeting = (
            b"\x0a8.0.36\0" + struct.pack("<I", 7) + b"abcdefgh\0"
            + struct.pack("<HBHH", capabilities & 0xFFFF, 8, 2, capabilities >> 16)
            + b"\x15" + bytes(10) + b"ijklmnopqrst\0" + b"mysql_native_password\0"
        )  # fmt: skip
        self.say(self._packet(0, greeting))
        head = self.rfile.read(4)
        if len(head) < 4:
            return
        self.rfile.read(int.from_bytes(head[:3], "little"))
        text = b"Access denied for user 'admin'@'client' (using password: YES)"
        self.say(self._packet(2, b"\xff" + struct.pack("<H", 1045) + b"#28000" + text))

    @staticmethod
    def _packet(number: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "little") + bytes([number]) + body


class _Postgres(_Handler):
    """AuthenticationCleartextPassword, then SQLSTATE 28P01."""

    def handle(self) -> None:
        while len(head := self.rfile.read(4)) == 4:
            body = self.rfile.read(int.from_bytes(head, "big") - 4)
            if body[:2] != b"\x04\xd2":  # neither SSLRequest nor GSSENCRequest
                break
            self.say(b"N")
        else:
            return
        self.say(b"R" + struct.pack(">II", 8, 3))
        if self.rfile.read(1) != b"p":
            return
        self.rfile.read(int.from_bytes(self.rfile.read(4), "big") - 4)
        fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0"
        self.say(b"E" + struct.pack(">I", len(fields) + 4) + fields)


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: guessers hang up in the middle."""


def main(argv: Sequence[str] | None = None) -> int:
    (address,) = sys.argv[1:] if argv is None else argv
    servers = [
        _Threads((address, port), handler)
        for port, handler in (
            (TELNET, _Telnet),
            (POP3, _Pop3),
            (IMAP, _Imap),
            (MYSQL, _MySql),
            (POSTGRES, _Postgres),
        )
    ]
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    servers[0].serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
