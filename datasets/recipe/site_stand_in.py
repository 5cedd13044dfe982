"""A web site with sessions, its users, and who misuses it; laboratory use only.

``python -m datasets.recipe.site_stand_in serve ADDRESS`` answers on port 8080: ``/login`` gives the
cookie of a session, ``/shell`` answers what is posted there with as much that is enciphered, as web
shells do that pass connections on; it is a proxy to nowhere too. ``browse``, ``steal``, ``tunnel``
and ``measure`` are its clients. Names of sessions follow from the user agent: whoever reads the
wire knows them.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import http.server
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence

PORT = 8080
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
TIMEOUT_S = 5.0


def session_of(agent: str) -> str:
    """The cookie that a user of this program is given."""
    return f"PHPSESSID={hashlib.sha256(agent.encode()).hexdigest()[:26]}"


class _Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        posted = self.rfile.read(length)
        body = b"<p>welcome back</p>"
        if self.path.startswith("/shell"):
            coded = self.path.endswith("coded")
            answer = random.Random(posted).randbytes(40 + len(posted) // 2)  # noqa: S311
            body = base64.b64encode(answer) if coded else answer
        self.send_response(200)
        if self.path.startswith("/login"):
            cookie = session_of(self.headers.get("User-Agent", ""))
            self.send_header("Set-Cookie", f"{cookie}; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def do_CONNECT(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def serve(arguments: argparse.Namespace) -> None:
    """Answer until killed."""
    with http.server.ThreadingHTTPServer((arguments.address, PORT), _Site) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


def _ask(
    arguments: argparse.Namespace,
    path: str,
    agent: str,
    cookie: str = "",
    body: bytes | None = None,
    source: str = "",
) -> None:
    connection = http.client.HTTPConnection(
        arguments.address, PORT, TIMEOUT_S, (source, 0) if source else None
    )
    headers = {"User-Agent": agent} | ({"Cookie": cookie} if cookie else {})
    connection.request("GET" if body is None else "POST", path, body, headers)
    connection.getresponse().read()
    connection.close()


def browse(arguments: argparse.Namespace) -> None:
    """Log in and look at pages; from a second address, or with a second program, in between."""
    time.sleep(arguments.wait)
    agent = BROWSER + arguments.move + arguments.second
    cookie = session_of(agent)
    _ask(arguments, "/login", agent)
    for page in range(8):
        odd = page % 2 == 1
        source = arguments.move if odd else ""
        _ask(
            arguments, f"/page{page}", arguments.second if odd and arguments.second else agent,
            f"lang=en; {cookie}", source=source,
        )  # fmt: skip
        time.sleep(0.4)


def steal(arguments: argparse.Namespace) -> None:
    """Go on with the session of `BROWSER`, by curl."""
    time.sleep(arguments.wait)
    where = f"http://{arguments.address}:{PORT}/account/[1-5]"
    subprocess.run(["curl", "-s", "-b", session_of(BROWSER), where], check=False, timeout=30)


def tunnel(arguments: argparse.Namespace) -> None:
    """Post what a session that is passed on would say."""
    dice = random.Random(66)  # noqa: S311
    path = f"/shell{'?coded' if arguments.coded else ''}"
    for _ in range(60):
        body = dice.randbytes(dice.randrange(40, 300))
        body = base64.b64encode(body) if arguments.coded else body
        _ask(arguments, path, "python-requests/2.31", body=body)
        time.sleep(0.05)


def measure(arguments: argparse.Namespace) -> None:
    """Post measurements as JSON, as a page's script does."""
    dice = random.Random(10)  # noqa: S311
    for number in range(60):
        said = {
            "event": "scroll",
            "at": number,
            "y": dice.random(),
            "session": dice.getrandbits(64),
        }
        _ask(arguments, "/measure", BROWSER, body=json.dumps(said).encode())
        time.sleep(0.05)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.site_stand_in")
    commands = parser.add_subparsers(required=True)
    for act in (serve, browse, steal, tunnel, measure):
        sub = commands.add_parser(act.__name__)
        sub.add_argument("address")
        sub.add_argument("--wait", type=float, default=0.0)
        sub.add_argument("--move", default="")
        sub.add_argument("--second", default="")
        sub.add_argument("--coded", action="store_true")
        sub.set_defaults(run=act)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
