"""Throw-away XMPP servers for the message tests: our embedded Prosody, and Debian's ejabberd."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol

from agents.launcher.xmpp_server import XmppServer
from agents.settings.honeynet import Settings, load_settings
from agents.trust.identity import ensure_keys, load_password
from agents.trust.pki import ensure_authority, issue_server_certificate

DOMAIN = "honeynet.test"

HONEYNET = """\
name = "test"
domain = "{domain}"
[xmpp]
port = {port}
{server}
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "reaction"]
interfaces = ["lo"]
[[node]]
name = "gw2"
agents = ["sensor", "analyzer"]
interfaces = ["lo"]
"""

EXAMPLE = Path(__file__).parents[2] / "deploy" / "ejabberd.example.yml"
# Without -sname there is no Erlang distribution: no epmd is started and no port but ours is opened.
BOOT = """\
{{ok, _}} = application:ensure_all_started(ejabberd),
{{ok, L}} = file:consult("accounts"),
[ejabberd_auth:try_register(U, <<"{domain}">>, P) || {{U, P}} <- L],
file:write_file("ready", <<>>).
"""


class Server(Protocol):
    """What the tests do with a server."""

    settings: Settings
    file: Path

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Prosody:
    """The embedded server; `start` returns when it accepts clients."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "honeynet.toml"
        self.file.write_text(HONEYNET.format(domain=DOMAIN, port=_free_port(), server=""))
        self.settings = load_settings(self.file)
        ensure_keys(self.settings)
        self._server = XmppServer(self.settings)

    def start(self) -> None:
        self._server.start()
        assert self._server.ready()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        assert self._server.pid is not None
        os.kill(self._server.pid, signal.SIGKILL)
        while self._server.alive():
            pass

    def close(self) -> None:
        self._server.stop()


class Ejabberd:
    """ejabberd as a child, in a directory its own user can read; accounts outlive a kill."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "honeynet.toml"
        self._base = Path(tempfile.mkdtemp(prefix="ontoidps-ejabberd-"))
        self._port = _free_port()
        server = f'embedded = false\nca = "{self._base}/ca.crt"'
        self.file.write_text(HONEYNET.format(domain=DOMAIN, port=self._port, server=server))
        self.settings = load_settings(self.file)
        ensure_keys(self.settings)
        self._child: subprocess.Popen[bytes] | None = None
        ensure_authority(self._base)
        certificate, key = issue_server_certificate(self._base, DOMAIN)
        (self._base / "server.pem").write_bytes(certificate + key)
        # What is shipped for production is what is tested; only places differ.
        config = EXAMPLE.read_text()
        for shipped, here in (
            ("honeynet.localdomain", DOMAIN),
            ("192.0.2.10", "127.0.0.1"),
            ("port: 5223", f"port: {self._port}"),
            ("/etc/ejabberd/server.pem", f"{self._base}/server.pem"),
        ):
            assert shipped in config, shipped
            config = config.replace(shipped, here)
        (self._base / "ejabberd.yml").write_text(config)
        jids = [self.settings.jid(*agent) for agent in self.settings.agents()]
        (self._base / "accounts").write_text(
            "".join(
                f'{{<<"{jid.split("@")[0]}">>, <<"{load_password(self.settings, jid)}">>}}.\n'
                for jid in jids
            )
        )
        self._account = pwd.getpwnam("ejabberd") if os.geteuid() == 0 else None
        if self._account is not None:
            for path in (self._base, *self._base.rglob("*")):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def start(self) -> None:
        (self._base / "ready").unlink(missing_ok=True)
        with (self._base / "output").open("ab") as output:
            self._child = subprocess.Popen(
                [
                    "erl",
                    "-noinput",
                    "-mnesia",
                    "dir",
                    f'"{self._base}/db"',
                    "-eval",
                    BOOT.format(domain=DOMAIN).replace("\n", " "),
                ],
                cwd=self._base,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(self._base),
                    "ERL_LIBS": _erlang_libraries(),
                    "ERL_CRASH_DUMP": "/dev/null",
                    "EJABBERD_CONFIG_PATH": f"{self._base}/ejabberd.yml",
                    "EJABBERD_LOG_PATH": f"{self._base}/ejabberd.log",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=None if self._account is None else self._account.pw_uid,
                group=None if self._account is None else self._account.pw_gid,
                extra_groups=None if self._account is None else [],
            )
        deadline = time.monotonic() + 60
        while not (self._base / "ready").exists():
            assert self._child.poll() is None, (self._base / "output").read_text()
            assert time.monotonic() < deadline, "ejabberd isn't ready after 60 s"
            time.sleep(0.02)
        context = ssl.create_default_context(cafile=str(self._base / "ca.crt"))
        with (
            socket.create_connection(("127.0.0.1", self._port)) as plain,
            context.wrap_socket(plain, server_hostname=DOMAIN),
        ):
            return

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child.wait(20)
            self._child = None

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        shutil.rmtree(self._base)


def _erlang_libraries() -> str:
    """Debian puts ejabberd's applications beside Erlang's own, under the multiarch directory."""
    found = sorted(Path("/usr/lib").glob("*/ejabberd-*"))
    return str(found[0].parent) if found else "/usr/lib"


SERVERS: dict[str, type[Prosody] | type[Ejabberd]] = {"prosody": Prosody, "ejabberd": Ejabberd}
COMMANDS = {"prosody": "prosody", "ejabberd": "ejabberdctl"}
