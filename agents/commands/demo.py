"""``ontoidps demo``: a honeynet in a laboratory, a real attack, and proof of what was observed."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from agents.demo.relay import Relay
from datasets.laboratory.network import run_in_sandbox, why_unavailable

# command -> Debian package
TOOLS = {"prosody": "prosody", "nmap": "nmap", "hydra": "hydra", "curl": "curl"}
PAGE_HOST = "127.0.0.1"
PAGE_PORT = 8080


# sun_path of unix(7) holds 108 bytes, the last one is a zero.
SOCKET_PATH_LIMIT = 107


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 (any) to 65535")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--once",
        action="store_true",
        help="end after one attack, with exit code 0 only if everything was observed "
        "(the default when standard input is no terminal)",
    )
    parser.add_argument(
        "--port", type=_port, default=PAGE_PORT, help=f"port of the web page ({PAGE_PORT})"
    )
    parser.add_argument(
        "--user-namespace",
        action="store_true",
        help="work as for an ordinary user, also when root",
    )
    parser.add_argument("--keep-log", type=Path, metavar="FILE", help="keep the agents' log here")


def run(arguments: argparse.Namespace) -> int:
    """Raises: RuntimeError with one line if something is missing here."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    os.environ["PATH"] = path
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise RuntimeError(f"the command {tool!r} is missing (Debian package {package})")
    own_users = True if arguments.user_namespace else None
    if (reason := why_unavailable(user_namespace=own_users)) is not None:
        raise RuntimeError(f"no network laboratory here: {reason}")
    if arguments.keep_log is not None:
        arguments.keep_log.touch()  # now, not after the attack
    once = arguments.once or not sys.stdin.isatty()
    with tempfile.TemporaryDirectory(prefix="ontoidps-") as name:
        folder = Path(name)
        if len(os.fsencode(folder / "console.sock")) > SOCKET_PATH_LIMIT:
            raise RuntimeError(f"{tempfile.gettempdir()}: too long a path for a socket: set TMPDIR")
        with Relay(PAGE_HOST, arguments.port, folder / "console.sock") as relay:
            url = f"http://{relay.host}:{relay.port}/"
            print(f"web page while the demo runs: {url}", flush=True)
            words = [sys.executable, "-m", "agents.demo.run", name, "--url", url]
            if once:
                words.append("--once")
            # Ctrl-C reaches the play as well, which ends everything in order.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            with run_in_sandbox(words, user_namespace=own_users) as play:
                signal.signal(signal.SIGTERM, lambda *_: play.terminate())
                code = play.wait()
        if arguments.keep_log is not None and (folder / "agents.log").exists():
            shutil.copyfile(folder / "agents.log", arguments.keep_log)
    return code
